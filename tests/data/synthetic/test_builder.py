import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ferjax.data import dataset
from ferjax.data.labels import FER2013
from ferjax.data.storage.fingerprint import example_digest, fingerprint
from ferjax.data.synthetic import faces
from ferjax.data.synthetic.builder import (
    _STARTS,
    MAX_PER_SPLIT,
    NUM_TEST,
    NUM_TRAIN,
    NUM_VALIDATION,
    Synthetic,
    prepare_synthetic,
)
from ferjax.errors import UserError

SMALL = {"num_train": 42, "num_validation": 14, "num_test": 21}


def test_prepares_on_first_use_and_only_then(tmp_path):
    first = dataset.open_dataset("synthetic", tmp_path, **SMALL)
    assert first.num_examples == {"train": 42, "validation": 14, "test": 21}
    assert first.image_shape == (48, 48, 1)
    files = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.array_record*")}
    assert len(files) == 3
    again = dataset.open_dataset("synthetic", tmp_path, **SMALL)
    assert again.fingerprint == first.fingerprint
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.array_record*")} == files


def test_content_is_the_same_wherever_it_is_prepared(tmp_path):
    first, second = (
        dataset.open_dataset("synthetic", tmp_path / name, **SMALL) for name in ("a", "b")
    )
    assert first.fingerprint == second.fingerprint
    for split in SMALL:
        name = split.removeprefix("num_")
        one, other = first.load(name), second.load(name)
        assert one.keys == other.keys
        np.testing.assert_array_equal(one.images, other.images)
    splits = {name: first.load(name) for name in first.num_examples}
    digests = {
        name: map(example_digest, split.images, split.labels) for name, split in splits.items()
    }
    assert fingerprint(digests) == first.fingerprint


def test_stored_pixels_and_labels_are_the_rendered_ones(tmp_path):
    test = dataset.open_dataset("synthetic", tmp_path, seed=3, **SMALL).load("test")
    for image, label, key in zip(test.images, test.labels, test.keys, strict=True):
        split, person, expression = key.split("-")
        assert split == "test"
        assert FER2013.names[label] == expression
        index = (14 << 40) + 7 * int(person.removeprefix("person")) + int(label)
        np.testing.assert_array_equal(faces.render_faces(np.array([index]), seed=3)[0], image)


def test_classes_are_balanced_and_counted(tmp_path):
    builder = prepare_synthetic(tmp_path, **SMALL)
    assert builder.info.metadata["counts"] == {
        "train": [6] * 7,
        "validation": [2] * 7,
        "test": [3] * 7,
    }
    for size in (NUM_TRAIN, NUM_VALIDATION, NUM_TEST):
        assert size % 7 == 0


def test_no_two_splits_share_a_person():
    largest = MAX_PER_SPLIT
    starts = [0, 7 << 40, 14 << 40]
    assert list(_STARTS.values()) == starts
    ends = [faces.identities_of(np.array([start + largest - 1]))[0] for start in starts]
    next_starts = [faces.identities_of(np.array([start]))[0] for start in starts[1:]]
    assert all(end < start for end, start in zip(ends, next_starts, strict=False))
    assert all(start % 7 == 0 for start in starts)


def test_every_option_has_its_own_folder(tmp_path):
    variants = [
        {},
        {"image_size": 16},
        {"channels": 3},
        {"seed": 1},
        {"num_train": 49},
        {"num_validation": 7},
        {"num_test": 7},
    ]
    sources = [dataset.open_dataset("synthetic", tmp_path, **{**SMALL, **v}) for v in variants]
    assert len({s.fingerprint for s in sources}) == len(variants)
    assert sources[2].load("test").images.shape == (21, 48, 48, 3)


def test_growing_a_split_keeps_its_examples(tmp_path):
    few = dataset.open_dataset("synthetic", tmp_path, **SMALL).load("train")
    more = dataset.open_dataset("synthetic", tmp_path, **{**SMALL, "num_train": 63}).load("train")
    images = dict(zip(more.keys, more.images, strict=True))
    for key, image in zip(few.keys, few.images, strict=True):
        np.testing.assert_array_equal(images[key], image)


def test_an_interrupted_preparation_leaves_nothing_finished(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # After the first example of the first split has been handed to the writer.
        patch.setattr(Synthetic, "_generate_examples", lambda *_: map(interrupted, "x"))
        with pytest.raises(KeyboardInterrupt):
            prepare_synthetic(tmp_path, **SMALL)
    assert not list(tmp_path.rglob("dataset_info.json"))
    assert len(dataset.open_dataset("synthetic", tmp_path, **SMALL).load("train")) == 42


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("image_size", 4, "image_size must be from 8 to 1024, found 4"),
        ("channels", 2, r"channels must be 1 \(grey\) or 3 \(RGB\), found 2"),
        ("seed", -1, "seed must be from 0 to 9223372036854775807, found -1"),
        ("num_train", 0, "num_train must be from 1 to 7000000, found 0"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path, option, value, message):
    with pytest.raises(UserError, match=message):
        prepare_synthetic(tmp_path, **{**SMALL, option: value})


def test_preparing_is_silent_without_a_terminal(tmp_path, run_python):
    code = (
        "import sys\n"
        "from ferjax.data.dataset import open_dataset\n"
        f"open_dataset('synthetic', {str(tmp_path)!r}, num_train=7, num_validation=7, num_test=7)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = run_python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pixels_alone_do_not_give_the_expression_away():
    # On the whole default training split, regularisation tuned on validation, it reaches 52 %.
    train, test = np.arange(1001), _STARTS["test"] + np.arange(700)
    x, y = (
        faces.render_faces(indices).reshape(len(indices), -1).astype(np.float32)
        for indices in (train, test)
    )
    mean, sd = x.mean(0), x.std(0)
    model = LogisticRegression(C=0.002, max_iter=100, tol=0.03)
    model.fit((x - mean) / sd, faces.labels_of(train))
    accuracy = model.score((y - mean) / sd, faces.labels_of(test))
    assert 0.2 < accuracy < 0.6
