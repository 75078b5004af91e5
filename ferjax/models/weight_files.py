"""Reads weights from files: .safetensors, .npz, and .pth or .pt if PyTorch is installed."""

from __future__ import annotations

import collections
import os
import re
import zipfile
from pathlib import Path

import numpy as np

from ferjax import local_files, refusals
from ferjax.errors import UserError

SUFFIXES = (".safetensors", ".npz", ".pth", ".pt")
# Of all arrays of an .npz together, unpacked. VGG-19 has 575 MB; a small zip can hold any number.
MAX_NPZ_BYTES = 1 << 30
# What the types of weights are called in a .safetensors; others of its types NumPy has, too.
_FLOATS = ("F64", "F32", "F16", "BF16")
_KINDS = (*_FLOATS, "BOOL", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64")
# What a batch norm of PyTorch counts: the one whole number beside its weights.
COUNTER = "num_batches_tracked"
# Until then `weights_only` could be made to run code (CVE-2025-32434).
SAFE_TORCH = (2, 6)


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict: name -> array in PyTorch's layout, float32.

    No file can run code: only PyTorch's safe loader reads pickles, and it refuses everything but
    tensors. An .npz may hold `MAX_NPZ_BYTES` of arrays.

    Raises:
      UserError: the file is missing, no regular file, damaged, or of an unknown kind; or a number
        is NaN or infinite.
    """
    path = Path(path)
    _check_file(path)
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


def _check_file(path: Path) -> None:
    try:
        local_files.check_regular(path)
    except FileNotFoundError:
        said = local_files.missing(path, "the file does not exist")
        raise UserError(f"There are no weights at {path}: {said}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({refusals.problem(error)}).") from None


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import safe_open
    from safetensors.numpy import load_file

    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                kind = file.get_slice(name).get_dtype()
                if kind not in _KINDS:
                    raise UserError(
                        f"{path}: {name} has the type {kind}; expected {', '.join(_FLOATS)}. "
                        "Convert the weights to F32."
                    )
        return load_file(path)
    except UserError:
        raise
    except Exception as error:  # the library raises many kinds of errors
        raise UserError(f"{path} is damaged or no safetensors file: {_reason(error)}") from None


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except UserError:
        raise
    except Exception as error:
        reason = _reason(error)
        if "allow_pickle" in str(error):  # NumPy advises to let the file run code
            reason = "it holds objects, or a header that is longer than any of an array"
        raise UserError(f"{path} is damaged or no .npz of plain arrays: {reason}") from None


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuses what is more than named arrays, and more of them than fit, before one is read."""
    names = [member.filename for member in members]
    for name, times in collections.Counter(names).items():
        if not name.endswith(".npy"):
            raise UserError(f"{path} holds {name!r}, which is no array: an .npz holds .npy alone.")
        if times > 1:
            raise UserError(f"{path} holds {name!r} twice, and only one could be read.")
    total = sum(member.file_size for member in members)
    if total > MAX_NPZ_BYTES:
        raise UserError(
            f"{path} would unpack to {total:,} bytes; an .npz of weights may have "
            f"{MAX_NPZ_BYTES:,}. Convert larger weights to .safetensors."
        )


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path} needs PyTorch to be read, which is not installed. Install it, or convert the "
            "file once where it is: safetensors.torch.save_file(torch.load(path, "
            'weights_only=True), "weights.safetensors").'
        ) from None
    found = re.match(r"(\d+)\.(\d+)", torch.__version__)
    if found is None or (int(found[1]), int(found[2])) < SAFE_TORCH:
        raise UserError(
            f"{path} is not read by PyTorch {torch.__version__}, whose loader can be made to run "
            f"code; install torch>={SAFE_TORCH[0]}.{SAFE_TORCH[1]}, or convert the file to "
            ".safetensors where you trust it."
        )
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
    try:
        # Old files hold parameters, which require a gradient.
        return {
            name: (value.float() if value.is_floating_point() else value).detach().numpy()
            for name, value in tensors.items()
        }
    except (RuntimeError, TypeError) as error:
        raise UserError(f"{path} holds tensors that are no arrays: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The first line of an error's message, or its type if the message is empty."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _as_float(path: Path, name: str, array: object) -> np.ndarray:
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: {name} is no array of NumPy's format, whatever its name says.")
    is_counter = name.endswith(COUNTER) and array.dtype.kind in "iu"
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16" and not is_counter:
        raise UserError(
            f"{path}: {name} has the type {array.dtype}; expected floating-point numbers. "
            "Quantised weights are not read: convert them to float32, and leave out what is no "
            "weight."
        )
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite
        numbers = np.asarray(array, np.float32)
    finite = np.isfinite(numbers)
    if not finite.all():
        raise UserError(
            f"{path}: {name} holds {numbers.size - np.count_nonzero(finite):,} numbers of "
            f"{numbers.size:,} that are NaN or infinite in float32; such weights are of no use. "
            "Take them from a run that did not diverge."
        )
    return numbers
