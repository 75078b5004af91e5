"""Stored predictions: what was written comes back, and a damaged file is refused."""

import dataclasses
import json
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from ferjax.errors import UserError
from ferjax.workdir import predictions
from ferjax.workdir.predictions import Predictions


def make(number=5, classes=3):
    rng = np.random.default_rng(0)
    rows = {
        view: rng.dirichlet(np.ones(classes), size=number).astype(np.float32)
        for view in ("single", "flip")
    }
    return Predictions(
        split="test",
        labels=("angry", "happy", "sad")[:classes],
        fingerprint="f" * 64,
        subjects=("a", "a", "b", "", "")[:number],
        images=predictions.digest([bytes([at]) * 32 for at in range(number)]),
        index=np.arange(number, dtype=np.int32),
        label=np.arange(number, dtype=np.int32) % classes,
        probabilities=rows,
        groups={"test": np.ones(number, bool), "test_clean": np.arange(number) > 1},
    )


def same(one, other):
    for field in dataclasses.fields(Predictions):
        np.testing.assert_equal(getattr(one, field.name), getattr(other, field.name))


def test_predictions_come_back(tmp_path):
    made = make()
    stored = predictions.write(tmp_path, "test", made)
    assert stored["file"] == "predictions/test.safetensors"
    same(predictions.read(tmp_path, "test", stored["sha256"]), made)
    arrays = load_file(tmp_path / stored["file"])  # as the head of the module says
    np.testing.assert_array_equal(arrays["probabilities.flip"], made.probabilities["flip"])


def test_persons_have_numbers_and_one_without_a_name_is_a_person():
    found = make().persons()
    assert found[0] == found[1] and len(set(found.tolist())) == 4
    assert dataclasses.replace(make(), subjects=()).persons() is None


def test_a_missing_file_or_another_one_is_refused(tmp_path):
    stored = predictions.write(tmp_path, "test", make())
    with pytest.raises(UserError, match=r"validation\.safetensors is missing.*Restore it"):
        predictions.read(tmp_path, "validation", stored["sha256"])
    predictions.write(tmp_path, "test", make(4))
    with pytest.raises(UserError, match=r"is not the file whose SHA-256 result\.json has"):
        predictions.read(tmp_path, "test", stored["sha256"])
    (tmp_path / "predictions" / "test.safetensors").unlink()
    (tmp_path / "predictions" / "test.safetensors").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        predictions.read(tmp_path, "test", stored["sha256"])


def changed(labels=None, **arrays):
    """A file with other arrays; None leaves one out."""
    made = make()
    about = {
        "format": predictions.FORMAT,
        "split": "test",
        "labels": list(made.labels if labels is None else labels),
        "fingerprint": made.fingerprint,
        "images": made.images,
        "subjects": [],
    }
    given = {
        "index": made.index,
        "label": made.label,
        "probabilities.flip": made.probabilities["flip"],
        "group.test": made.groups["test"],
    }
    given |= {name.replace("_", "."): rows for name, rows in arrays.items()}
    return save(
        {name: rows for name, rows in given.items() if rows is not None},
        {"about": json.dumps(about)},
    )


def with_header(without=(), text=None, **about):
    """A file of the right arrays with another text, or with none."""
    made = make()
    data = made.to_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    told = {**json.loads(header["__metadata__"]["about"]), **about}
    header["__metadata__"] = None if without is None else {"about": text or json.dumps(told)}
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data[8 + size :]


NO_TEXT = "has a text that is not of predictions"


def whole(numbers):
    return np.array(list(numbers), np.int32)


HALF = np.full((5, 3), 0.5, np.float32)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is damaged"),
        (b"\xff" * 40, "is damaged"),
        (make().to_bytes()[:-4], "is damaged"),
        (save({"index": np.zeros(1, np.int32)}), f"{NO_TEXT}: it has no field 'format'"),
        (save({"x": np.zeros(1, np.float64)}), "has the type F64 in x"),
        (with_header(format=2), "has format 2, expected 1"),
        (with_header(labels=3), f"{NO_TEXT}: it has labels = 3, expected class names"),
        (with_header(labels="abc"), f'{NO_TEXT}: it has labels = "abc", expected class names'),
        (with_header(text="["), f"{NO_TEXT}: it is damaged"),
        (with_header(text="[" * 9000), f"{NO_TEXT}: it is damaged .nested deeper"),
        (
            with_header(labels=[["angry"], ["happy"], ["sad"]]),
            rf'{NO_TEXT}: it has labels\[0\] = \["angry"\], expected a text',
        ),
        (with_header(subjects=["a"]), "has 1 subjects for 5 examples"),
        (with_header(None), f"{NO_TEXT}: it has no field 'format'"),
        (changed(label=whole([3] * 5)), r"has labels outside of 0\.\.2"),
        (changed(label=whole([-1] * 5)), r"has labels outside of 0\.\.2"),
        (changed(index=whole([0, 2, 1, 3, 4])), "has no index in rising order"),
        (changed(index=whole(range(4))), "has no index in rising order"),
        (changed(index=whole([]), label=whole([])), "has no index in rising order"),
        (changed(index=np.arange(5.0, dtype=np.float32)), "has no index in rising order"),
        (changed(index=None), "lacks 'index', which predictions have"),
        (changed(probabilities_flip=None), "lacks the probabilities of a view"),
        (changed(group_test=None), "or the group test"),
        (changed(group_test=np.ones(4, bool)), r"has no bool \[5\] in group\.test"),
        (changed(group_test=whole([1] * 5)), r"has no bool \[5\] in group\.test"),
        (changed(probabilities_flip=HALF), "that are no probabilities"),
        (changed(probabilities_flip=HALF * np.nan), "that are no probabilities"),
        (changed(probabilities_flip=HALF[:, :2].copy()), r"has no float32 \[5, 3\]"),
        (changed(labels=("angry", "happy")), r"outside of 0\.\.1"),
    ],
)
def test_what_holds_no_predictions_is_refused(data, said):
    with pytest.raises(ValueError, match=said):
        predictions.from_bytes(data)
