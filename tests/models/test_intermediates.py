"""Named intermediates: which there are, that the forward pass used them, and what they cost."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.models import functional, vgg
from ferjax.models.layers.attention import CBAM, SqueezeExcitation
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.layers.named import NamedModule

BATCH, CLASSES = 2, 7
TWO = ("resnet10", "vgg11")


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def split(name, size, *, abstract=False, **options):
    """Structure and weights of a small model in evaluation mode."""

    def made():
        return models.create(
            name, num_classes=CLASSES, image_size=size, rngs=nnx.Rngs(0), **{"width": 8, **options}
        )

    return functional.split_model(nnx.eval_shape(made) if abstract else made())


def recorded(graphdef, weights, images, added=None):
    """Logits, features and intermediates."""
    with models.recording(added) as values:
        logits, features = functional.forward(graphdef, weights, images)
    return logits, features, values


def shapes(name, size, **options):
    images = jax.ShapeDtypeStruct((BATCH, size, size, 1), jnp.float32)
    graphdef, weights = split(name, size, abstract=True, **options)
    *_, values = jax.eval_shape(functools.partial(recorded, graphdef), weights, images)
    return {name: (value.shape[1:], value.dtype.name) for name, value in values.items()}


def stages(*sizes, dtype="bfloat16"):
    return {f"layer{i}": ((*size, 8 * 2 ** (i - 1)), dtype) for i, size in enumerate(sizes, 1)}


SIDES = ((16, 16), (8, 8), (4, 4), (2, 2))
CASES = [
    (
        "resnet10",
        16,
        {"attention": "cbam", "dtype": "bfloat16"},
        stages(*SIDES)
        | {f"layer{i}.0.cbam.channel.gate": ((8 * 2 ** (i - 1),), "float32") for i in range(1, 5)}
        | {f"layer{i}.0.cbam.spatial.gate": (SIDES[i - 1], "float32") for i in range(1, 5)}
        | {"features": ((64,), "float32")},
    ),
    (
        "resnet10",
        16,
        {"attention": "se", "dtype": "bfloat16", "remat": True},
        stages(*SIDES)
        | {f"layer{i}.0.se.gate": ((8 * 2 ** (i - 1),), "bfloat16") for i in range(1, 5)}
        | {"features": ((64,), "float32")},
    ),
    (
        "vgg11",
        32,
        {},
        {
            f"stage{i}": ((32 // 2**i, 32 // 2**i, channels), "float32")
            for i, channels in enumerate((8, 16, 32, 64, 64), start=1)
        }
        | {"features": ((512,), "float32")},
    ),
    (
        "se_cnn",
        16,
        {"se_position": "conv", "dtype": "bfloat16"},
        {f"blocks.{i}": ((8 // 2**i, 8 // 2**i, 8 * 2**i), "bfloat16") for i in range(3)}
        | {f"blocks.{i}.se{j}.gate": ((8 * 2**i,), "bfloat16") for i in range(3) for j in (1, 2)}
        | {"features": ((32,), "float32")},
    ),
]


@pytest.mark.parametrize(("name", "size", "options", "expected"), CASES)
def test_names_shapes_and_types(name, size, options, expected):
    assert shapes(name, size, **options) == expected


@pytest.mark.parametrize("attention", ["concat", "multiply", "none"])
def test_the_attention_map_of_tam2021(attention):
    found = shapes("vgg19_attention", 64, attention=attention)
    assert found.get("attention_map") == (None if attention == "none" else ((2, 2), "float32"))
    assert {"stage5", "features"} <= found.keys()


@pytest.mark.parametrize(
    ("tokens", "attention"),
    [("space", (BATCH, 4, 4)), ("channel", (BATCH, 64, 64)), ("batch", (1, BATCH, BATCH))],
)
def test_the_intermediates_of_a_fusion(tokens, attention):
    images = jax.ShapeDtypeStruct((BATCH, 64, 64, 1), jnp.float32)
    graphdef, weights = split("attention_fusion", 64, abstract=True, trunks=TWO, tokens=tokens)
    *_, values = jax.eval_shape(functools.partial(recorded, graphdef), weights, images)
    assert values["token_attention"].shape == attention
    num_tokens = 4 if tokens == "space" else 1
    assert values["local.gate"].shape == (BATCH, num_tokens, 64)
    assert values["trunk1"].shape == values["trunk1.layer4"].shape == (BATCH, 2, 2, 64)
    assert values["trunk2"].shape == values["trunk2.stage5"].shape == (BATCH, 2, 2, 64)
    assert {"trunk1.layer1", "trunk2.stage1", "features"} <= values.keys()


def test_late_fusion_has_the_features_of_both_trunks():
    found = shapes("late_fusion", 32, trunks=TWO)
    assert found["trunk1.features"][0] == (64,) and found["trunk2.features"][0] == (512,)
    assert found["features"][0] == (128,)


def test_the_output_of_an_se_gate_follows_from_the_recorded_gate():
    x = draw(0, 2, 4, 4, 32).astype(jnp.bfloat16)
    gate = SqueezeExcitation(32)
    for layer in (gate.fc1, gate.fc2):
        layer.kernel[...] = draw(1, *layer.kernel.shape)
    with models.recording() as values:
        y = gate(x)
    np.testing.assert_array_equal(y, x * values["gate"][:, None, None, :])
    assert np.ptp(values["gate"].astype(jnp.float32)) > 0.01


@pytest.mark.parametrize("groups", [1, 2])
def test_the_output_of_cbam_follows_from_the_recorded_gates(groups):
    x = draw(0, 4, 5, 6, 16)
    norm, plain, cbam = BatchNorm(16, groups=groups), BatchNorm(16, groups=groups), CBAM(16)
    for layer in (norm, plain):
        layer.scale[...], layer.bias[...] = draw(1, 16), draw(2, 16)
    cbam.spatial.bn.scale[...] = jnp.ones(1)
    cbam.channel.path, cbam.spatial.path = "channel", "spatial"
    for layer in (cbam.channel.fc1, cbam.channel.fc2, cbam.spatial.conv):
        layer.kernel[...] = draw(3, *layer.kernel.shape)
    with models.recording() as values:
        maps, gate = cbam(norm.affine(x))
    y = maps * gate
    gates = values["channel.gate"][:, None, None, :] * values["spatial.gate"][..., None]
    np.testing.assert_allclose(y, plain(x) * gates, rtol=1e-5, atol=1e-5)
    assert min(np.ptp(gate) for gate in values.values()) > 0.01


def test_logits_follow_from_recorded_features_and_attention(monkeypatch):
    monkeypatch.setitem(vgg.LAYOUTS, "vgg19", ((64,), (64,), (64,), (64,), (512,)))
    graphdef, weights = split("vgg19_attention", 64, dtype="bfloat16")
    logits, features, values = jax.jit(functools.partial(recorded, graphdef))(
        weights, draw(0, BATCH, 64, 64, 1)
    )
    np.testing.assert_array_equal(features, values["features"])
    model = functional.merge_model(graphdef, weights)
    gate = values["attention_map"][..., None]
    assert gate.dtype == jnp.bfloat16
    maps = jnp.concatenate([values["stage5"], gate], axis=3)
    again = jax.nn.relu(model.fc1(maps.reshape(BATCH, -1))).astype(jnp.float32)
    np.testing.assert_allclose(features, again, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(logits, model.fc2(features), rtol=1e-5, atol=1e-6)


def test_self_attention_follows_from_the_recorded_weights():
    graphdef, weights = split("attention_fusion", 32, trunks=TWO, projections=True)
    model = functional.merge_model(graphdef, weights)
    first, second = draw(0, 2, 3, 5, 64)
    with models.recording() as values:
        attended = model.attend(first, second)
    both = jnp.concatenate([first, second], axis=2)
    value = (model.mlp2(jax.nn.relu(model.mlp1(both))) + first + second) / 3
    attention = values["token_attention"]
    np.testing.assert_allclose(attention.sum(axis=2), np.ones((3, 5)), rtol=1e-6)
    np.testing.assert_allclose(attended, attention @ value * value, rtol=1e-4, atol=1e-5)


def lowered(graphdef, weights):
    images = jax.ShapeDtypeStruct((BATCH, 32, 32, 1), jnp.float32)
    return jax.jit(functools.partial(functional.forward, graphdef)).lower(weights, images).as_text()


@pytest.mark.parametrize("attention", ["se", "cbam"])
def test_a_pass_that_is_not_recorded_has_the_program_without_names(monkeypatch, attention):
    model = split("resnet10", 32, abstract=True, attention=attention)
    program = lowered(*model)
    monkeypatch.setattr(NamedModule, "record", lambda self, name, value, *, drop=None: value)
    assert lowered(*model) == program


def test_gradients_with_respect_to_an_intermediate():
    """Zeros are added to the last map; behind it is a mean, here of one position, and a matrix."""
    graphdef, weights = split("resnet10", 16, stem="half", width=4)
    images = draw(0, BATCH, 16, 16, 1)

    @jax.jit
    @jax.grad
    def gradient(zeros):
        return recorded(graphdef, weights, images, {"layer4": zeros})[0][:, 3].sum()

    expected = np.asarray(weights.params["fc"]["kernel"])[:, 3]
    found = gradient(jnp.zeros((BATCH, 1, 1, 32)))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-5)


def test_an_addition_to_a_gate_has_the_recorded_shape():
    cbam, norm = CBAM(16), BatchNorm(16)
    cbam.channel.path, cbam.spatial.path = "channel", "spatial"
    x = draw(0, 2, 3, 3, 16)
    with models.recording({"spatial.gate": jnp.full((2, 3, 3), 0.25)}) as values:
        cbam(norm.affine(x))
    np.testing.assert_array_equal(values["spatial.gate"], np.full((2, 3, 3), 0.75))
    wrong = {"spatial.gate": jnp.zeros((2, 9))}
    message = r"gate has shape \(2, 9\); expected \(2, 3, 3\)"
    with pytest.raises(ValueError, match=message), models.recording(wrong):
        cbam(norm.affine(x))


def test_misuse_is_refused():
    gate, x = SqueezeExcitation(16), draw(0, 2, 3, 3, 16)
    compiled = jax.jit(lambda x: gate(x))
    message = r"gate is computed inside a function that jax\.jit"
    with pytest.raises(ValueError, match=message), models.recording():
        compiled(x)
    compiled(x)
    message = r"recording\(\) saw no forward pass"
    with pytest.raises(ValueError, match=message), models.recording():
        compiled(x)
    with pytest.raises(ValueError, match=r"gate was recorded twice"), models.recording():
        gate(gate(x))
    message = r"no intermediate 'gates'; it has gate\."
    with pytest.raises(ValueError, match=message), models.recording({"gates": x}):
        gate(x)
    with models.recording() as values:  # nothing is left of the refused ones
        gate(x)
    assert values.keys() == {"gate"}
