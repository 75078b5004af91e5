"""Weights under torchvision's names, copied into a model by name and never by order."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

from ferjax.errors import UserError
from ferjax.models.frozen import Frozen

_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
_IGNORED = "num_batches_tracked"


def load_torchvision(model: nnx.Module, state_dict: Mapping[str, np.ndarray]) -> None:
    """Copies a torchvision-named state dict into `model`, in place.

    Args:
      model: a model whose modules carry torchvision's names (`layer1.0.conv1`, `fc`, ...).
      state_dict: name -> array in PyTorch's layout: convolutions [O, I, H, W], dense [O, I],
        batch norms weight, bias, running_mean, running_var [C].

    Raises:
      UserError: a name or a shape that differs; the first differences are listed and the model is
        left as it was.
    """
    flat = nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat, Frozen)))
    given = {name: array for name, array in state_dict.items() if not name.endswith(_IGNORED)}
    problems, updates = [], []
    for path, variable in flat:
        name = torchvision_name(path)
        array = given.pop(name, None)
        if array is None:
            problems.append(f"{name} is missing")
            continue
        array = _from_torch_layout(np.asarray(array))
        if array.shape != variable.shape:
            problems.append(f"{name} has shape {array.shape}, the model {variable.shape} (HWIO)")
            continue
        updates.append((path, variable.replace(jnp.asarray(array, variable.dtype))))
    problems.extend(f"{name} has no place in the model" for name in given)
    if problems:
        shown = "; ".join(problems[:5])
        raise UserError(
            f"These weights do not fit the model ({len(problems)} differences): {shown}. "
            "Build the model with the architecture, channels and classes of the weights."
        )
    nnx.update(model, nnx.from_flat_state(updates))


def torchvision_name(path: tuple) -> str:
    """The torchvision name of a variable's path: ("bn1", "mean") -> "bn1.running_mean"."""
    *parents, leaf = (str(part) for part in path)
    return ".".join([*parents, _LEAVES.get(leaf, leaf)])


def _from_torch_layout(array: np.ndarray) -> np.ndarray:
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T  # dense [O, I] and one-dimensional convolutions [O, I, p]
