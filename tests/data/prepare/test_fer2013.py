"""The readers of FER2013: each form gives the same examples, each fault its own message."""

import numpy as np
import pytest

from ferjax.data.prepare.readers.ck_plus import read as ck_plus
from ferjax.data.prepare.readers.fer2013 import read as fer2013
from ferjax.data.storage.fingerprint import example_digest, fingerprint
from ferjax.errors import UserError
from tests.helpers.fake_fer2013 import (
    COUNTS,
    NAMES,
    TOTAL,
    files,
    jpeg,
    rows,
    write_fer2013_csv,
    write_folder,
    write_icml_csv,
    write_zip,
)

IMAGE = "train/happy/Training_1.jpg"


def write_zipped_csv(path, content):
    csv_path = write_icml_csv(path.parent / "icml.csv", rows(content))
    return write_zip(path, {"archive/icml_face_data.csv": csv_path.read_bytes()})


FORMS = {
    "zip": lambda folder, content: write_zip(folder / "a.zip", content),
    "zip below a folder": lambda folder, content: write_zip(folder / "a.zip", content, "fer2013/"),
    "folder": lambda folder, content: write_folder(folder / "a", content),
    "fer2013.csv": lambda folder, content: write_fer2013_csv(folder / "a.csv", rows(content)),
    "icml_face_data.csv": lambda folder, content: write_icml_csv(folder / "a.csv", rows(content)),
    "zip of a csv": lambda folder, content: write_zipped_csv(folder / "a.zip", content),
}


def counts(items):
    return tuple(np.bincount([item.label for item in items], minlength=7).tolist())


def fingerprint_of(splits):
    return fingerprint(
        {
            name: [example_digest(item.image(), item.label) for item in items]
            for name, items in splits.items()
        }
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_examples(tmp_path, form):
    content = files()
    calls = []
    path = FORMS[form](tmp_path, content)
    reading = fer2013.read(path, lambda: calls.append(1))
    assert len(calls) == TOTAL
    assert {name: counts(split) for name, split in reading.splits.items()} == COUNTS
    for split in reading.splits.values():
        assert len({item.key for item in split}) == len(split)
    wanted = fer2013.read(write_folder(tmp_path / "wanted", content)).splits
    assert fingerprint_of(reading.splits) == fingerprint_of(wanted)


def test_the_form_is_named(tmp_path):
    content = files()
    found = {form: fer2013.read(FORMS[form](tmp_path, content)).source_format for form in FORMS}
    assert found == {
        "zip": "zip",
        "zip below a folder": "zip",
        "folder": "folder",
        "fer2013.csv": "fer2013.csv",
        "icml_face_data.csv": "icml_face_data.csv",
        "zip of a csv": "icml_face_data.csv",
    }


def test_classes_go_by_name_and_keys_are_whole_paths(tmp_path):
    content = files() | {"train/.DS_Store": b"", "__MACOSX/train/sad/Training_0.jpg": b""}
    splits = fer2013.read(write_zip(tmp_path / "a.zip", content, "x/")).splits
    for split in splits.values():
        for item in split:
            assert NAMES[item.label] == item.key.split("/")[1]
            assert item.key in content
    # "sad" is before "neutral" in the labels, behind it in the alphabet.
    assert {item.label for item in splits["train"] if "/sad/" in item.key} == {4}


def test_pixels_are_those_of_the_file(tmp_path):
    ramp = np.arange(48 * 48) % 256
    row = (3, " ".join(map(str, ramp)), "PublicTest")
    splits = fer2013.read(write_fer2013_csv(tmp_path / "a.csv", [row])).splits
    (item,) = splits["validation"]
    np.testing.assert_array_equal(item.image()[:, :, 0], ramp.reshape(48, 48))
    assert item.key == "row 1"
    assert len(splits["train"]) == len(splits["test"]) == 0


def test_what_is_stored_is_what_was_checked(tmp_path):
    """An image file that changes after it was looked at changes nothing."""
    path = write_folder(tmp_path / "a", files())
    item = fer2013.read(path).splits["train"][0]
    before = item.image().copy()
    (path / item.key).write_bytes(b"")
    np.testing.assert_array_equal(item.image(), before)


def error_of(path):
    with pytest.raises(UserError) as caught:
        for items in fer2013.read(path).splits.values():
            for item in items:
                item.image()
    return str(caught.value)


def test_a_truncated_zip(tmp_path):
    path = write_zip(tmp_path / "a.zip", files())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message = error_of(path)
    assert f"{path} is cut short or damaged" in message
    assert f"{path.stat().st_size:,} bytes found" in message


def test_a_zip_with_a_damaged_member(tmp_path):
    path = write_zip(tmp_path / "a.zip", files())
    data = bytearray(path.read_bytes())
    middle = data.index(IMAGE.encode()) + 400
    data[middle] ^= 0xFF
    path.write_bytes(data)
    assert f"{IMAGE} in {path} is damaged" in error_of(path)


@pytest.mark.parametrize("write", [write_zip, write_folder])
def test_something_that_is_not_fer2013(tmp_path, write):
    message = error_of(write(tmp_path / "a", {"cats/1.jpg": jpeg(0), "readme.txt": b"cats"}))
    assert "is not FER2013: expected images named train/<class>/Training_N.jpg" in message
    assert "found 2 files (cats/1.jpg, readme.txt)" in message


@pytest.mark.parametrize("name", ["/train/sad/Training_9.jpg", "../train/sad/Training_9.jpg"])
def test_a_zip_that_points_outside(tmp_path, name):
    message = error_of(write_zip(tmp_path / "a.zip", files() | {name: jpeg(0)}))
    assert f"a file named {name!r}, which points outside the archive" in message


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (IMAGE, b"<html>not found", "is not an image that can be read: it is a web page (15 bytes"),
        (IMAGE, jpeg(0)[:900], "is a damaged image"),
        (IMAGE, jpeg(0, size=(47, 48)), "48x48 pixels (mode L), found 47x48 of mode L"),
        (IMAGE, jpeg(0, mode="RGB"), "48x48 pixels (mode L), found 48x48 of mode RGB"),
        ("train/hapy/Training_9.jpg", jpeg(0), "'hapy' is not a class of FER2013. Did you mean"),
        ("train/sad/im0.jpg", jpeg(0), "does not say whether the image is of Training"),
        ("test/sad/Training_9.jpg", jpeg(0), "a Training image belongs under train/, not test/"),
    ],
)
def test_an_image_that_does_not_belong(tmp_path, name, data, expected):
    message = error_of(write_folder(tmp_path / "a", files() | {name: data}))
    assert expected in message
    assert f"{tmp_path}/a/{name}" in message


def test_a_zip_that_holds_the_data_set_twice(tmp_path):
    content = files()
    both = content | {f"copy/{name}": data for name, data in content.items()}
    assert "occurs twice" in error_of(write_zip(tmp_path / "a.zip", both))


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (0, 7, "emotion must be a whole number from 0 to 6, found '7'"),
        (0, "-1", "emotion must be a whole number from 0 to 6, found '-1'"),
        (0, "happy", "emotion must be a whole number from 0 to 6, found 'happy'"),
        (1, "1 2 3", "expected 2304 pixels (48x48), found 3"),
        (1, " ".join(["7"] * 2303 + ["256"]), "pixels must be whole numbers from 0 to 255, found"),
        (1, " ".join(["7"] * 2303 + ["x"]), "pixels must be whole numbers from 0 to 255, found"),
        *(
            (1, " ".join([value] + ["7"] * 2303), f"pixels must be whole numbers {found}")
            for value, found in (
                ("1_0", "from 0 to 255, found '1_0'"),  # Python reads these five as numbers
                ("+5", "from 0 to 255, found '+5'"),
                ("\u0667", "from 0 to 255, found '\u0667'"),
                ("\u00b2", "from 0 to 255, found '\u00b2'"),
                ("9" * 5000, "from 0 to 255, found '999"),
            )
        ),
        (0, "0.5", "emotion must be a whole number from 0 to 6, found '0.5'"),
        (2, "Testing", "Usage must be one of Training, PublicTest, PrivateTest, found 'Testing'"),
    ],
)
@pytest.mark.parametrize("write", [write_fer2013_csv, write_icml_csv])
def test_a_bad_csv_row_is_named(tmp_path, column, value, expected, write):
    table = [list(row) for row in rows(files())]
    table[4][column] = value
    message = error_of(write(tmp_path / "a.csv", table))
    assert f"{tmp_path}/a.csv, row 5 after the header: {expected}" in message


def test_a_csv_with_another_header(tmp_path):
    (tmp_path / "a.csv").write_text("Usage,Image name,neutral\nTraining,fer0000000.png,4\n")
    message = error_of(tmp_path / "a.csv")
    assert "expected a header with the columns emotion, pixels, Usage" in message
    assert "found 'Usage,Image name,neutral'" in message


@pytest.mark.parametrize(
    "header", ["emotion,emotion,pixels,Usage", "pixels,Usage,emotion, Emotion"]
)
def test_a_csv_with_two_columns_of_one_name(tmp_path, header):
    (tmp_path / "a.csv").write_text(f"{header}\n1,2,3,4\n")
    message = error_of(tmp_path / "a.csv")
    assert f"{tmp_path}/a.csv has 2 columns named emotion (emotion, " in message


def test_files_that_hold_all_of_it_twice(tmp_path):
    for name in ("a/fer2013.csv", "b/fer2013.csv"):
        (tmp_path / name).parent.mkdir()
        write_fer2013_csv(tmp_path / name, rows(files()))
    message = error_of(tmp_path)
    assert "holds 2 files named fer2013.csv (a/fer2013.csv, b/fer2013.csv)" in message


def test_the_two_files_of_the_competition_may_lie_side_by_side(tmp_path):
    (tmp_path / "fer2013").mkdir()
    write_fer2013_csv(tmp_path / "fer2013" / "fer2013.csv", rows(files()))
    write_icml_csv(tmp_path / "icml_face_data.csv", rows(files()))
    (note,) = fer2013.read(tmp_path).notes
    assert note == "Left out, since fer2013/fer2013.csv is read: icml_face_data.csv."


def test_a_csv_in_another_encoding(tmp_path):
    path = write_fer2013_csv(tmp_path / "fer2013.csv", rows(files()))
    path.write_text(path.read_text(), "utf-16")
    assert "it is no UTF-8 text ('utf-8' codec" in error_of(path)


def test_what_is_left_out_of_a_folder_is_said(tmp_path):
    path = write_folder(tmp_path / "a", files() | {".git/x": b"", "fer2013.csv": b""})
    beside, hidden = fer2013.read(path).notes
    assert beside == "Left out, since the images are read: fer2013.csv."
    assert hidden.startswith("1 hidden file is left out (.git/x)")


def test_files_that_are_no_csv(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00" * 99)
    assert "it is no UTF-8 text" in error_of(tmp_path / "a.csv")
    for name, command in (("a.tar.gz", "tar -xf"), ("a.tgz", "tar -xf"), ("a.csv.gz", "gunzip")):
        (tmp_path / name).write_bytes(b"\x1f\x8b\x08\x00")
        assert f"unpack it ({command} {tmp_path}/{name}) and" in error_of(tmp_path / name)


def test_the_fingerprint_sees_pixels_and_labels_but_no_order():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (5, 4, 6, 1), dtype=np.uint8)
    labels = [0, 1, 2, 1, 0]

    def of(images, labels):
        return fingerprint({"train": map(example_digest, images, labels)})

    base = of(images, labels)
    assert len(base) == 64
    order = generator.permutation(5)
    assert of(images[order], [labels[i] for i in order]) == base
    assert of(images[order], labels) != base
    assert of(images.reshape(5, 6, 4, 1), labels) != base
    assert of([*images, images[0]], [*labels, labels[0]]) != base
    for index in [(0, 0, 0, 0), (4, 3, 5, 0)]:
        changed = images.copy()
        changed[index] ^= 1
        assert of(changed, labels) != base


def test_the_digest_of_an_example_sees_who_is_shown_and_who_voted():
    image = np.zeros((2, 2, 1), np.uint8)
    digests = {
        example_digest(image, 1),
        example_digest(image, 1, subject="S1"),
        example_digest(image, 1, subject="S2"),
        example_digest(image, 1, votes=(1, 2)),
        example_digest(image, 1, votes=(2, 1)),
        example_digest(image, 2),
    }
    assert len(digests) == 6


def test_the_fingerprint_of_a_data_set_sees_the_split(tmp_path):
    splits = fer2013.read(write_folder(tmp_path / "a", files())).splits
    swapped = splits | {"train": splits["test"], "test": splits["train"]}
    assert fingerprint_of(swapped) != fingerprint_of(splits)


def test_a_csv_as_other_programs_write_it(tmp_path):
    """Usages of any case, and emotions as a column with gaps has them."""
    usages = {"Training": " training", "PublicTest": "PUBLICTEST ", "PrivateTest": "Private Test"}
    plain = list(rows(files()))
    other = [(f"{emotion}.0", pixels, usages[usage]) for emotion, pixels, usage in plain]
    found = [
        fer2013.read(write_fer2013_csv(tmp_path / f"{name}.csv", table)).splits
        for name, table in (("plain", plain), ("other", other))
    ]
    assert fingerprint_of(found[0]) == fingerprint_of(found[1])


def test_all_bad_rows_are_told_together(tmp_path):
    table = [list(row) for row in rows(files())]
    for number in range(1, 24):
        table[number][2] = "Testing"
    path = write_fer2013_csv(tmp_path / "a.csv", table)
    path.write_text(path.read_text() + "0,1,2,3,4,5\n")
    message = error_of(path)
    assert message.startswith(f"24 of 28 rows of {path} cannot be used, and nothing is stored:\n")
    assert [line.split(": ")[0].split(", ")[1] for line in message.splitlines()[1:21]] == [
        f"row {number} after the header" for number in range(2, 22)
    ]
    assert message.endswith("\n  and 4 more.")
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n0,1,2,3,4,5\n")
    assert error_of(path) == (
        f"{path}, row 2 after the header: expected 3 fields, found 6. Remove rows that are no "
        "images, or take the whole file again if it was cut short."
    )


def test_one_file_for_each_usage(tmp_path):
    content = files()
    wanted = fer2013.read(write_folder(tmp_path / "wanted", content)).splits
    parts = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
    (tmp_path / "a").mkdir()
    for name, usage in parts.items():
        table = [row for row in rows(content) if row[2] == usage]
        write_fer2013_csv(tmp_path / "a" / f"{name}.csv", table)
    reading = fer2013.read(tmp_path / "a")
    assert reading.source_format == "test.csv, train.csv, val.csv"
    assert fingerprint_of(reading.splits) == fingerprint_of(wanted)
    (remark,) = fer2013.read(tmp_path / "a" / "val.csv").remarks
    assert "Left out: test.csv, train.csv, which lie beside it" in remark
    write_fer2013_csv(tmp_path / "a" / "more.csv", list(rows(content))[:1])
    message = error_of(tmp_path / "a")
    assert (
        f"{tmp_path}/a/more.csv and {tmp_path}/a/train.csv both have rows of the train" in message
    )


def test_the_files_of_the_competition(tmp_path):
    (tmp_path / "train.csv").write_text("emotion,pixels\n0,1\n")
    (tmp_path / "test.csv").write_text("pixels\n1\n")
    for path in (tmp_path, tmp_path / "train.csv", tmp_path / "test.csv"):
        message = error_of(path)
        assert "its test.csv has no labels. All images with label and Usage are in icml_face" in (
            message
        )
    (tmp_path / "icml_face_data.csv.zip").write_bytes(b"PK")
    for path in (tmp_path, tmp_path / "train.csv"):
        assert "holds, as icml_face_data.csv.zip here: pass that file. Unpack" in error_of(path)
    write_icml_csv(tmp_path / "icml_face_data.csv", rows(files()))
    (note,) = fer2013.read(tmp_path).notes
    assert note == "Left out, since icml_face_data.csv is read: test.csv, train.csv."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("emotion;pixels;Usage\n0;1 2;Training\n", "parted by semicolons: save it with commas"),
        ("0,1 2,Training\n", "begins with values: put the line emotion,pixels,Usage above"),
        ("emotion,Usage\n0,Training\n", "It has no column pixels."),
    ],
)
def test_what_is_wrong_with_a_header(tmp_path, text, expected):
    (tmp_path / "fer2013.csv").write_text(text)
    assert expected in error_of(tmp_path)


def test_the_table_of_ck_that_looks_like_fer2013(tmp_path):
    pixels = next(rows(files()))[1]
    table = [(emotion, pixels, "Training") for emotion in (0, 7, 7)]
    path = write_fer2013_csv(tmp_path / "ckextended.csv", table)
    message = error_of(path)
    assert "2 of 3 rows" in message and message.count("ckextended.csv, cropped faces of CK+") == 1
    for source in (path, tmp_path):
        with pytest.raises(UserError, match=r"is a table, and CK\+ .*ckextended\.csv, cropped"):
            ck_plus.read(source)


@pytest.mark.parametrize(
    ("folders", "before"),
    [(("train", "test"), "one, as"), (("images/train", "images/validation"), "validation is call")],
)
def test_class_folders_without_the_names_of_fer2013(tmp_path, folders, before):
    content = {
        f"{folder}/{name}/im{number}.png": jpeg(number)
        for folder in folders
        for name in ("Angry", "happy")
        for number in range(2)
    }
    path = write_folder(tmp_path / "my copy", content)
    message = error_of(path)
    assert "has 8 images in folders of classes, without the names that FER2013 gives" in message
    assert before in message
    assert message.endswith(f"--dataset=image_folder --name=fer2013_copy --source='{path}'")
