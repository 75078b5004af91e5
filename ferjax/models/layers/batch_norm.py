"""The batch normalisation layer: the functions of `ops.batch_norm` with PyTorch's running averages.

Shapes: B batch, C channels, G groups of the batch; "..." any axes between batch and channels.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from ferjax.models.layers.named import NamedModule, in_named_scope
from ferjax.models.ops import convolution
from ferjax.models.ops.affine import Affine, for_each_sample
from ferjax.models.ops.batch_norm import batch_norm, batch_norm_max_pool, moments


class BatchNorm(NamedModule):
    """Batch normalisation over all axes but the last.

    In training mode (`use_running_average` is False; `model.train()` and `model.eval()` set it) the
    statistics of the batch normalise, and the running statistics move by PyTorch's rule:
    running = momentum * running + (1 - momentum) * batch, with the unbiased variance.

    After `folding.fold` the convolution before it computes what it computed, and it does nothing.

    Args:
      num_features: channels C.
      momentum: weight of the old running statistics; 0.9 is PyTorch's `momentum=0.1`.
      epsilon: added to the variance.
      groups: contiguous parts of the batch with statistics of their own; the running statistics
        move by the mean over the groups.
      initial_scale: first value of every scale.
    """

    def __init__(
        self,
        num_features: int,
        *,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        groups: int = 1,
        initial_scale: float = 1.0,
    ):
        shape = (num_features,)
        self.scale = nnx.Param(jnp.full(shape, initial_scale, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(shape, jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros(shape, jnp.float32))
        self.var = nnx.BatchStat(jnp.ones(shape, jnp.float32))
        self.momentum = momentum
        self.epsilon = epsilon
        self.groups = groups
        self.use_running_average = False
        self.is_folded = False

    def __call__(self, x: Float[Array, "B ... C"]) -> Float[Array, "B ... C"]:
        """Normalises x, in its own type; in training mode also moves the running statistics."""
        if self.use_running_average:
            return self._fixed(x)
        return self._move(x, *batch_norm(x, self.scale[...], self.bias[...], **self._options()))

    def max_pool(
        self, x: Float[Array, "B H W C"], *, window: int, stride: int, padding: int
    ) -> Float[Array, "B h w C"]:
        """Max-pools `self(x)`, which is not written to memory; see `batch_norm_max_pool`."""
        sizes: dict[str, Any] = {"window": window, "stride": stride, "padding": padding}
        if self.use_running_average:
            return convolution.max_pool(self._fixed(x), **sizes)
        results = batch_norm_max_pool(
            x, self.scale[...], self.bias[...], **self._options(), **sizes
        )
        return self._move(x, *results)

    @in_named_scope
    def affine(self, x: Float[Array, "B H W C"]) -> Affine:
        """Returns `self(x)` as slope x + offset, not computed, for a layer that joins itself to it.

        In training mode this moves the statistics.
        """
        if self.is_folded:
            ones = jnp.ones((x.shape[0], x.shape[-1]), jnp.float32)
            return Affine(x, ones, jnp.zeros_like(ones), ones[0])
        mean, var = self.mean[...][None, :], self.var[...][None, :]
        if not self.use_running_average:
            shift = lax.stop_gradient(self.mean[...])
            mean, var = moments(x, shift=shift, groups=self.groups)
            self._move(x, x, mean, var)
        slope = self.scale[...][None, :] * lax.rsqrt(var + self.epsilon)
        offset = self.bias[...][None, :] - mean * slope
        # One row for each group, or one in evaluation mode; from here on one for each sample.
        slope, offset = for_each_sample(slope, offset, x.shape[0])
        sign = jnp.where(lax.stop_gradient(self.scale[...]) < 0, -1.0, 1.0)
        return Affine(x, slope, offset, sign)

    def _options(self) -> dict[str, Any]:
        shift = lax.stop_gradient(self.mean[...])
        return {"shift": shift, "epsilon": self.epsilon, "groups": self.groups}

    def fixed_terms(self) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
        """Slope and offset of the map that evaluation mode computes."""
        slope = self.scale[...] * lax.rsqrt(self.var[...] + self.epsilon)
        return slope, self.bias[...] - self.mean[...] * slope

    def _fixed(self, x: Float[Array, "B ... C"]) -> Float[Array, "B ... C"]:
        if self.is_folded:
            return x
        slope, offset = self.fixed_terms()
        leading = (1,) * (x.ndim - 1)
        y = x.astype(jnp.float32) * slope.reshape(*leading, -1) + offset.reshape(*leading, -1)
        return y.astype(x.dtype)

    def _move(
        self,
        x: Float[Array, "B ... C"],
        y: Float[Array, "B ... C"],
        mean: Float[Array, "G C"],
        var: Float[Array, "G C"],
    ) -> Float[Array, "B ... C"]:
        """Moves the running statistics by the batch statistics of x, and returns y."""
        count = x.size // (x.shape[-1] * self.groups)
        unbiased = var * (count / max(count - 1, 1))
        self.mean[...] = self._moved(self.mean[...], mean)
        self.var[...] = self._moved(self.var[...], unbiased)
        return y

    def _moved(self, running: Float[Array, " C"], batch: Float[Array, "G C"]) -> Float[Array, " C"]:
        # Each group moves them, and then the mean is taken: where a device has a group, nothing but
        # the sum over devices is left to do after the pass that made the statistics.
        moved = self.momentum * running[None, :] + (1 - self.momentum) * lax.stop_gradient(batch)
        return jnp.sum(moved / self.groups, axis=0)
