"""A whole network in the forms that are lowered for TPUs, which any platform can run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from ferjax import models
from ferjax.models import functional


def as_on_tpus(*arguments, default=None, **branches):
    return branches.get("tpu", default)(*arguments)


def gradients(dtype: str) -> tuple[jax.Array, list[np.ndarray]]:
    """Logits of a training pass, and every gradient; width 16 has narrow and wide maps."""
    model = models.create(
        "resnet10", num_classes=7, attention="cbam", width=16, dtype=dtype, rngs=nnx.Rngs(0)
    )
    for _, module in nnx.iter_modules(model):
        if type(module).__name__ == "BatchNorm":  # scales of both signs
            shape = module.scale.shape
            signs = np.random.default_rng(1).choice([-1.1, 0.9], shape)
            module.scale[...] = jnp.asarray(signs, jnp.float32)
    graphdef, weights = functional.split_model(model)
    images = jnp.asarray(np.random.default_rng(2).standard_normal((8, 24, 24, 1)), jnp.float32)

    def objective(params):
        trained = functional.merge_model(graphdef, functional.Weights(params, weights.statistics))
        trained.train()
        logits = trained(images)[0]
        return jnp.sum(jnp.sin(jnp.arange(logits.size).reshape(logits.shape)) * logits), logits

    found, logits = jax.jit(jax.grad(objective, has_aux=True))(weights.params)
    return logits, [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(found)]


@pytest.mark.parametrize(("dtype", "least"), [("float32", 0.99999), ("bfloat16", 0.98)])
def test_gradients_agree_with_those_of_other_platforms(monkeypatch, dtype, least):
    logits, expected = gradients(dtype)
    monkeypatch.setattr(lax, "platform_dependent", as_on_tpus)
    jax.clear_caches()
    found_logits, found = gradients(dtype)
    tolerance = 1e-3 if dtype == "float32" else 0.1
    np.testing.assert_allclose(found_logits, logits, rtol=0, atol=tolerance)
    assert len(found) > 50
    whole = [np.concatenate(leaves) for leaves in (found, expected)]
    pairs = [whole] if dtype == "bfloat16" else [whole, *zip(found, expected, strict=True)]
    for one, other in pairs:
        lengths = np.linalg.norm(one), np.linalg.norm(other)
        assert lengths[1] > 0
        assert one @ other / np.prod(lengths) > least
        assert lengths[0] == pytest.approx(lengths[1], rel=2e-2)
