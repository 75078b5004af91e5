"""Files of weights of strangers."""

import json
import sys
import types

import numpy as np
import pytest
from safetensors.numpy import save_file

from ferjax.errors import UserError
from ferjax.models import weight_files
from tests.helpers import strangers as made

ONE = {"a": np.ones(3, np.float32)}


def _not_finite(path):
    save_file({"a": np.float32([1, np.nan, np.inf])}, path)
    return path


def _saved(array):
    def make(path):
        save_file({"a": array}, path)
        return path

    return make


def _eight_bits(path):
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    return path


WEIGHTS = {
    "a bomb.npz": (
        lambda path: made.npz(path, {"a": np.zeros((1 << 17), np.float64)}),
        r"would unpack to 1,048,\d+ bytes; an \.npz of weights may have 1,000,000",
    ),
    "text.npz": (
        lambda path: made.npz(path, ONE, [("b.txt", "x")]),
        r"'b\.txt', which is no array",
    ),
    "no array.npz": (lambda path: made.npz(path, ONE, [("b.npy", "x")]), r"b is no array of NumPy"),
    "twice.npz": (lambda path: made.npz(path, ONE, [("a.npy", "x")]), r"holds 'a\.npy' twice"),
    "nan.npz": (
        lambda path: made.npz(path, {"a": np.float32([np.nan])}),
        r"a holds 1 numbers of 1",
    ),
    "large.npz": (lambda path: made.npz(path, {"a": np.float64([1e300])}), r"NaN or infinite"),
    "nan.safetensors": (_not_finite, r"a holds 2 numbers of 3 that are NaN or infinite"),
    "whole.npz": (
        lambda path: made.npz(path, {"a": np.int8([1])}),
        r"a has the type int8; expected f",
    ),
    "flags.safetensors": (_saved(np.bool_([True])), r"a has the type bool; expected floating"),
    "complex.safetensors": (_saved(np.complex64([1])), r"a has the type C64; expected F64, F32"),
    "eight.safetensors": (_eight_bits, r"a has the type F8_E4M3; expected F64, F32"),
    "fifo.safetensors": (made.fifo, r"cannot be read \(it is a FIFO"),
    "fifo.npz": (made.fifo, r"cannot be read \(it is a FIFO"),
    "loop.npz": (made.loop, r"its links lead round"),
    "link.pth": (made.dangling, r"it is a link to .*gone, which is not there"),
    "old.pth": (made.text, r"is not read by PyTorch 2\.5\.1.*install torch>=2\.6"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(name, tmp_path, monkeypatch):
    make, phrase = WEIGHTS[name]
    monkeypatch.setattr(weight_files, "MAX_NPZ_BYTES", 1_000_000)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__version__="2.5.1+cpu"))
    with pytest.raises(UserError, match=phrase):
        weight_files.read(make(tmp_path / name))
