"""The fused forms of what stands behind a batch norm equal their plain forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType

from ferjax.models.ops import affine
from ferjax.models.ops.affine import Affine
from ferjax.models.ops.gradients import LANES


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def plain(maps):
    return maps.slope[:, None, None, :] * maps.x + maps.offset[:, None, None, :]


SIGN = jnp.asarray([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
MAPS = Affine(draw(0, 3, 4, 5, 6), SIGN[None, :] * abs(draw(1, 3, 6)), draw(2, 3, 6), SIGN)


def assert_same(ours, theirs, *arguments):
    """Equal results, and gradients by every argument."""
    results, vjp = jax.vjp(ours, *arguments)
    expected, expected_vjp = jax.vjp(theirs, *arguments)
    upstream = jax.tree.map(lambda array: draw(9, *array.shape), expected)
    for pair in ((results, expected), (vjp(upstream), expected_vjp(upstream))):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *pair)


def test_pooled_values():
    assert_same(
        affine.pool,
        lambda maps: (plain(maps).mean(axis=(1, 2)), plain(maps).max(axis=(1, 2))),
        MAPS,
    )


def test_a_gate():
    gate = jax.nn.sigmoid(draw(3, 3, 6))
    assert_same(affine.scale, lambda maps, gate: gate[:, None, None, :] * plain(maps), MAPS, gate)


def test_terms_of_groups_for_each_sample():
    def plain(slope, offset):
        return jnp.repeat(slope, 3, axis=0), jnp.repeat(offset, 3, axis=0)

    terms = draw(0, 2, 5), draw(1, 2, 5)
    assert_same(lambda *terms: affine.for_each_sample(*terms, 6), plain, *terms)


@pytest.mark.parametrize(
    ("channels", "devices", "is_kept"),
    [(LANES - 1, 1, False), (LANES - 1, 2, True), (LANES, 1, True), (LANES, 2, True)],
)
def test_the_gradients_of_a_gate_on_tpus(channels, devices, is_kept):
    shape = (LANES, 1, 2, channels)
    x, upstream = draw(0, *shape).astype(jnp.bfloat16), draw(2, *shape)
    arguments = x, draw(1, LANES, channels), upstream

    def on_devices(*arguments):
        mesh = AbstractMesh((devices,), ("data",), axis_types=(AxisType.Auto,))
        with jax.sharding.use_abstract_mesh(mesh):
            return affine._scale_gradients_on_tpu(*arguments)

    expected = affine._scale_gradients(*arguments)
    found = affine._scale_gradients_on_tpu(*arguments)
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = (array.astype(jnp.float32) for array in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=3e-2)
    jaxpr = str(jax.make_jaxpr(on_devices)(*arguments))
    assert ("optimization_barrier" in jaxpr) == is_kept
