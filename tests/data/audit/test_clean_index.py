"""The index of clean test images: what is written is read, and only for the same data."""

import json

import numpy as np
import pytest

from ferjax.data import dataset
from ferjax.data.audit import clean_index
from ferjax.errors import UserError

OPTIONS = {"image_size": 8, "num_train": 7, "num_validation": 7, "num_test": 7}
GROUPS = {"test_clean": np.array([0, 1, 5, 6]), "test_clean_near": np.array([], np.int64)}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return dataset.open_dataset("synthetic", tmp_path_factory.mktemp("data"), **OPTIONS)


@pytest.fixture
def path(opened, tmp_path):
    clean_index.write_clean_index(tmp_path / "clean_test.json", opened, GROUPS)
    return tmp_path / "clean_test.json"


def test_what_is_written_is_read(opened, path):
    fields = json.loads(path.read_text())
    assert all(name in clean_index.__doc__ for name in fields)
    assert fields["groups"] == {"test_clean": [0, 1, 5, 6], "test_clean_near": []}
    masks = clean_index.read_clean_index(path, opened)
    assert list(masks) == list(clean_index.GROUPS)
    for name, mask in masks.items():
        assert mask.dtype == bool and mask.shape == (7,)
        np.testing.assert_array_equal(np.flatnonzero(mask), GROUPS[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format 2, expected 1"),
        ({"format": None}, "has format None, expected 1"),
        ({"dataset": "fer2013"}, "was written for dataset 'fer2013', and the data set at hand has"),
        ({"fingerprint": "0" * 64}, "was written for fingerprint '000"),
        ({"options": {"fold": 3}}, r"was written for options {'fold': 3}, and .* has {}"),
        ({"split": "validation"}, "was written for split 'validation'"),
        ({"num_examples": 8}, "was written for num_examples 8"),
        ({"num_examples": 7.0}, "num_examples = 7.0, expected a whole number"),
        ({"groups": []}, "has groups = "),
        ({"groups": {"test_clean": [1]}}, "has no field 'groups.test_clean_near'"),
        (
            {"groups": {"test_clean": [0, 7], "test_clean_near": []}},
            "group test_clean: expected ascending positions from 1 to 6, found 7",
        ),
        ({"groups": {"test_clean": [3, 3], "test_clean_near": []}}, "from 4 to 6, found 3"),
        ({"groups": {"test_clean": [-1], "test_clean_near": []}}, "= -1, expected"),
        ({"groups": {"test_clean": [True], "test_clean_near": []}}, "= true, expected"),
        ({"groups": {"test_clean": ["1"], "test_clean_near": []}}, '= "1", expected'),
    ],
)
def test_what_does_not_fit_is_refused(opened, path, change, message):
    fields = json.loads(path.read_text()) | change
    path.write_text(json.dumps(fields))
    with pytest.raises(UserError, match=message) as caught:
        clean_index.read_clean_index(path, opened)
    assert str(path) in str(caught.value)
    assert "run ferjax.data.audit again on the data at hand" in str(caught.value)


def test_a_missing_field(opened, path):
    fields = json.loads(path.read_text())
    del fields["fingerprint"]
    path.write_text(json.dumps(fields))
    with pytest.raises(UserError, match="has no field 'fingerprint'"):
        clean_index.read_clean_index(path, opened)


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff\xfe", b""])
def test_something_that_is_no_index(opened, path, data):
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=r"is damaged|has format None|holds \[1\], expected an object"
    ):
        clean_index.read_clean_index(path, opened)


def test_a_file_that_is_not_there(opened, tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none.json .*clean_test.json that ferjax"):
        clean_index.read_clean_index(tmp_path / "none.json", opened)
