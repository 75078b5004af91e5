"""Files of weights that a run is to start from (config.init_from)."""

import io
import json
import pickle
import struct
import warnings
import zipfile

import numpy as np
from safetensors.numpy import save_file

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage
from tests.measure.bad_inputs.shared import TINY

NAME = "bn1.bias"


def _start(make, name):
    """A maker of a command line that starts a run from what `make` makes at a path."""

    def command(stage: Stage):
        make(stage.here / name)
        return "main", *TINY, f"--config.init_from={name}", "--workdir=run"

    return command


def _array(array):
    """A maker of a file with one array, of a kind that its name says."""

    def make(path):
        arrays = {NAME: array}
        return save_file(arrays, path) if path.suffix == ".safetensors" else made.npz(path, arrays)

    return make


def _header(text, size=8):
    """A maker of a .safetensors whose JSON is this text, before so many bytes."""

    def make(path):
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(struct.pack("<Q", len(data)) + data + bytes(size))

    return make


def _tensor(dtype="F32", shape=(2,), size=8):
    fields = {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}
    return _header(json.dumps({NAME: fields}), size)


def _members(*more):
    """A maker of an .npz with one array and more members."""

    def make(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there twice
            made.npz(path, {NAME: np.ones(2, np.float32)}, more)

    return make


def _bomb(path):
    """1.2 GB of zeros, packed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (300_000_000,)}
        )
        with archive.open(f"{NAME}.npy", "w", force_zip64=True) as file:
            file.write(header.getvalue())
            for _ in range(1200):
                file.write(bytes(1_000_000))


class _Runs:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return open, ("ran", "w")


def _pickled(path):
    path.write_bytes(pickle.dumps(_Runs()))


def _objects(path):
    made.npz(path, {NAME: np.array([_Runs()], object)})


def _nothing_ran(stage):
    assert not (stage.here / "ran").exists(), "a pickle was read"


def _made_nothing(stage):
    _nothing_ran(stage)
    saved = [*(stage.here / "run" / "checkpoints").glob("*/[0-9]*")]
    assert not saved, "a run was trained"


FLOATS = "expected F64, F32, F16, BF16"
NUMBERS = "numbers of 2 that are NaN or infinite in float32"
HUGE = np.float64([1e300, 1])
TABLE = [
    ("bomb.npz", "1.2 GB of zeros in 1 MB", _bomb, "would unpack to 1,200,000,"),
    ("text.npz", "a member that is no array", _members(("x.txt", "x")), "'x.txt', which is no arr"),
    ("text2.npz", "a text named .npy", _members(("x.npy", "x")), "x is no array of NumPy's"),
    ("dup.npz", "an array twice", _members((f"{NAME}.npy", "x")), f"holds '{NAME}.npy' twice"),
    ("pickle.npz", "a pickle", _pickled, "is damaged or no .npz of plain arrays"),
    ("obj.npz", "an array of objects", _objects, "is damaged or no .npz of plain arrays"),
    ("str.npz", "an array of text", _array(np.array(["a"])), f"{NAME} has the type <U1; expected"),
    ("empty.npz", "an empty file", lambda path: path.touch(), "is damaged or no .npz"),
    (
        "dir.safetensors",
        "an empty folder",
        made.folder,
        "is not a run directory: it has no config.json",
    ),
    (
        "f8.safetensors",
        "eight bits a number",
        _tensor("F8_E4M3", size=2),
        FLOATS,
    ),
    ("int8.safetensors", "whole numbers", _array(np.int8([1, 2])), "has the type int8; expected"),
    ("int8.npz", "whole numbers", _array(np.int8([1, 2])), "has the type int8; expected"),
    ("bool.safetensors", "truth values", _array(np.bool_([1, 0])), "has the type bool; expected"),
    ("nan.safetensors", "NaN", _array(np.float32([np.nan, 1])), f"{NAME} holds 1 {NUMBERS}"),
    ("f64over.safetensors", "numbers beyond float32", _array(HUGE), f"{NAME} holds 1 {NUMBERS}"),
    ("fifo.safetensors", "a FIFO", made.fifo, "cannot be read (it is a FIFO, and a regular file"),
    ("loop.safetensors", "a link to itself", made.loop, "its links lead round in a circle"),
    ("link.safetensors", "a link to nothing", made.dangling, "gone, which is not there"),
    ("pickle.safetensors", "a pickle", _pickled, "is damaged or no safetensors file"),
    ("deep.safetensors", "deep JSON", _header("[" * 100_000), "is damaged or no safetensors file"),
    ("shape.safetensors", "a shape without end", _tensor(shape=[2**62, 9]), "no safetensors file"),
    ("pickle.pth", "a pickle, without PyTorch", _pickled, "needs PyTorch to be read, which is not"),
    ("x.h5", "another kind", made.text, "is of no known kind; expected a file that ends in .safet"),
    (
        "none.npz",
        "no file",
        lambda path: None,
        "There are no weights at none.npz: neither a run nor a",
    ),
    ("gone", "no folder", lambda path: None, "There are no weights at gone: neither a run nor a f"),
]
CASES = [
    Case(
        f"weights.{name}",
        what,
        _start(make, name),
        says=[name, says],
        never=["unsafely", "allow_pickle", "has no attribute", "learning_rate"],
        check=_made_nothing,
    )
    for name, what, make, says in TABLE
]
