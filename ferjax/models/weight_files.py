"""Reads weights from files: .safetensors, .npz, and .pth or .pt if PyTorch is installed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ferjax.errors import UserError

SUFFIXES = (".safetensors", ".npz", ".pth", ".pt")


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict: name -> array in PyTorch's layout, float32.

    No file can run code: only PyTorch's safe loader reads pickles, and it refuses everything but
    tensors.

    Raises:
      UserError: the file is missing, damaged, or of an unknown kind.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There are no weights at {path}: the file does not exist.")
    if path.suffix == ".safetensors":
        arrays = _read_safetensors(path)
    elif path.suffix == ".npz":
        arrays = _read_npz(path)
    elif path.suffix in (".pth", ".pt"):
        arrays = _read_torch(path)
    else:
        raise UserError(
            f"{path} is of no known kind; expected a file that ends in {', '.join(SUFFIXES)}."
        )
    return {name: _as_float(path, name, array) for name, array in arrays.items()}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except Exception as error:  # the library raises many kinds of errors
        raise UserError(f"{path} is damaged or no safetensors file: {_reason(error)}") from None


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:
        raise UserError(f"{path} is damaged or no .npz of plain arrays: {_reason(error)}") from None


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path} needs PyTorch to be read, which is not installed. Install it, or convert the "
            "file once where it is: safetensors.torch.save_file(torch.load(path, "
            'weights_only=True), "weights.safetensors").'
        ) from None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} is damaged, or holds more than tensors, which is refused: {_reason(error)}"
        ) from None
    tensors = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if (
        not isinstance(tensors, dict)
        or not tensors
        or not all(isinstance(value, torch.Tensor) for value in tensors.values())
    ):
        raise UserError(f"{path} is not a state dict: expected names with a tensor each.")
    # Old files hold parameters, which require a gradient.
    return {name: value.detach().float().numpy() for name, value in tensors.items()}


def _reason(error: Exception) -> str:
    """The first line of an error's message, or its type if the message is empty."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _as_float(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise UserError(f"{path}: {name} has the type {array.dtype}; expected numbers.")
    return np.asarray(array, np.float32)
