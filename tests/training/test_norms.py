"""The norm of a tree, in the form of each platform."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ferjax.training import norms

SHAPES = {"small": (7,), "kernel": (3, 3, 32, 40), "one": (), "matrix": (200, 50), "row": (9000,)}


def tree():
    rng = np.random.default_rng(0)
    draw = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    return {"layer": jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), draw)}


def test_it_is_the_norm_of_all_elements():
    found = jax.jit(norms.norm)(tree())
    np.testing.assert_allclose(found, optax.tree.norm(tree()), rtol=1e-6)
    leaves = jax.tree.leaves(tree())
    np.testing.assert_allclose(jnp.sqrt(norms._separately(*leaves)), found, rtol=1e-6)
    assert norms.norm({}) == 0


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_what_is_not_finite_makes_it_so(name, value):
    leaves = tree()
    first = (0,) * len(SHAPES[name])
    leaves["layer"][name] = leaves["layer"][name].at[first].set(value)
    assert not jnp.isfinite(norms.norm(leaves))
