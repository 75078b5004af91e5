"""The register of models, and the facts that a class states of its models."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from ferjax import models
from ferjax.errors import UserError
from ferjax.models import weights

SMALL = {"num_classes": 7, "image_size": 32, "width": 8}


def build(name, **options):
    if "trunks" in models.options(name):
        options.setdefault("trunks", ("resnet10", "vgg11"))
    fields = {**SMALL, **options}
    return nnx.eval_shape(lambda: models.create(name, rngs=nnx.Rngs(0), **fields))


@pytest.mark.parametrize("name", models.NAMES)
def test_the_facts_of_a_class_are_those_of_its_models(name):
    model, facts = build(name), models.model_class(name)
    assert type(model) is facts
    assert facts.is_trainable == bool(jax.tree.leaves(nnx.state(model, nnx.Param)))
    assert (facts.classifier_name is not None) == facts.is_trainable
    if facts.classifier_name is not None:
        kernel = weights.shapes(model)[f"{facts.classifier_name}.weight"]
        assert kernel.shape[-1] == SMALL["num_classes"]


@pytest.mark.parametrize("name", models.NAMES)
def test_only_the_fusion_of_tokens_of_a_batch_depends_on_it(name):
    facts = models.model_class(name)
    assert not facts.depends_on_batch({})
    assert not facts.depends_on_batch({"name": name, "tokens": "space"})
    expected = name == "attention_fusion"
    assert facts.depends_on_batch({"name": name, "tokens": "batch"}) == expected


@pytest.mark.parametrize("name", [name for name in models.NAMES if name.endswith("_fusion")])
def test_what_a_fusion_leaves_out_of_its_trunks(name):
    unused = models.model_class(name).unused_in_trunks
    inside = {path.split(".")[1] for path in weights.shapes(build(name)) if path[:5] == "trunk"}
    for trunk in ("resnet10", "vgg11"):
        classifier = models.model_class(trunk).classifier_name.split(".")[0]
        assert (classifier in unused) != (classifier in inside)


@pytest.mark.parametrize("name", models.NAMES)
def test_the_keywords_of_a_class_are_the_options(name):
    """Every option can be given by its own default, and has one."""
    defaults = dict(models.options(name))
    assert "common" not in defaults and "num_classes" not in defaults
    build(name, **{key: value for key, value in defaults.items() if key not in ("width", "trunks")})


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("resnet81", {}, r"model is 'resnet81'; expected one of resnet10, .*'resnet18'"),
        ("se_cnn", {"stem": "half"}, r"se_cnn has no option 'stem'; it has attention, se_posi"),
        ("resnet18", {"widht": 8}, r"resnet18 has no option 'widht'.*Did you mean 'width'"),
        ("resnet18", {"attention": "cbma"}, r"attention is 'cbma'; expected one of none, se, c"),
        ("resnet18", {"width": 0}, r"width is 0; it must be at least 1"),
        ("resnet18", {"image_size": 8}, r"image_size is 8; it must be at least 16"),
        ("vgg11", {"image_size": 31}, r"image_size is 31; it must be at least 32"),
        ("se_cnn", {"image_size": 7}, r"image_size is 7; it must be at least 8"),
        ("vgg19_attention", {"image_size": 48}, r"vgg19_attention needs a positive multiple of 32"),
        ("late_fusion", {"trunks": "vgg11"}, r"trunks is 'vgg11'; expected two of resnet10"),
        ("late_fusion", {"trunks": ("vgg11", "se_cnn")}, r"trunks is 'se_cnn'; expected one of"),
        ("late_fusion", {"image_size": 16}, r"image_size is 16; it must be at least 32"),
        ("joint_fusion", {"trunks": ("vgg11", "vgg13"), "remat": True}, r"has no ResNet in it"),
        ("se_cnn", {"remat": True}, r"remat is True, but se_cnn has no ResNet in it"),
    ],
)
def test_what_does_not_exist_is_named(name, fields, message):
    fields = {"trunks": ("resnet10", "vgg11"), **fields} if name.endswith("_fusion") else fields
    with pytest.raises(UserError, match=message):
        models.create(name, rngs=nnx.Rngs(0), **{**SMALL, **fields})


def test_a_fusion_recomputes_its_resnet_alone():
    model = build("attention_fusion", remat=True)
    assert model.trunk1.remat and not hasattr(model.trunk2, "remat")


def test_a_model_gives_logits_and_features():
    model = build("early_fusion")
    images = jax.ShapeDtypeStruct((2, 32, 32, 1), jnp.float32)
    logits, features = nnx.eval_shape(lambda model, images: model(images), model, images)
    assert logits.shape == (2, 7) and features.shape == (2, 128)
