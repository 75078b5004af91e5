"""FER+: both forms hold the same examples, targets come of votes, each fault has its message."""

import numpy as np
import pytest

from ferjax.data import catalog, dataset
from ferjax.data.prepare import preparation
from ferjax.data.prepare.readers.fer_plus import read as fer_plus
from ferjax.errors import UserError
from tests.helpers.fake_fer2013 import files, rows, write_folder, write_icml_csv, write_zip
from tests.helpers.fake_fer_plus import (
    BALLOTS,
    COUNTS,
    SPEC,
    UNNAMED,
    folder_files,
    table,
    votes_csv,
    write_csv_form,
)


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setitem(catalog.DATASETS, "fer_plus", SPEC)
    return tmp_path / "data"


def as_zip(folder):
    content = {f"x/{file.name}": file.read_bytes() for file in folder.iterdir()}
    return write_zip(folder.with_suffix(".zip"), content)


FORMS = {
    "csv": lambda path: write_csv_form(path / "a"),
    "csv of the competition": lambda path: write_csv_form(path / "a", images=write_icml_csv),
    "zip of csv": lambda path: as_zip(write_csv_form(path / "a")),
    "folders": lambda path: write_folder(path / "a", folder_files()),
    "folders without boxes": lambda path: write_folder(path / "a", folder_files(box=False)),
    "zip of folders": lambda path: write_zip(path / "a.zip", folder_files(), "FERPlus/data/"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_prepared_into_the_same(tmp_path, data_dir, form):
    wanted = preparation.prepare(SPEC, write_csv_form(tmp_path / "wanted"), tmp_path / "other")
    prepared = preparation.prepare(SPEC, FORMS[form](tmp_path), data_dir)
    assert prepared.fingerprint == wanted.fingerprint
    assert {name: sum(counts) for name, counts in prepared.counts.items()} == COUNTS
    opened = dataset.open_dataset("fer_plus", data_dir)
    assert opened.labels.names == catalog.FER_PLUS.labels.names
    assert opened.image_shape == (48, 48, 1)


def test_the_form_and_what_is_left_out_are_named(tmp_path):
    found = fer_plus.read(write_csv_form(tmp_path / "a"))
    assert found.source_format == "fer2013new.csv and fer2013.csv"
    note, *kept = found.notes
    assert note.startswith("2 of 27 rows of fer2013new.csv name no image")
    # Of the eight ballots three have a majority and five leading classes.
    train = [ballot for n, ballot in enumerate(BALLOTS * 4) if n not in UNNAMED][: COUNTS["train"]]
    majority = sum(ballot in (BALLOTS[1], BALLOTS[2], BALLOTS[4], BALLOTS[7]) for ballot in train)
    assert f"train: {majority} of {COUNTS['train']} images have a majority" in " ".join(kept)
    found = fer_plus.read(
        write_folder(tmp_path / "b", folder_files() | {"FER2013Test/notes.txt": b""})
    )
    assert found.source_format == "folders of images"
    assert found.notes[0] == "1 files that are no images are left out (FER2013Test/notes.txt)."


def test_each_image_gets_the_votes_of_its_row(tmp_path):
    splits = fer_plus.read(write_csv_form(tmp_path / "a")).splits
    found = {item.key: item for items in splits.values() for item in items}
    pixels = [np.array(text.split(), np.uint8) for _, text, _ in rows(files())]
    names = [f"fer{2 * number:07d}.png" for number in range(len(pixels))]
    assert set(found) == {name for row, name in enumerate(names) if row not in UNNAMED}
    for row, name in enumerate(names):
        if row not in UNNAMED:
            assert found[name].votes == BALLOTS[row % len(BALLOTS)]
            np.testing.assert_array_equal(found[name].image().reshape(-1), pixels[row])
    # The class with most votes, whether or not the example counts; the first of equal ones.
    labels = [found[names[row]].label for row in (0, 1, 2, 4, 5, 6, 7, 11)]
    assert labels == [0, 0, 1, 3, 0, 0, 7, 0]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        # Rows 1, 2, 4, 7 and the same ballots again; row 3 of ballot 3 is not there.
        ("majority", {1: 0, 2: 1, 4: 3, 7: 7, 9: 0, 10: 1}),
        ("cross_entropy", {0: 0, 1: 0, 2: 1, 4: 3, 7: 7, 8: 0, 9: 0, 10: 1}),
        ("probability", {0: 0, 1: 0, 2: 1, 4: 3, 7: 7, 8: 0, 9: 0, 10: 1}),
    ],
)
def test_what_is_trained_on(tmp_path, data_dir, target, wanted):
    preparation.prepare(SPEC, write_csv_form(tmp_path / "a"), data_dir)
    opened = dataset.open_dataset("fer_plus", data_dir, target=target)
    train = opened.load("train")
    rows_of = [int(key[3:10]) // 2 for key in train.keys]
    assert dict(zip(rows_of, train.labels.tolist(), strict=True)) == wanted
    assert opened.num_examples["train"] == len(wanted)
    if target == "majority":
        assert train.targets is None
    else:
        sevenths = {0: 4 / 7, 4: 3 / 7}  # 4 0 0 1 3 2 ...: 4 and 3 of 9 are more than 75 %
        first = [sevenths.get(label, 0) for label in range(8)]
        np.testing.assert_allclose(train.targets[rows_of.index(0)], first, rtol=1e-6)
        np.testing.assert_array_equal(train.targets[rows_of.index(1)], np.eye(8)[0])
    # Selection and test go by majority, whatever is trained on.
    test = opened.load("test")
    assert sorted(int(key[3:10]) // 2 for key in test.keys) == [23, 25, 26]
    assert test.targets is None


def test_a_target_that_does_not_exist(tmp_path, data_dir):
    preparation.prepare(SPEC, write_csv_form(tmp_path / "a"), data_dir)
    with pytest.raises(UserError, match=r"target is 'probabilty'.*Did you mean 'probability'"):
        dataset.open_dataset("fer_plus", data_dir, target="probabilty").load("train")


def test_a_whole_copy_is_asked_for(tmp_path):
    with pytest.raises(UserError) as caught:
        preparation.prepare(catalog.FER_PLUS, write_csv_form(tmp_path / "a"), tmp_path / "data")
    message = str(caught.value)
    assert "does not hold all of FER+, and nothing else: 25 images found, 35,710" in message
    assert "  validation: 8 found, 3,579 expected" in message
    assert not (tmp_path / "data").exists()


def error_of(path):
    with pytest.raises(UserError) as caught:
        for items in fer_plus.read(path).splits.values():
            for item in items:
                item.image()
    return str(caught.value)


def test_votes_of_another_number_of_rows(tmp_path):
    message = error_of(write_csv_form(tmp_path / "a", table()[:-1]))
    assert f"{tmp_path}/a/fer2013new.csv and {tmp_path}/a/fer2013.csv do not belong" in message
    assert "26 rows of votes and 27 rows of images found" in message
    assert "27 rows of votes and 26 rows of images found" in error_of(
        write_csv_form(tmp_path / "b", content=dict(list(files().items())[1:]))
    )


def test_votes_in_another_order(tmp_path):
    mixed = table()
    mixed[4], mixed[15] = mixed[15], mixed[4]
    message = error_of(write_csv_form(tmp_path / "a", mixed))
    assert "the Usage of 2 of 27 rows differs, first in row 5 after the header" in message
    assert "PublicTest of the votes and Training of the image" in message


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (0, "Testing", "Usage must be one of Training, PublicTest, PrivateTest, found 'Testing'"),
        (1, "a/b.png", "expected the name of an image, such as fer0000000.png, found 'a/b.png'"),
        (1, "fer0000000.png", "fer0000000.png is already the image of row 1"),
        (2, "-1", "the votes for neutral must be a whole number, found '-1'"),
        (11, "0.5", "the votes for NF must be a whole number, found '0.5'"),
        (10, "", "the votes for unknown must be a whole number, found ''"),
    ],
)
def test_a_bad_row_of_votes_is_named(tmp_path, column, value, expected):
    changed = table()
    changed[5][column] = value
    message = error_of(write_csv_form(tmp_path / "a", changed))
    assert f"{tmp_path}/a/fer2013new.csv, row 6 after the header: {expected}" in message


def test_votes_that_are_not_those_of_fer_plus(tmp_path):
    path = write_csv_form(tmp_path / "a")
    (path / "fer2013new.csv").write_bytes(votes_csv(table(), header=["a"] * 12))
    assert "expected a header with the columns Usage, Image name, neutral" in error_of(path)
    (path / "fer2013new.csv").write_bytes(votes_csv([[*table()[0], 1]]))
    assert "row 1 after the header: expected 12 fields, found 13" in error_of(path)


def test_images_of_fer2013_whose_row_is_not_known(tmp_path):
    votes = {"fer2013new.csv": votes_csv(table())}
    for other in (files(), {"fer2013.zip": b"PK"}, {}):
        message = error_of(write_zip(tmp_path / "a.zip", votes | other))
        assert "neither of the files whose rows they belong to, fer2013.csv and icml" in message
        assert "msambare/fer2013, does not say which row an image was" in message


def test_something_that_is_not_fer_plus(tmp_path):
    message = error_of(write_zip(tmp_path / "a.zip", files()))
    assert f"{tmp_path}/a.zip is not FER+: expected fer2013new.csv together with" in message
    assert "found 27 files (test/angry/PrivateTest_0.jpg" in message
    (tmp_path / "fer2013new.csv").write_bytes(votes_csv(table()))
    assert "neither a folder nor a zip" in error_of(tmp_path / "fer2013new.csv")


def test_two_files_of_votes(tmp_path):
    path = write_csv_form(tmp_path / "a")
    (path / "b").mkdir()
    (path / "b" / "fer2013new.csv").write_bytes(b"")
    assert "holds 2 files fer2013new.csv (b/fer2013new.csv, fer2013new.csv)" in error_of(path)


def test_a_clone_without_images_is_read_by_its_csv_files(tmp_path):
    path = write_csv_form(tmp_path / "a")
    labels = {f"data/{n}": data for n, data in folder_files().items() if n.endswith("label.csv")}
    write_folder(path, labels)
    assert fer_plus.read(path).source_format == "fer2013new.csv and fer2013.csv"
    (path / "fer2013new.csv").unlink()
    assert "FER2013Train: 10 rows of label.csv have no image in the folder" in error_of(path)


def test_images_and_rows_of_a_folder_that_do_not_match(tmp_path):
    content = folder_files()
    image = content.pop("FER2013Valid/fer0000022.png")
    message = error_of(write_folder(tmp_path / "a", content))
    assert f"{tmp_path}/a/FER2013Valid: 1 rows of label.csv have no image" in message
    assert "(fer0000022.png); 8 rows and 7 images found" in message
    content = folder_files() | {"FER2013Valid/fer0000099.png": image, "FER2013Valid/b.jpg": image}
    message = error_of(write_folder(tmp_path / "b", content))
    assert "2 images have no row in label.csv (b.jpg, fer0000099.png); 8 rows and 10" in message


def test_folders_that_are_missing_or_there_twice(tmp_path):
    content = folder_files()
    both = content | {f"b/{name}": data for name, data in content.items()}
    message = error_of(write_zip(tmp_path / "a.zip", both))
    assert "FER2013Train is there 2 times (FER2013Train, b/FER2013Train)" in message
    some = {name: data for name, data in content.items() if "FER2013Valid" not in name}
    assert "FER2013Valid is not there" in error_of(write_zip(tmp_path / "b.zip", some))
    del content["FER2013Test/label.csv"]
    message = error_of(write_zip(tmp_path / "c.zip", content))
    assert f"FER2013Test in {tmp_path}/c.zip has no label.csv" in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'fer0000024.png,"(0, 0, 47, 48)",9,0,0,1,0,0,0,0,0,0',
            "the box of the face must be (0, 0",
        ),
        (
            f'fer0000024.png,"({"9" * 5000}, 0, 48, 48)",9,0,0,1,0,0,0,0,0,0',
            "the box of the face must be (0, 0",
        ),
        (
            'fer0000024.png,"(0, 0, \u0664\u0668, 48)",9,0,0,1,0,0,0,0,0,0',
            "the box of the face must be (0, 0",
        ),
        ("fer0000024.png,whole,9,0,0,1,0,0,0,0,0,0", "the whole image, found 'whole'"),
        ("fer24.png,9,0,0,1,0,0,0,0,0,0", "expected the name of an image, such as fer0000000.png"),
        (
            "fer0000024.png,9,0,0,1,0,0,0,0,0,x",
            "the votes for NF must be a whole number, found 'x'",
        ),
        ("fer0000024.png,9,0,0,1,0,0,0,0,0", "its box and 10 votes, found 10 fields"),
        ("fer0000024.png,1,2,9,0,0,1,0,0,0,0,0,0", "its box and 10 votes, found 13 fields"),
        ("fer0000022.png,9,0,0,1,0,0,0,0,0,0", "fer0000022.png has a row already"),
    ],
)
def test_a_bad_row_of_labels_is_named(tmp_path, line, expected):
    content = folder_files()
    lines = content["FER2013Valid/label.csv"].decode().splitlines()
    content["FER2013Valid/label.csv"] = "\n".join([lines[0], line, *lines[2:]]).encode()
    message = error_of(write_folder(tmp_path / "a", content))
    assert f"{tmp_path}/a/FER2013Valid/label.csv, row 2: " in message
    assert expected in message


def test_a_damaged_image(tmp_path):
    content = folder_files()
    content["FER2013Test/fer0000046.png"] = content["FER2013Test/fer0000046.png"][:300]
    message = error_of(write_folder(tmp_path / "a", content))
    assert f"{tmp_path}/a/FER2013Test/fer0000046.png is a damaged image" in message


def test_all_bad_rows_of_labels_are_told_together(tmp_path):
    content = folder_files()
    for name in ("FER2013Train", "FER2013Test"):
        lines = content[f"{name}/label.csv"].splitlines()
        content[f"{name}/label.csv"] = b"\n".join([b"junk", b"more,junk", *lines[2:]])
    message = error_of(write_folder(tmp_path / "a", content))
    assert message.startswith("4 of 25 rows of label.csv cannot be used, and nothing is stored:")
    assert message.index("FER2013Test/label.csv, row 2") < message.index("FER2013Train/label.csv, ")
