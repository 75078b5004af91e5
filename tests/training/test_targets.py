"""FER+ in training: the class of most votes, all votes at once, or one drawn at each visit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.data import catalog
from ferjax.data.pipeline.augment import example_keys
from ferjax.data.prepare import preparation
from ferjax.random_streams import ExampleStream
from ferjax.training import compiled_step, experiment
from tests.helpers import fake_fer_plus, tiny


@pytest.fixture(scope="module")
def fer_plus(tmp_path_factory):
    """A small FER+, prepared."""
    folder = tmp_path_factory.mktemp("fer_plus")
    source = fake_fer_plus.write_csv_form(folder / "source")
    preparation.prepare(fake_fer_plus.SPEC, source, folder / "data")
    return folder / "data"


def parts_of(data_dir, target, placement="device", loss="softmax"):
    made = tiny.module().get_config(
        f"dataset=fer_plus,attention=none,loss={loss},target={target},dtype=float32"
    )
    made.dataset.data_dir = str(data_dir)
    made.dataset.placement = placement
    made.model.update(name="resnet10", width=8, image_size=16, stem="half")
    made.train.batch_size = 4
    made.evaluation.batch_size = 4
    return experiment.build(made)


def first_step(run):
    batches = run.training_input()
    batch = next(batches)
    state, metrics = run.train_step(run.states.fresh(), batches.table, batch)
    batches.close()
    return np.asarray(batch.indices), state, jax.device_get(metrics)


@pytest.mark.parametrize(
    ("target", "loss"),
    [("majority", "island"), ("probability", "island"), ("cross_entropy", "island")],
)
def test_every_target_trains_and_is_tested_by_majority(fer_plus, target, loss):
    run = parts_of(fer_plus, target, loss=loss)
    assert run.spec.labels == catalog.FER_PLUS.labels.names
    _, state, metrics = first_step(run)
    assert metrics["finite"] == 1
    assert run.data.examples("test").targets is None
    scores = run.evaluator.over(run.data, "validation", ("single",))(state.evaluated)["single"][
        "validation"
    ]
    assert scores["num_examples"] == len(run.data.examples("validation"))


def by_hand(run, indices):
    """Log-probabilities of the first batch, and the keys of its examples."""
    model = run.model(run.config.seed)
    model.train()
    keys = example_keys(run.config.seed, jnp.int32(0), jnp.asarray(indices))
    images = jnp.asarray(run.data.examples("train").images[indices], jnp.float32)
    logits, _ = model(run.spec.preprocessing(run.augmentation(images, keys)))
    return np.asarray(jax.nn.log_softmax(logits)), keys


def test_cross_entropy_is_that_with_the_shares_of_the_votes(fer_plus):
    run = parts_of(fer_plus, "cross_entropy", "stream")
    indices, _, metrics = first_step(run)
    targets = run.data.examples("train").targets[indices]
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, rtol=1e-6)
    assert (targets.max(axis=1) < 1).any(), "some votes are split"
    expected = -(targets * by_hand(run, indices)[0]).sum(axis=1).mean()
    assert metrics["softmax_loss"] == pytest.approx(expected, rel=1e-4)


def test_probability_is_the_cross_entropy_of_one_drawn_class(fer_plus):
    run = parts_of(fer_plus, "probability")
    indices, _, metrics = first_step(run)
    targets = jnp.asarray(run.data.examples("train").targets[indices])
    log_probabilities, keys = by_hand(run, indices)
    apart = jax.vmap(lambda key: jax.random.fold_in(key, ExampleStream.LABEL))(keys)
    labels = np.asarray(compiled_step.drawn_labels(apart, targets))
    expected = -log_probabilities[np.arange(len(labels)), labels].mean()
    assert metrics["softmax_loss"] == pytest.approx(expected, rel=1e-4)
    shared = -(targets * log_probabilities).sum(axis=1).mean()
    assert abs(float(shared) - expected) > 1e-3, "else this would not tell the two apart"


def test_drawn_classes_have_the_frequencies_of_the_votes():
    targets = jnp.array([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]], jnp.float32)
    draw = jax.jit(compiled_step.drawn_labels)
    counts = np.zeros((2, 3))
    for epoch in range(400):
        keys = example_keys(3, jnp.int32(epoch), jnp.array([0, 1], jnp.int32))
        counts[np.arange(2), np.asarray(draw(keys, targets))] += 1
    # A binomial share of 400 has a standard deviation of 0.022.
    np.testing.assert_allclose(counts / 400, targets, atol=0.08)
    assert counts[0, 0] == 0 and counts[1, 0] == 400


def test_a_drawn_class_depends_on_seed_epoch_and_example_alone():
    rng = np.random.default_rng(0)
    targets = jnp.asarray(rng.dirichlet(np.ones(8), 50), jnp.float32)
    indices = jnp.arange(50, dtype=jnp.int32)

    def draw(epoch, order):
        keys = example_keys(0, jnp.int32(epoch), indices[order])
        return np.asarray(compiled_step.drawn_labels(keys, targets[order]))

    order = rng.permutation(50)
    np.testing.assert_array_equal(draw(1, np.arange(50))[order], draw(1, order))
    assert (draw(1, order) != draw(2, order)).any()
