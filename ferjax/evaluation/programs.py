"""The compiled programs of an evaluation: scores of a batch through views, and their counts.

Shapes: B batch, H W C image (already preprocessed), K classes, D features, V views, G groups.
`table` is the split on the device, or None where the batch carries its pixels (see `batches`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from ferjax.data.pipeline import batches
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.distributed import sharding
from ferjax.evaluation import views
from ferjax.evaluation.class_geometry import batch_sums
from ferjax.metrics import ConfusionState
from ferjax.models import functional

# view -> group of examples -> counts
States = dict[str, dict[str, ConfusionState]]


def scoring(
    graphdef: nnx.GraphDef, *, preprocessing: Preprocessing, mesh: jax.sharding.Mesh
) -> jax.stages.Wrapped:
    """`(weights, images [B, h, w, c]) -> (probabilities [B, K], features [B, D])`, float32."""

    def run(weights: functional.Weights, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, features = functional.forward(graphdef, weights, preprocessing(images))
        return jax.nn.softmax(logits), features

    return jax.jit(run, out_shardings=sharding.by_batch(mesh))


class Rows(NamedTuple):
    """The predictions for the examples of a batch, padding included. A pytree.

    Attributes:
      probabilities: of each view.
      labels: true classes.
      groups: see `Batch`.
      indices: see `Batch`.
    """

    probabilities: Mapping[str, Float[Array, "B K"]]
    labels: Int[Array, " B"]
    groups: Mapping[str, Bool[Array, " B"]]
    indices: Int[Array, " B"]


def counting(
    score: jax.stages.Wrapped,
    *,
    parts: Mapping[str, tuple[views.Part, ...]],
    mesh: jax.sharding.Mesh,
) -> Callable[..., States]:
    """`(weights, table, batch, add=None, keep=None) -> states[view][group]` for views by name.

    `parts` has the images of each view (see `views.parts`). `score` is `scoring`'s program: all
    views share it, so that a model is compiled once for validation and test and sees each image of
    overlapping views once. `add` is called with `class_geometry.batch_sums` of each group, of
    the features of the first image of the first view; `keep` with the batch's `Rows`, replicated.
    At most one of them is given.
    """
    everything = tuple(dict.fromkeys(part for view in parts.values() for part in view))
    # A CPU runs programs concurrently, and their collectives can then deadlock each other;
    # accelerators run programs one after another.
    side_by_side = mesh.size > 1 and mesh.devices.flat[0].platform == "cpu"
    in_turn = jax.block_until_ready if side_by_side else lambda values: values

    whole, by_batch = sharding.replicated(mesh), sharding.by_batch(mesh)
    compiled_gather = jax.jit(_gather, out_shardings=by_batch)
    # Apart from the gathering, so that all splits share it.
    compiled_show = jax.jit(views.show, static_argnames="part", out_shardings=by_batch)
    compiled_count = jax.jit(_count_views, out_shardings=whole)
    compiled_count_and_sum = jax.jit(_count_and_sum, out_shardings=whole)
    compiled_count_and_keep = jax.jit(_count_and_keep, out_shardings=whole)

    def run(
        weights: functional.Weights,
        table: batches.Table | None,
        batch: batches.Batch,
        add: Callable[[Mapping[str, jax.Array]], None] | None = None,
        keep: Callable[[Rows], None] | None = None,
    ) -> States:
        images, labels = compiled_gather(table, batch)
        probabilities, features = {}, {}
        for part in everything:
            shown = compiled_show(images, part=part)
            probabilities[part], features[part] = in_turn(score(weights, shown))
        each = {name: [probabilities[part] for part in view] for name, view in parts.items()}
        if add is not None:
            first = features[everything[0]]
            states, sums = compiled_count_and_sum(each, first, labels, batch.groups)
            add(sums)
        elif keep is not None:
            states, rows = compiled_count_and_keep(each, labels, batch.groups, batch.indices)
            keep(rows)
        else:
            states = compiled_count(each, labels, batch.groups)
        return in_turn(states)

    return run


def _gather(
    table: batches.Table | None, batch: batches.Batch
) -> tuple[Float[Array, "B H W C"], Int[Array, " B"]]:
    images, labels, _ = batches.gather(table, batch)
    return images, labels


def _count_views(
    shown: Mapping[str, Sequence[Float[Array, "B K"]]],
    labels: Int[Array, " B"],
    groups: Mapping[str, Bool[Array, " B"]],
) -> States:
    """`count` of the mean over the images of each view."""
    return count(_means(shown), labels, groups)


def _means(shown: Mapping[str, Sequence[Float[Array, "B K"]]]) -> dict[str, Float[Array, "B K"]]:
    return {name: sum(each[1:], each[0]) / len(each) for name, each in shown.items()}


def _count_and_sum(
    shown: Mapping[str, Sequence[Float[Array, "B K"]]],
    features: Float[Array, "B D"],
    labels: Int[Array, " B"],
    groups: Mapping[str, Bool[Array, " B"]],
) -> tuple[States, dict[str, jax.Array]]:
    """Both in one program: the collectives of two programs can deadlock each other on a CPU."""
    num_classes = next(iter(shown.values()))[0].shape[1]
    sums = {name: batch_sums(features, labels, mask, num_classes) for name, mask in groups.items()}
    return _count_views(shown, labels, groups), sums


def _count_and_keep(
    shown: Mapping[str, Sequence[Float[Array, "B K"]]],
    labels: Int[Array, " B"],
    groups: Mapping[str, Bool[Array, " B"]],
    indices: Int[Array, " B"],
) -> tuple[States, Rows]:
    """Both in one program, for the same reason."""
    means = _means(shown)
    return count(means, labels, groups), Rows(means, labels, groups, indices)


def count(
    probabilities: Mapping[str, Float[Array, "B K"]],
    labels: Int[Array, " B"],
    groups: Mapping[str, Bool[Array, " B"]],
) -> States:
    """Counts one batch for each view and each group of its examples; padding belongs to none.

    The loss of an example is -log of the probability of its class. One product counts all, so a
    sharded batch needs one all-reduce; a dozen at once can deadlock on a CPU of few threads.

    Args:
      probabilities: the probabilities of each view.
      labels: true classes.
      groups: masks by the name of the group, True for the examples that belong to it.

    Returns:
      states[view][group].
    """
    scores = jnp.stack(list(probabilities.values()))  # [V, B, K]
    num_classes = scores.shape[2]
    chosen = jnp.take_along_axis(scores, labels[None, :, None], axis=2)
    losses = -jnp.log(jnp.maximum(chosen, jnp.finfo(jnp.float32).tiny))
    predicted = jax.nn.one_hot(jnp.argmax(scores, axis=2), num_classes, dtype=jnp.float32)
    masks = jnp.stack(list(groups.values())).astype(jnp.float32)  # [G, B]
    true = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)[None] * masks[:, :, None]
    # Counts of a batch are exact in float32; the last column adds the losses of each class up.
    columns = jnp.concatenate([predicted, losses], axis=2)
    totals = jnp.einsum("gbi,vbj->vgij", true, columns, precision=jax.lax.Precision.HIGHEST)
    return {
        view: {
            group: ConfusionState(
                jnp.rint(totals[v, g, :, :-1]).astype(jnp.int32), jnp.sum(totals[v, g, :, -1])
            )
            for g, group in enumerate(groups)
        }
        for v, view in enumerate(probabilities)
    }
