"""The operations of a model carry the names of its modules."""

import functools
import re

import jax
import jax.numpy as jnp
from flax import nnx

from ferjax import models
from ferjax.models import functional
from ferjax.models.layers.basic import Dense
from ferjax.performance.program import layers


def names(name, size, **options):
    """The scopes of the gradients' program, before a compiler touches it."""
    create = functools.partial(models.create, name, num_classes=7, width=8, image_size=size)
    model = nnx.eval_shape(lambda: create(rngs=nnx.Rngs(0), **options))
    graphdef, weights = functional.split_model(model)

    def loss(params, statistics):
        merged = functional.merge_model(graphdef, functional.Weights(params, statistics))
        return jnp.sum(merged(jnp.ones((2, size, size, 1)))[0] ** 2)

    program = jax.jit(jax.grad(loss)).lower(weights.params, weights.statistics)
    text = program.as_text(debug_info=True)
    return {layers.layer(name) for name in re.findall(r'loc\("([^"]*/[^"]*)"', text)}


def test_layers_are_named_as_in_the_model():
    found = names("resnet10", 16, attention="se", remat=True)
    expected = {"conv1", "layer1.0.bn1", "layer4.0.se.fc1", "layer2.0.downsample.0", "fc"}
    assert expected <= found
    assert {f"{name} (backward)" for name in expected} <= found


def test_the_trunks_of_a_fusion_are_told_apart():
    found = names("joint_fusion", 32, trunks=("resnet10", "resnet10"))
    assert {"trunk1.layer1.0.conv1", "trunk2.layer1.0.conv1"} <= found


def test_a_module_alone_has_no_name():
    dense = Dense(3, 2)
    assert dense.path == "" and dense(jnp.ones((4, 3))).shape == (4, 2)
