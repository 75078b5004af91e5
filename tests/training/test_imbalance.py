"""Classes that are rare: weights in the loss, and epochs in which all classes are as frequent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from ferjax.errors import UserError
from ferjax.training import experiment, objective
from tests.helpers import tiny

WEIGHTS = (0.5, 2.0, 1.0, 0.0, 3.0, 1.5, 0.25)


def scores(seed=0, count=8):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(count, 7)), jnp.float32), jnp.asarray(
        rng.integers(0, 7, count), jnp.int32
    )


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.repeat(np.arange(4), (1, 7, 20, 4))
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(objective.balanced_weights((1, 7, 20, 4)), expected)
    with pytest.raises(UserError, match="balanced, but class 1 has no training example"):
        objective.balanced_weights((3, 0, 2))


def test_the_mean_is_weighted():
    logits, labels = scores()
    weighted = objective.Objective(class_weights=WEIGHTS)
    loss, _ = weighted.loss(logits, jnp.zeros((8, 3)), labels, None)
    each = -np.asarray(jax.nn.log_softmax(logits))[np.arange(8), labels]
    importance = np.asarray(WEIGHTS)[np.asarray(labels)]
    assert float(loss) == pytest.approx((each * importance).sum() / importance.sum(), rel=1e-5)


def test_smoothing_keeps_the_weights_of_the_mean():
    """PyTorch 2: of class indices the divisor is the sum of the weights of the labels."""
    logits, labels = scores()
    smooth = objective.Objective(class_weights=WEIGHTS, label_smoothing=0.3)
    loss, _ = smooth.loss(logits, jnp.zeros((8, 3)), labels, None)
    weights, k = np.asarray(WEIGHTS), len(WEIGHTS)
    targets = 0.7 * np.eye(k)[np.asarray(labels)] + 0.3 / k
    total = -(targets * weights * np.asarray(jax.nn.log_softmax(logits))).sum()
    assert float(loss) == pytest.approx(total / weights[np.asarray(labels)].sum(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_parts_of_a_batch_average_to_the_weighted_loss_of_the_whole(smoothing):
    logits, labels = scores()
    weighted = objective.Objective(class_weights=WEIGHTS, label_smoothing=smoothing)
    features, whole_weight = jnp.zeros((8, 3)), weighted.mean_weight(labels)
    whole, _ = weighted.loss(logits, features, labels, None, mean_weight=whole_weight)
    pieces = [
        weighted.loss(
            logits[i::2], features[i::2], labels[i::2], None, mean_weight=whole_weight, parts=2
        )[0]
        for i in (0, 1)
    ]
    assert float(whole) == pytest.approx(float(sum(pieces)) / 2, rel=1e-5)
    alone, _ = weighted.loss(logits, features, labels, None)
    assert float(whole) == pytest.approx(float(alone), rel=1e-5)


def test_parts_of_a_batch_of_distributions_average_to_the_loss_of_the_whole():
    logits, labels = scores()
    targets = jnp.asarray(np.random.default_rng(1).dirichlet(np.ones(7), 8), jnp.float32)
    weighted = objective.Objective(class_weights=WEIGHTS)
    features, whole_weight = jnp.zeros((8, 3)), weighted.mean_weight(targets)

    def loss(rows, parts):
        return weighted.loss(
            logits[rows],
            features[rows],
            labels[rows],
            None,
            targets=targets[rows],
            mean_weight=whole_weight,
            parts=parts,
        )[0]

    each = -np.asarray(targets * jax.nn.log_softmax(logits)) @ np.asarray(WEIGHTS)
    whole = loss(slice(None), 1)
    assert float(whole) == pytest.approx(each.mean(), rel=1e-5)
    halves = [loss(slice(i, None, 2), 2) for i in (0, 1)]
    assert float(whole) == pytest.approx(float(sum(halves)) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1+2", r"class_weights has 2 numbers, '1\+2'; expected 7, one for each class: angry"),
        ("1+1+1+1+1+1+inf", r"class_weights\[6\] is inf"),
    ],
)
def test_other_weights_are_refused(data_dir, text, message):
    with pytest.raises(UserError, match=message):
        _ = experiment.build(tiny.config(data_dir, loss__class_weights=text)).recipe


def test_a_config_reaches_the_loss(data_dir):
    given = experiment.build(tiny.config(data_dir, loss__class_weights="1+1+2+1+1+1+1"))
    assert given.recipe.objective.class_weights == (1, 1, 2, 1, 1, 1, 1)
    balanced = experiment.build(tiny.config(data_dir, loss__class_weights="balanced"))
    # The synthetic classes are balanced already.
    assert balanced.recipe.objective.class_weights == (1.0,) * 7


def test_a_repeated_example_is_augmented_anew():
    """Else an epoch that repeats a rare example would show the same picture of it every time."""
    from ferjax.data.pipeline.augment import example_keys

    indices = jnp.array([5, 5, 5], jnp.int32)
    keys = example_keys(0, jnp.int32(2), indices, jnp.array([0, 1, 2], jnp.int32))
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 3
    same = example_keys(0, jnp.int32(2), indices)
    assert len({tuple(jax.random.key_data(key).tolist()) for key in same}) == 1


def test_a_batch_of_classes_without_weight_is_no_reason_to_stop():
    logits, _ = scores()
    weighted = objective.Objective(class_weights=(1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0))
    labels = jnp.ones(8, jnp.int32)
    loss, _ = weighted.loss(
        logits, jnp.zeros((8, 3)), labels, None, mean_weight=weighted.mean_weight(labels)
    )
    assert float(loss) == 0.0


def test_micro_batches_are_divided_by_the_weights_of_their_whole_batch(data_dir):
    """Else each would count alike, whatever classes it happens to hold. Nothing else couples the
    examples of this model: it has no batch norm.
    """
    losses = []
    for micro_batches in (1, 4):
        config = tiny.module("se_cnn").get_config(
            "dataset=synthetic,attention=none,batch_norm=false"
        )
        config.dataset.data_dir = str(data_dir)
        config.dataset.options.update(image_size=16, num_train=28, num_validation=7, num_test=7)
        config.model.update(width=8, image_size=16)
        config.train.batch_size = 8
        config.evaluation.batch_size = 8
        config.loss.class_weights = "+".join(map(str, WEIGHTS))
        config.optimizer.accumulation_steps = micro_batches
        run = experiment.build(config)
        batches = run.training_input()
        _, metrics = run.train_step(run.states.fresh(), batches.table, next(batches))
        batches.close()
        losses.append(float(metrics["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
