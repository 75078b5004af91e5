"""RAF-DB: both layouts, each defect that a copy can have, and the split that selects."""

import dataclasses

import numpy as np
import pytest

from ferjax.data import catalog, dataset
from ferjax.data.prepare import preparation
from ferjax.data.prepare.readers.raf_db import items as raf_db_items
from ferjax.errors import UserError
from tests.helpers.fake_fer2013 import write_folder, write_zip
from tests.helpers.fake_raf_db import COUNTS, LIST, SPEC, faces, jpeg, kaggle, level, official

IMAGES = faces()
LAYOUTS = {"official": official, "kaggle": kaggle}
FIRST = "Image/aligned/train_00001_aligned.jpg"


@pytest.fixture
def refused(tmp_path):
    """Prepares a folder of some content and returns the message of its refusal."""

    def run(content, path=None):
        path = path or write_folder(tmp_path / "raf", content)
        with pytest.raises(UserError) as caught:
            preparation.prepare(SPEC, path, tmp_path / "data")
        assert not (tmp_path / "data").exists()
        return str(caught.value)

    return run


def assert_labels_tell_the_colours(examples):
    rows = np.arange(0, len(examples), 1 + len(examples) // 500)  # decoding all takes seconds
    red = examples.images[rows][:, 2, 2, 0].astype(int)
    np.testing.assert_allclose(red, level(examples.labels[rows]), atol=6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("write", [write_folder, write_zip])
@pytest.mark.parametrize("prefix", ["", "RAF-DB/basic/"])
def test_each_layout_as_folder_and_zip(tmp_path, layout, write, prefix):
    content = {prefix + name: data for name, data in LAYOUTS[layout](IMAGES).items()}
    prepared = preparation.prepare(SPEC, write(tmp_path / "raf", content), tmp_path / "data")
    assert prepared.counts == COUNTS
    assert layout in prepared.source_format.lower()
    assert prepared.source_format.endswith("folder" if write is write_folder else "zip")
    assert prepared.notes == ()
    opened = dataset.open_dataset("raf_db", tmp_path / "data", held_out=0.0)
    assert opened.image_shape == (100, 100, 3)
    for split, each in COUNTS.items():
        examples = opened.load(split)
        assert examples.counts(7) == each
        assert_labels_tell_the_colours(examples)
        files = {key.split("/")[-1] for key in examples.keys}
        assert files == {face.aligned for face in IMAGES if face.split == split}


def test_the_layouts_have_one_fingerprint(tmp_path):
    found = {
        preparation.prepare(
            SPEC, write_folder(tmp_path / name, layout(IMAGES)), tmp_path / f"{name}-data"
        ).fingerprint
        for name, layout in LAYOUTS.items()
    }
    assert len(found) == 1


def test_the_files_are_stored_as_they_are(tmp_path):
    reading = preparation._READERS["raf_db"](write_zip(tmp_path / "raf.zip", official(IMAGES)))
    stored = {item.key: item.image() for items in reading.splits.values() for item in items}
    assert stored == {f"Image/aligned/{face.aligned}": face.data for face in IMAGES}


def test_images_without_the_suffix_in_a_folder_that_says_aligned(tmp_path):
    content = official(IMAGES)
    for face in IMAGES:
        content[f"Image/aligned/{face.stem}.jpg"] = content.pop(f"Image/aligned/{face.aligned}")
        content[f"Image/original/{face.stem}.jpg"] = b"of another size"
    path = write_folder(tmp_path / "raf", content)
    assert preparation.prepare(SPEC, path, tmp_path / "data").counts == COUNTS


@pytest.mark.parametrize("where", ["DATASET/{}_labels.csv", None])
def test_kaggle_with_its_csv_files_inside_or_nowhere(tmp_path, where):
    content = kaggle(IMAGES)
    for split in COUNTS:
        rows = content.pop(f"{split}_labels.csv")
        if where:
            content[where.format(split)] = rows
    path = write_folder(tmp_path / "raf", content)
    assert preparation.prepare(SPEC, path, tmp_path / "data").counts == COUNTS


def test_a_whole_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(raf_db_items, "IMAGE_SIZE", 8)
    path = write_zip(tmp_path / "raf.zip", official(faces(catalog.RAF_DB.expected_counts, size=8)))
    prepared = preparation.prepare(catalog.RAF_DB, path, tmp_path / "data")
    assert prepared.counts == {
        "train": (1290, 281, 717, 4772, 1982, 705, 2524),
        "test": (329, 74, 160, 1185, 478, 162, 680),
    }
    opened = dataset.open_dataset("raf_db", tmp_path / "data")
    parts = {split: opened.load(split, in_memory=False) for split in ("train", "validation")}
    assert parts["validation"].counts(7) == (129, 28, 72, 477, 198, 70, 252)
    assert len(parts["train"]) == 12271 - 1226
    assert not set(parts["train"].keys) & set(parts["validation"].keys)
    for part in parts.values():
        assert_labels_tell_the_colours(part)


def test_validation_is_stratified_and_shares_no_image_with_train(tmp_path, monkeypatch):
    monkeypatch.setattr(raf_db_items, "IMAGE_SIZE", 8)
    counts = {"train": (60, 20, 30, 200, 80, 40, 100), "test": (1,) * 7}
    images = faces(counts, size=8)
    # Each fifth image of a class is a copy of the one before it, one with another label besides.
    last = {}
    for index, face in enumerate(images):
        if face.split == "train":
            last.setdefault(face.label, []).append(index)
    for members in last.values():
        for position in range(4, len(members), 5):
            images[members[position]] = images[members[position]]._replace(
                data=images[members[position - 1]].data
            )
    images[last[0][0]] = images[last[0][0]]._replace(data=images[last[1][0]].data)
    spec = dataclasses.replace(SPEC, expected_counts=counts)
    path = write_zip(tmp_path / "raf.zip", kaggle(images))
    preparation.prepare(spec, path, tmp_path / "data")
    opened = dataset.open_dataset("raf_db", tmp_path / "data")
    train, validation = opened.load("train"), opened.load("validation")
    assert not set(train.keys) & set(validation.keys)
    assert not set(train.pixel_hashes) & set(validation.pixel_hashes)
    assert len(set(train.pixel_hashes)) < len(train)  # the copies are there
    assert len(train) + len(validation) == sum(counts["train"])
    shares = np.array(validation.counts(7)) / np.array(counts["train"])
    np.testing.assert_allclose(shares, 0.1, atol=0.05)


def test_the_list_of_the_compound_emotions(refused):
    content = official(IMAGES)
    content[LIST] = content[LIST].replace(b"train_00002.jpg ", b"train_00002.jpg 1")
    message = refused(content)
    assert f"{LIST}, line 2: the label is 1" in message
    assert "This is the compound-emotion list of RAF-DB (1 to 11)" in message
    assert "Use the labels and images of the basic emotions" in message


def test_kaggle_folders_of_the_compound_emotions(refused):
    content = kaggle(IMAGES) | {"DATASET/train/9/train_00099_aligned.jpg": IMAGES[0].data}
    message = refused(content)
    assert "DATASET/train/9: the label is 9" in message
    assert "compound-emotion list" in message


def test_both_kinds_of_emotions_in_one_folder(refused):
    content = official(IMAGES) | {f"compound/{LIST}": b"train_00001.jpg 9\n"}
    message = refused(content)
    assert "holds 2 files named list_patition_label.txt" in message
    assert f"compound/{LIST}" in message
    assert "pass a folder or zip of the basic emotions alone" in message


def test_rows_without_an_image(refused):
    content = official(IMAGES)
    for number in range(2, 7):
        del content[f"Image/aligned/train_{number:05}_aligned.jpg"]
    message = refused(content)
    assert f"{LIST} does not match the images" in message
    assert f"5 of its {len(IMAGES)} rows have no image: train_00002, train_00003, train" in message
    assert "train_00005" not in message
    assert "no row" not in message


def test_images_without_a_row(refused):
    content = official(IMAGES)
    content[LIST] = b"".join(content[LIST].splitlines(keepends=True)[2:])
    message = refused(content)
    assert f"2 of the {len(IMAGES)} images have no row: train_00001, train_00002" in message
    assert "no image" not in message


def test_a_row_that_is_there_twice(refused):
    content = official(IMAGES)
    content[LIST] += b"train_00003.jpg 1\n"
    message = refused(content)
    assert f"{LIST}, line {len(IMAGES) + 1}: train_00003.jpg has a label in line 3" in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"train_00001 4", "expected a line like 'train_00001.jpg 5', found 'train_00001 4'"),
        (b"train_00001.jpg", "expected a line like"),
        (b"train_00001.jpg 0", "expected a label from 1 to 7 (1 surprise, 2 fear, 3 disgust"),
        (b"train_00001.jpg happy", "found 'happy'"),
        (b"train_00001.jpg 1_0", "found '1_0'"),
        (b"train_00001.jpg \xd9\xa5", "found '\u0665'"),  # an Arabic five
    ],
)
def test_a_malformed_line(refused, line, expected):
    content = official(IMAGES)
    content[LIST] = b"\n".join([line, *content[LIST].splitlines()[1:]])
    message = refused(content)
    assert f"{LIST}, line 1: " in message
    assert expected in message


def test_a_list_that_is_no_text(refused):
    assert f"{LIST} is not a text file" in refused(official(IMAGES) | {LIST: b"\xff\xfe\x00"})


def test_labels_that_are_missing(refused):
    content = official(IMAGES)
    del content[LIST]
    message = refused(content)
    assert "has images of RAF-DB and not their labels" in message
    assert "expected a file list_patition_label.txt" in message


def test_original_images_alone(refused):
    content = {
        name.replace("aligned/", "original/").replace("_aligned", ""): data
        for name, data in official(IMAGES).items()
    }
    message = refused(content)
    assert f"has no aligned image ({len(IMAGES)} original ones found)" in message
    assert "Unpack aligned.zip" in message


def test_aligned_images_still_packed(refused):
    message = refused({LIST: official(IMAGES)[LIST], "Image/aligned.zip": b"PK"})
    assert "Image/aligned.zip is still packed: unpack it where it lies" in message


def test_an_image_that_is_there_twice(refused):
    content = official(IMAGES)
    content["Image/aligned/train_00001.jpg"] = content[FIRST]
    message = refused(content)
    assert FIRST in message and "Image/aligned/train_00001.jpg" in message
    assert "are the same image, train_00001" in message


@pytest.mark.parametrize("size", [48, 101])
def test_images_of_another_size(refused, size):
    message = refused(official(IMAGES) | {FIRST: jpeg(0, 0, size)})
    assert f"{FIRST} has {size}x{size} pixels" in message
    assert "100x100" in message


@pytest.mark.parametrize(
    ("damage", "expected"),
    [(lambda data: data[:-200], "is a damaged image"), (lambda _: b"<html>", "is not an image")],
)
@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_an_image_that_cannot_be_read(refused, tmp_path, write, damage, expected):
    content = official(IMAGES)
    content[FIRST] = damage(content[FIRST])
    message = refused(content, write(tmp_path / "raf", content))
    assert FIRST in message
    assert expected in message


def test_a_partial_copy_whose_list_was_cut_too(refused):
    message = refused(
        official([face for face in IMAGES if face.label != 3 or face.split != "test"])
    )
    assert f"{len(IMAGES) - 2} images found, {len(IMAGES)} expected" in message
    assert "  test happiness: 0 found, 2 expected" in message
    assert "  test: 2 numbers are missing: " in message
    assert message.endswith("Images are missing: use a whole copy.")


def test_folders_and_csv_that_contradict_each_other(refused):
    content = kaggle(IMAGES)
    face = next(face for face in IMAGES if face.split == "test" and face.label == 3)
    row = [one.stem for one in IMAGES if one.split == "test"].index(face.stem) + 1
    content["test_labels.csv"] = content["test_labels.csv"].replace(
        f"{face.aligned},4".encode(), f"{face.aligned},2".encode()
    )
    message = refused(content)
    assert f"test_labels.csv, row {row} after the header: {face.aligned} has the label 2" in message
    assert f"the image lies in DATASET/test/4/{face.aligned}" in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"image,label", b"name,class", "expected a header with the columns image, label"),
        (b"train_00001_aligned.jpg", b"train_00099_aligned.jpg", "1 of its 16 rows have no image"),
        (b"train_00002_aligned.jpg", b"train_00001_aligned.jpg", "has a row already"),
        (b"image,label\n", b"image,label\ntrain\n", "expected 2 fields, found 1"),
    ],
)
def test_csv_files_that_do_not_fit(refused, old, new, expected):
    content = kaggle(IMAGES)
    content["train_labels.csv"] = content["train_labels.csv"].replace(old, new)
    message = refused(content)
    assert "train_labels.csv" in message
    assert expected in message


def test_an_image_in_the_folder_of_another_split(refused):
    content = kaggle(IMAGES)
    content["DATASET/train/1/test_0001_aligned.jpg"] = IMAGES[0].data
    message = refused(content)
    assert "train/1/test_0001_aligned.jpg: by its name it is a test image" in message


def test_an_image_in_two_class_folders(refused):
    content = kaggle(IMAGES)
    for label in (1, 2):
        content[f"DATASET/train/{label}/train_00001_aligned.jpg"] = IMAGES[0].data
    assert "are the same image, train_00001_aligned.jpg" in refused(content)


def renamed(content, words=(), names=()):
    """Content whose folders of splits and of classes have other names."""
    result = {}
    for name, data in content.items():
        if name.endswith(".jpg"):
            _, split, label, file = name.split("/")
            split = dict(words).get(split, split)
            name = f"copy/{split}/{dict(names).get(label, label)}/{file}"
            result[name] = data
    return result


RENAMED = [
    ({"train": "Train", "test": "VALID"}, {}, "valid is read as the test split", "by the names"),
    ({}, {"1": "Surprise", "4": "happy", "6": "ANGER"}, "", ""),
]


@pytest.mark.parametrize(("words", "names", "said", "why"), RENAMED)
def test_other_names_of_splits_and_classes(tmp_path, words, names, said, why):
    path = write_folder(tmp_path / "raf", renamed(kaggle(IMAGES), words, names))
    prepared = preparation.prepare(SPEC, path, tmp_path / "data")
    assert prepared.counts == COUNTS
    assert_labels_tell_the_colours(dataset.open_dataset("raf_db", tmp_path / "data").load("test"))
    notes = " ".join(prepared.notes)
    assert said in notes and why in notes and bool(said) == bool(notes)


def unnamed(content):
    """Content whose files do not tell their split."""
    return {
        name.replace("train_", "a").replace("test_", "b"): data for name, data in content.items()
    }


def test_a_split_without_a_name_is_inferred_and_the_counts_decide(tmp_path, refused):
    content = unnamed(renamed(kaggle(IMAGES), {"test": "val"}))
    path = write_folder(tmp_path / "whole", content)
    prepared = preparation.prepare(SPEC, path, tmp_path / "other")
    assert prepared.counts == COUNTS
    assert (
        "val is read as the test split of RAF-DB, since there is no folder test"
        in (prepared.notes[0])
    )
    del content[next(name for name in content if "/val/" in name)]
    content["extra/1/a.png"] = b""
    message = refused(content)
    assert "since there is no folder test" in message
    assert "Left out: 1 image outside the folders and lists of RAF-DB (extra/1/a.png)" in message
    assert "If the images that are missing are among those listed above as left out" in message
    assert "ownload" not in message


def test_training_images_held_out_by_somebody_are_training_images(tmp_path):
    content = renamed(kaggle(IMAGES))
    held_out = [name for name in content if "/train/" in name][:3]
    for name in held_out:
        content[name.replace("/train/", "/valid/")] = content.pop(name)
    prepared = preparation.prepare(SPEC, write_folder(tmp_path / "r", content), tmp_path / "data")
    assert prepared.counts == COUNTS
    assert "valid is read as the train split of RAF-DB" in prepared.notes[0]


def test_a_folder_of_both_splits(refused):
    content = renamed(kaggle(IMAGES), {"train": "valid", "test": "valid"})
    assert "valid holds images of train and of test, by their names" in refused(content)


def test_classes_that_are_numbered_from_0(refused):
    message = refused(renamed(kaggle(IMAGES), {}, {str(k): str(k - 1) for k in range(1, 8)}))
    assert "are numbered from 0, and those of RAF-DB from 1" in message
    assert "1 surprise 1,290" in message and "0 has 3, 1 has 1," in message


def test_classes_that_are_none_are_told_together(refused):
    message = refused(renamed(kaggle(IMAGES), {}, {"1": "hapy", "2": "contempt"}))
    assert message.startswith("4 of 14 class folders of ")
    for name in ("test/contempt", "test/hapy", "train/contempt", "train/hapy"):
        assert f"copy/{name}: expected a label from 1 to 7 (1 surprise" in message


def test_the_numbers_that_are_missing_are_told(refused):
    content = kaggle([face for face in IMAGES if face.stem[-2:] not in ("02", "03", "05")])
    for split in COUNTS:
        del content[f"{split}_labels.csv"]
    message = refused(content)
    assert "  train: 3 numbers are missing: 2 to 3, 5" in message
    assert "  test: 3 numbers are missing: 2 to 3, 5" in message


def test_something_else(refused):
    message = refused({"readme.md": b"", "notes/a.txt": b""})
    assert "is not RAF-DB: expected Image/aligned/train_00001_aligned.jpg" in message
    assert "found 2 files (notes/a.txt, readme.md)" in message


def test_an_option_that_there_is_not(tmp_path):
    with pytest.raises(UserError, match=r"raf_db does not take --image_size\. It takes none"):
        path = write_folder(tmp_path / "raf", official(IMAGES))
        preparation.prepare(SPEC, path, tmp_path / "data", image_size=64)
