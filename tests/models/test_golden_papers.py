"""VGG, tam2021, luo2023 and the fusions of tran2023 agree with a PyTorch statement of them.

Every weight, bias, BN scale and statistic is random. The golden values are computed in float64 (see
tests/golden/make_papers.py). The rest are properties that the papers' specification states:
numbers of parameters, shapes of outputs, and which predictions depend on which images.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.models import functional
from ferjax.models.layers.frozen import Frozen
from ferjax.training import optimizer, step
from ferjax.training.objective import Objective
from tests.golden import cases, cases_papers, weights

CASES = {case.key: case for case in cases_papers.CASES}
POSITIONS = {key: position for position, key in enumerate(CASES)}
STEPS = [key for key, case in CASES.items() if case.step]
BATCH_TOKENS = [key for key, case in CASES.items() if case.options.get("tokens") == "batch"]
NUM_CLASSES = 7


@pytest.fixture(scope="module")
def golden():
    return cases.load(cases_papers.FILE)


def create(case):
    """The ferjax model of a case with the golden weights."""
    model = models.create(case.name, num_classes=NUM_CLASSES, rngs=nnx.Rngs(0), **case.arguments)
    models.weights.load_torchvision(model, case.state_dict())
    return model


def named(*trees):
    """The arrays of trees by their PyTorch names, float64, in PyTorch's layout."""
    arrays = {}
    for tree in trees:
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            name = models.weights.torchvision_name(tuple(entry.key for entry in path))
            array = np.asarray(leaf, np.float64)
            arrays[name] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    return arrays


def assert_close(actual, expected, tolerance=1e-5):
    """Every entry to `tolerance` of the largest entry."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("key", CASES)
def test_evaluation_mode(key, golden):
    case, position = CASES[key], POSITIONS[key]
    expected = golden["evaluation"][position]
    np.testing.assert_array_equal(case.checksums(), golden["checksums"][position], "other draws")
    images = jnp.asarray(case.inputs()[0])
    forward = jax.jit(functools.partial(functional.forward, *functional.split_model(create(case))))
    logits, features = forward(images)
    assert_close(logits, expected[:, :NUM_CLASSES])
    assert_close(cases_papers.summary(np.asarray(features)), expected[:, NUM_CLASSES:])

    # Its mates in the batch make no difference to an image, unless they are its tokens.
    mates = jnp.concatenate([images[:1], images[:0:-1] + 1.0])
    other = np.asarray(forward(mates)[0])
    if key in BATCH_TOKENS:
        assert np.abs(other[0] - logits[0]).max() > 1e-3 * np.abs(logits[0]).max()
    else:
        assert_close(other[0], np.asarray(logits[0]))


@pytest.mark.parametrize(
    "key", ["vgg13", "tam_none_bn", "luo_se", "space", "pooled", "channel", "joint", "late"]
)
def test_an_image_alone_is_classified_as_in_a_batch(key, golden):
    case = CASES[key]
    forward = jax.jit(functools.partial(functional.forward, *functional.split_model(create(case))))
    alone, _ = forward(jnp.asarray(case.inputs()[0][:1]))
    assert_close(alone, golden["evaluation"][POSITIONS[key]][:1, :NUM_CLASSES])


@pytest.mark.parametrize("key", STEPS)
def test_one_step_of_training(key, golden):
    """(new - old) / learning rate, by probes, and everything that no gradient moves."""
    case = CASES[key]
    graphdef, initial = functional.split_model(create(case))
    recipe = step.Recipe(
        graphdef=graphdef,
        optimizer=optimizer.optimizer(
            "sgd", learning_rate=cases_papers.LEARNING_RATE, momentum=0.0
        ),
        objective=Objective("softmax"),
    )
    state = step.init_state(recipe, initial, num_classes=NUM_CLASSES, num_features=1, seed=0)
    images, labels = case.inputs()
    update = jax.jit(functools.partial(step.train_step, recipe))
    weights_after = update(state, jnp.asarray(images), jnp.asarray(labels))[0].weights

    start = case.state_dict()
    trained, rest = named(weights_after.params), named(weights_after.statistics)
    moves = {k: (v - start[k]) / cases_papers.LEARNING_RATE for k, v in trained.items()}
    assert_probes(moves, golden[f"{key}_moves"], 1e-3)
    assert_probes(rest, golden[f"{key}_rest"], 1e-5)
    if case.name == "attention_fusion" and case.options.get("frozen", True):
        assert {k.split(".")[0] for k in moves} == {"mlp1", "mlp2", "local", "fc"}
        assert {k.split(".")[0] for k in rest} == {"trunk1", "trunk2"}
        for name, array in rest.items():
            np.testing.assert_array_equal(array, start[name], name)


def assert_probes(arrays, expected, tolerance):
    """Each array's product with its probe and its norm, to `tolerance` of the norm.

    A tensor without influence, as a bias before a batch norm, moves by rounding alone; PyTorch in
    float32 stays below 1e-5 there.
    """
    assert len(arrays) == expected.shape[1]
    for name, dot, norm in zip(sorted(arrays), *expected, strict=True):
        array = arrays[name]
        error = abs(np.vdot(array, weights.probe(name, array.shape)) - dot)
        limit = tolerance * norm if norm > 1e-9 else 1e-4
        assert error < limit, f"{name}: probe off by {error:.1e}, norm {norm:.1e}"
        assert abs(np.linalg.norm(array) - norm) < limit, name


@pytest.mark.parametrize("key", ["pooled", "pooled_projections"])
def test_one_token_attends_to_itself(key):
    """A softmax over one score is 1: SA = V * V, whatever query and key are."""
    case = CASES[key]
    depth, state = 8 * case.width, case.state_dict()
    rng = weights.generator(case.seed, "tokens")
    first, second = rng.standard_normal((2, 3, 1, depth)).astype(np.float32)
    hidden = np.concatenate([first, second], axis=2) @ state["mlp1.weight"].T + state["mlp1.bias"]
    mlp = np.maximum(hidden, 0.0) @ state["mlp2.weight"].T + state["mlp2.bias"]
    value = (mlp + first + second) / 3
    attended = create(case).attend(jnp.asarray(first), jnp.asarray(second))
    assert_close(attended, value * value)


R18, R34 = 11_176_512, 21_284_672
VGG13 = 9_404_992
FUSION, LOCAL = 2_103_303, 1_312_256
LARGE = {"channels": 3, "image_size": 224}
IMAGENET = {"channels": 3, "stem": "imagenet"}
SMALL = {"channels": 3, "stem": "small"}
SE, CBAM = {"attention": "se"}, {"attention": "cbam"}
# Model, options, parameters, those of them that training moves, parameters of parts by name.
SIZES = (
    ("resnet18", IMAGENET, 11_180_103, 11_180_103, {"fc.": 11_180_103 - R18}),
    ("resnet34", IMAGENET, 21_288_263, 21_288_263, {"fc.": 21_288_263 - R34}),
    ("resnet18", IMAGENET | SE, 11_269_183, 11_269_183, {}),
    ("resnet18", IMAGENET | SE | {"se_bias": False}, 11_267_143, 11_267_143, {}),
    ("resnet18", IMAGENET | CBAM, 11_269_983, 11_269_983, {}),
    ("resnet18", SMALL, 11_172_423, 11_172_423, {}),
    ("resnet18", SMALL | SE, 11_261_503, 11_261_503, {}),
    ("resnet18", SMALL | CBAM, 11_262_303, 11_262_303, {}),
    ("vgg11", LARGE, 128_795_015, 128_795_015, {"features.": 9_220_480}),
    ("vgg13", LARGE, 128_979_527, 128_979_527, {"features.": VGG13}),
    (
        "vgg19_attention",
        LARGE,
        123_018_409,
        123_018_409,
        {"features.": 20_024_384, "fc1.": 102_965_248, "fc2.": 28_679},
    ),
    ("vgg19_attention", LARGE | {"attention_bias": True}, 123_018_410, 123_018_410, {}),
    ("vgg19_attention", LARGE | {"attention": "none"}, 122_817_607, 122_817_607, {}),
    ("se_cnn", {}, 3_518_627, 3_518_627, {}),
    ("se_cnn", {"batch_norm": False}, 3_516_835, 3_516_835, {}),
    ("se_cnn", {"attention": None}, 3_507_399, 3_507_399, {}),
    ("se_cnn", {"attention": None, "batch_norm": False}, 3_505_607, 3_505_607, {}),
    (
        "attention_fusion",
        LARGE,
        34_564_487,
        FUSION,
        {"trunk1.": R18, "trunk2.": R34, "mlp": 787_456, "local.": LOCAL, "fc.": 3_591},
    ),
    ("attention_fusion", LARGE | {"local_attention": False}, 33_252_231, FUSION - LOCAL, {}),
    (
        "attention_fusion",
        LARGE | {"trunks": ("vgg13", "resnet34")},
        32_792_967,
        FUSION,
        {"trunk1.": VGG13, "trunk2.": R34},
    ),
    ("attention_fusion", LARGE | {"frozen": False}, 34_564_487, 34_564_487, {}),
    ("early_fusion", LARGE, R18 + R34 + 7_175, 7_175, {"fc.": 7_175}),
    ("joint_fusion", LARGE, R18 + R34 + 7_175, R18 + R34 + 7_175, {"fc.": 7_175}),
    ("late_fusion", LARGE, 11_180_103 + 21_288_263, 0, {}),
)


def build(name, options):
    return models.create(name, num_classes=NUM_CLASSES, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize("name, options, total, trained, parts", SIZES)
def test_numbers_of_parameters(name, options, total, trained, parts):
    model = nnx.eval_shape(functools.partial(build, name, options))
    assert models.parameter_count(model) == total
    assert size(model, nnx.Param) == trained
    for part, expected in parts.items():
        assert size(model, (nnx.Param, Frozen), part) == expected, part


def size(model, kinds, prefix=""):
    """The number of entries of the variables of some kinds whose names begin with `prefix`."""
    flat = nnx.to_flat_state(nnx.state(model, kinds))
    pairs = ((models.weights.torchvision_name(path), variable) for path, variable in flat)
    return sum(variable.size for name, variable in pairs if name.startswith(prefix))


@pytest.mark.parametrize(
    "name, options, depth",
    [
        ("resnet18", IMAGENET, 512),
        ("vgg11", LARGE, 4096),
        ("vgg19_attention", LARGE, 4096),
        ("se_cnn", {}, 256),
        ("attention_fusion", LARGE, 512),
        ("early_fusion", LARGE, 1024),
        ("joint_fusion", LARGE, 1024),
        ("late_fusion", LARGE, 1024),
    ],
)
def test_shapes_of_outputs_in_training_mode(name, options, depth):
    def outputs():
        model = build(name, options)
        model.train()
        side = options.get("image_size", 48)
        images = jnp.zeros((2, side, side, options.get("channels", 1)))
        return model(images, jax.random.split(jax.random.key(0), 2))

    shapes = [out.shape for out in jax.eval_shape(outputs)]
    assert shapes == [(2, NUM_CLASSES), (2, depth)]
