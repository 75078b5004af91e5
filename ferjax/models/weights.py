"""Loads torchvision's state dicts and the weights of other runs, by name and never by order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ferjax.errors import UserError
from ferjax.models.layers.frozen import Frozen
from ferjax.models.resnet import STEMS
from ferjax.models.weight_files import COUNTER
from ferjax.models.weight_files import read as read

_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
_RESNET_STEM = "conv1.weight"
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Loaded:
    """The outcome of loading weights into a model.

    Attributes:
      names: weights of the model that were copied.
      fresh: weights of the model that kept their initial values.
      unused: weights of the source that were not copied.
    """

    names: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def load_torchvision(model: nnx.Module, state_dict: Mapping[str, np.ndarray]) -> None:
    """Copies a torchvision-named state dict into `model`, in place.

    Args:
      model: a model whose modules carry torchvision's names (`layer1.0.conv1`, `fc`, ...).
      state_dict: name -> array in PyTorch's layout: convolutions [O, I, H, W], dense [O, I],
        batch norms weight, bias, running_mean, running_var [C].

    Raises:
      UserError: a name or a shape differs. The message lists the first differences; the model is
        not changed.
    """
    load(model, from_torch(state_dict), source="These weights")


def from_torch(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same names, with arrays in ferjax's layout: convolutions HWIO, dense [I, O]."""
    return {
        name: _from_torch_layout(np.asarray(array))
        for name, array in state_dict.items()
        if not name.endswith(COUNTER)
    }


def named(model: nnx.Module) -> dict[str, np.ndarray]:
    """Every weight of a model under its torchvision name, in ferjax's layout."""
    return {torchvision_name(path): np.asarray(v[...]) for path, v in _variables(model)}


def shapes(model: nnx.Module) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and type of every weight under its torchvision name; the model may be abstract."""
    return {
        torchvision_name(path): jax.ShapeDtypeStruct(v.shape, v.dtype)
        for path, v in _variables(model)
    }


def statistics(model: nnx.Module) -> tuple[str, ...]:
    """The torchvision names of the running statistics of batch norm."""
    flat = nnx.to_flat_state(nnx.state(model, nnx.BatchStat))
    return tuple(torchvision_name(path) for path, _ in flat)


def load(
    model: nnx.Module,
    arrays: Mapping[str, np.ndarray],
    *,
    source: str,
    leave: tuple[str, ...] = (),
    inside: str = "",
) -> Loaded:
    """Copies weights by name into `model`, in place; all of them must match.

    Args:
      model: to be given the weights.
      arrays: name -> array in ferjax's layout.
      source: the weights as the subject of a message, as "These weights".
      leave: modules to skip, in the model and in the source, as ("fc",).
      inside: path of the part of the model that the weights are for, as "trunk1"; "" for all of it.

    Raises:
      UserError: a name or a shape differs. The message lists the first differences; the model is
        not changed.
    """
    loaded = check(model, arrays, source=source, leave=leave, inside=inside)
    prefix = _prefix(inside)
    taken = set(loaded.names)
    updates = []
    for path, variable in _variables(model):
        name = torchvision_name(path)
        if name in taken:
            array = jnp.asarray(arrays[name.removeprefix(prefix)], variable.dtype)
            updates.append((path, variable.replace(array)))
    nnx.update(model, nnx.from_flat_state(updates))
    return loaded


def check(
    model: nnx.Module,
    arrays: Mapping[str, np.ndarray | jax.Array | jax.ShapeDtypeStruct],
    *,
    source: str,
    leave: tuple[str, ...] = (),
    inside: str = "",
) -> Loaded:
    """Returns the outcome that `load` would have, and loads nothing; the model may be abstract.

    Args:
      model: to be checked against the weights.
      arrays: name -> array or shape, in ferjax's layout.
      source: as for `load`.
      leave: as for `load`.
      inside: as for `load`.

    Raises:
      UserError: a name or a shape differs. The message lists the first differences.
    """
    prefix = _prefix(inside)
    wanted = {
        name.removeprefix(prefix): tuple(variable.shape)
        for name, variable in shapes(model).items()
        if name.startswith(prefix)
    }

    def is_left(name: str) -> bool:
        return any(name.startswith(f"{module}.") for module in leave)

    problems, names, fixes = [], [], []
    for name, shape in wanted.items():
        if is_left(name):
            continue
        array = arrays.get(name)
        if array is None:
            problems.append(f"{name} is missing")
        elif tuple(array.shape) != shape:
            problems.append(f"{name} has shape {tuple(array.shape)}, the model {shape} (HWIO)")
            fixes += _first_layer_fixes(name, tuple(array.shape), shape)
        else:
            names.append(prefix + name)
    problems += [
        f"{name} has no place in the model"
        for name in arrays
        if name not in wanted and not is_left(name)
    ]
    if problems:
        shown = "; ".join(problems[:_SHOWN])
        fix = "Build the model with the architecture, channels and classes of the weights."
        if fixes:
            fix = f"These weights need {' and '.join(fixes)}."
        raise UserError(
            f"{source} do not fit the model ({len(problems)} differences): {shown}. {fix}"
        )
    return Loaded(
        tuple(names),
        tuple(prefix + name for name in wanted if is_left(name)),
        tuple(name for name in arrays if is_left(name)),
    )


def _first_layer_fixes(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> list[str]:
    """The config fields that give the model the first convolution of the weights.

    A kernel for three channels is not summed to one for grey images. A grey image replicated to
    three channels keeps the normalisation of the weights, with a mean and deviation per channel.
    """
    if not (len(found) == len(wanted) == 4):
        return []
    fixes = []
    if name == _RESNET_STEM and found[:2] != wanted[:2]:
        stems = [stem for stem, (side, _, _) in STEMS.items() if side == found[0]]
        if stems:
            fixes.append(f"model.stem={' or '.join(stems)} (the argument stem=)")
    if found[2] != wanted[2] and {found[2], wanted[2]} == {1, 3}:
        fixes.append(f"model.channels={found[2]}")
        if found[2] == 3:
            fixes[-1] += ", to which grey images are replicated (the argument channels=3)"
    return fixes


def torchvision_name(path: tuple) -> str:
    """The torchvision name of a variable's path: ("bn1", "mean") -> "bn1.running_mean"."""
    *parents, leaf = (str(part) for part in path)
    return ".".join([*parents, _LEAVES.get(leaf, leaf)])


def _prefix(inside: str) -> str:
    return f"{inside}." if inside else ""


def _variables(model: nnx.Module) -> list[tuple[tuple, nnx.Variable]]:
    return list(nnx.to_flat_state(nnx.state(model, (nnx.Param, nnx.BatchStat, Frozen))))


def _from_torch_layout(array: np.ndarray) -> np.ndarray:
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T  # dense [O, I] and one-dimensional convolutions [O, I, p]
