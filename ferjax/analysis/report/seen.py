"""What a model does with images of its own data: features, damage, where it looks.

Read are the training split, for samples, and the split that selected the epoch. The test split is
not read.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from ferjax.analysis import damage
from ferjax.analysis.report.facts import RunFacts
from ferjax.analysis.saliency import Looked, Saliency
from ferjax.errors import UserError
from ferjax.evaluation import views
from ferjax.evaluation.checkpoint_scores import FinishedRun
from ferjax.inference.trained_model import TrainedModel
from ferjax.models import functional
from ferjax.workdir import checkpoint_files
from ferjax.workdir.directory import RunDirectory

_BATCH = 64
_GATED = 40  # images of each class whose gates are averaged
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Selected:
    """The images of the split that selected the epoch, as they are stored."""

    images: UInt8[np.ndarray, "N H W C"]
    labels: Int[np.ndarray, " N"]


class Features(NamedTuple):
    """Features of images, and where the classes' centres lie among them.

    Attributes:
      images: one row for each image.
      centers: the learned centres; None without.
      checkpoint: "last" or "best": of which weights they are.
    """

    images: Float[np.ndarray, "N D"]
    centers: Float[np.ndarray, "K D"] | None
    checkpoint: str


class Seen:
    """One model, and the images that it may be shown.

    Args:
      facts: its run.
      data_dir: where its data set is; the run's by default, for reading alone.

    Raises:
      UserError: the checkpoint or the data set is not there, or they are not of this run; or the
        model may be shown no images.
    """

    def __init__(self, facts: RunFacts, data_dir: str | None = None):
        self.facts = facts
        if "test" in facts.selected.split.split("+"):
            raise UserError(
                "its epoch was selected on test images, and a page does not read the test split."
            )
        run = FinishedRun.open(RunDirectory(facts.where), facts.config, "best")
        self.trained = run.trained
        if self.trained.spec.depends_on_batch:
            raise UserError(
                "it was made with tokens=batch: what it says of an image depends on the others of "
                "its batch."
            )
        self._data = run.data(data_dir)
        self.trained.spec.check_same_data(self._data.source, facts.where)

    @functools.cached_property
    def selected(self) -> Selected:
        """The split that selected the epoch."""
        examples = self._data.source.load(self.facts.selected.split, in_memory=True)
        return Selected(np.asarray(examples.images[:]), examples.labels)

    def samples(self, each: int) -> list[UInt8[np.ndarray, "S H W C"]]:
        """Training images of each class, the same at each call; fewer where there are fewer."""
        examples = self._data.source.load("train", in_memory=False)
        rng = np.random.default_rng(_SEED)
        made = []
        for label in range(len(self.trained.spec.labels)):
            rows = np.flatnonzero(examples.labels == label)
            drawn = np.sort(rng.permutation(rows)[:each])
            made.append(np.asarray(examples.images[drawn]))
        return made

    def counts(self) -> dict[str, list[int]]:
        """Images of each class in the training split and the one that selected."""
        number = len(self.trained.spec.labels)
        train = self._data.source.load("train", in_memory=False).labels
        return {
            "train": np.bincount(train, minlength=number).tolist(),
            self.facts.selected.split: np.bincount(self.selected.labels, minlength=number).tolist(),
        }

    def last_features(self) -> Features:
        """Features of all images of the split that selected, after the last epoch.

        Or at the selected epoch, whose centres are not kept, where there is no last one: a run that
        trains nothing has none.
        """
        facts, last = self.facts, checkpoint_files.newest(self.facts.where, "last")
        kind = "best" if last is None else "last"
        trained = TrainedModel.load(facts.where, kind, config=facts.config)
        graphdef, spec = trained.graphdef, trained.spec

        def run(weights: functional.Weights, images: Array) -> Array:
            return functional.forward(graphdef, weights, spec.preprocessing(images))[1]

        found = self._over(jax.jit(run), self.selected.images, trained.weights)
        return Features(found, None if last is None else last.centers(), kind)

    def robustness(self) -> dict[str, list[float]]:
        """Kind of damage -> accuracy without damage and at each strength, on the same images."""
        rows = damage.drawn(len(self.selected.labels))
        graphdef, spec = self.trained.graphdef, self.trained.spec

        @jax.jit
        def run(weights: functional.Weights, shown: Array) -> Array:
            logits, _ = functional.forward(graphdef, weights, spec.preprocessing(shown))
            return logits.argmax(axis=1)

        images, labels = self.selected.images[rows], self.selected.labels[rows]
        return damage.accuracies(lambda shown: self._over(run, shown), images, labels)

    def looked(self, rows: Sequence[int]) -> tuple[Looked, Float[np.ndarray, "B h w C"]]:
        """Where the model looks in some images, and these as it sees them, in grey levels."""
        images = self._shown(self.selected.images[list(rows)].astype(np.float32))
        return self.saliency(images), images

    @functools.cached_property
    def saliency(self) -> Saliency:
        """Shows where the model looks."""
        return Saliency(
            self.trained, self._shown(self.selected.images[:1].astype(np.float32)).shape[1:]
        )

    def gates(self) -> dict[str, Float[np.ndarray, "K _"]]:
        """The first and the last of the model's gates of channels: means over images of a class.

        NaN for a class without images; empty for a model without such gates.
        """
        names = list(dict.fromkeys([*self.saliency.gated[:1], *self.saliency.gated[-1:]]))
        if not names:
            return {}
        labels, number = self.selected.labels, len(self.trained.spec.labels)
        rows = [np.flatnonzero(labels == label)[:_GATED] for label in range(number)]

        @jax.jit
        def run(weights: functional.Weights, shown: Array) -> list[Array]:
            return self.saliency.gates(weights, shown, names)

        found = self._over(run, self.selected.images[np.concatenate(rows)])
        ends = np.cumsum([len(own) for own in rows])[:-1]
        return {
            name: np.stack(
                [
                    own.mean(axis=0) if len(own) else np.full(values.shape[1], np.nan)
                    for own in np.split(values, ends)
                ]
            )
            for name, values in zip(names, found, strict=True)
        }

    def _shown(self, images: np.ndarray) -> np.ndarray:
        """The view `single`: the crop of the centre where training had crops."""
        crop = self.trained.spec.preprocessing.crop
        (part,) = views.parts("single", crop=crop)
        return np.asarray(views.show(jnp.asarray(images), part))

    def _over(
        self,
        run: jax.stages.Wrapped,
        images: np.ndarray,
        weights: functional.Weights | None = None,
    ) -> Any:
        """`run(weights, images)` of all images, a padded batch at a time: an array, or a list."""
        weights = self.trained.weights if weights is None else weights
        made = []
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH].astype(np.float32)
            padded = np.concatenate(
                [batch, np.zeros((_BATCH - len(batch), *batch.shape[1:]), np.float32)]
            )
            found = jax.device_get(run(weights, self._shown(padded)))
            made.append(jax.tree.map(operator.itemgetter(slice(len(batch))), found))
        return jax.tree.map(lambda *parts: np.concatenate(parts), *made)


def opened(facts: Sequence[RunFacts], data_dir: str | None) -> tuple[dict[str, Seen], list[str]]:
    """The models whose checkpoint and data are there, and a sentence for each that is not."""
    found, said = {}, []
    for one in facts:
        try:
            found[one.name] = Seen(one, data_dir)
        except UserError as error:
            said.append(f"{one.name} is not shown any images: {error}")
    return found, said
