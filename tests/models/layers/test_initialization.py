"""How weights start: the distribution of each kernel, by its closed form."""

import jax
import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.models.layers import initialization


def parameters(name, **fields):
    model = models.create(name, num_classes=7, rngs=nnx.Rngs(3), **fields)
    leaves = jax.tree_util.tree_flatten_with_path(nnx.state(model, nnx.Param))[0]
    return {
        jax.tree_util.keystr(path[:-1], simple=True, separator="."): np.asarray(leaf)
        for path, leaf in leaves
    }


def test_the_cnn_of_luo2023_starts_as_keras_does():
    """Glorot uniform: within sqrt(6 / (fan-in + fan-out)), and as far as there."""
    found = parameters("se_cnn", width=16, image_size=16)
    kernels = {name: leaf for name, leaf in found.items() if "kernel" in name}
    assert len(kernels) == 6 + 6 + 2  # convolutions, gates, dense layers
    for name, kernel in kernels.items():
        field = 9 if kernel.ndim == 4 else 1
        limit = np.sqrt(6 / (field * kernel.shape[-2] + field * kernel.shape[-1]))
        assert np.abs(kernel).max() <= limit * (1 + 1e-6), name
        if kernel.size > 1000:  # enough to say where it ends
            assert np.abs(kernel).max() > 0.99 * limit, name
            assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05), name
    biases = [leaf for name, leaf in found.items() if name.split(".")[-1] == "bias"]
    assert len(biases) == 14 + 6 and not any(leaf.any() for leaf in biases)


def test_a_resnet_starts_he_normal_over_the_fan_out():
    kernel = parameters("resnet10", width=16)["layer3.0.conv1.kernel"]
    stddev = np.sqrt(2 / (9 * kernel.shape[-1]))
    assert kernel.std() == pytest.approx(stddev, rel=0.02)
    # Cut at two deviations of the normal distribution before the cut.
    assert np.abs(kernel).max() <= 2 * stddev / initialization.TRUNCATED_STDDEV * (1 + 1e-6)


class Both(nnx.Module):
    def __init__(self):
        self.one = initialization.lecun_normal((50, 40))
        self.two = initialization.glorot_uniform((50, 40))
        self.three = initialization.lecun_normal((50, 40))


def test_both_distributions_in_one_model_are_independent():
    model = Both()
    initialization.initialize(model, jax.random.key(0))
    drawn = [np.asarray(one[...]).ravel() for one in (model.one, model.two, model.three)]
    assert np.abs(np.corrcoef(drawn) - np.eye(3)).max() < 0.1
    assert np.abs(drawn[1]).max() <= np.sqrt(6 / 90) < np.abs(drawn[0]).max()
