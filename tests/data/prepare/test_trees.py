"""Zips and folders of others: what they must not hold is refused, and nothing is written."""

import copy
import random
import warnings
import zipfile

import pytest

from ferjax.data.prepare import preparation
from ferjax.data.prepare.readers import trees, zip_tree
from ferjax.data.prepare.readers.ck_plus import read as ck_plus
from ferjax.data.prepare.readers.fer2013 import read as fer2013
from ferjax.data.prepare.readers.fer_plus import read as fer_plus
from ferjax.data.prepare.readers.image_folder import read as image_folder
from ferjax.data.prepare.readers.raf_db import read as raf_db
from ferjax.errors import UserError
from tests.helpers import fake_ck_plus, fake_fer_plus, fake_raf_db
from tests.helpers import strangers as made
from tests.helpers.fake_fer2013 import SPEC, files, jpeg, write_folder, write_zip


@pytest.fixture
def refused(tmp_path):
    """Prepares a source that must be refused; returns the message."""

    def prepare(path):
        with pytest.raises(UserError) as caught:
            preparation.prepare(SPEC, path, tmp_path / "data")
        assert not (tmp_path / "data").exists()
        return str(caught.value)

    return prepare


@pytest.mark.parametrize(
    "name",
    [
        "/train/sad/Training_9.jpg",
        "../Training_9.jpg",
        "train/../../a.jpg",
        "..\\a.jpg",
        "C:/a.jpg",
        "C:\\a.jpg",
        "\\a.jpg",
        "\\\\server\\share\\a.jpg",
        "train\\..\\..\\a.jpg",
    ],
)
def test_a_zip_that_points_outside(tmp_path, refused, name):
    path = write_zip(tmp_path / "a.zip", files() | {name: jpeg(0)})
    message = refused(path)
    assert f"{path} holds a file named {name!r}, which points outside the archive" in message
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.zip"]


def test_a_zip_of_windows(tmp_path):
    content = {"a\\b\\1.jpg": b"1", "a\\c\\": b"", "a/2.jpg": b"2", "__MACOSX\\a\\3.jpg": b"3"}
    tree = trees.opened(write_zip(tmp_path / "a.zip", content))
    assert (tree.names(), tree.folders()) == (["a/2.jpg", "a/b/1.jpg"], ["a", "a/b", "a/c"])
    assert tree.read("a/b/1.jpg") == tree.head("a/b/1.jpg") == b"1"
    tree.close()
    path = write_zip(tmp_path / "b.zip", {"a\\1.jpg": b"1", "a/1.jpg": b"2"})
    with pytest.raises(UserError, match=r"holds 2 files named 'a/1\.jpg'"):
        trees.opened(path)


def test_two_dots_within_a_name_are_no_parent(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a..b/1..jpg": b"1"})
    assert trees.opened(path).names() == ["a..b/1..jpg"]


def test_a_zip_with_a_link(tmp_path, refused):
    path = write_zip(tmp_path / "a.zip", files())
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("train/sad/Training_9.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    message = refused(path)
    assert f"train/sad/Training_9.jpg in {path} is a link; a zip must hold the files" in message


def test_a_zip_with_a_name_that_occurs_twice(tmp_path, refused):
    path = write_zip(tmp_path / "a.zip", files())
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("train/sad/Training_0.jpg", jpeg(9))
    assert f"{path} holds 2 files named 'train/sad/Training_0.jpg'" in refused(path)


def test_a_zip_that_would_fill_the_disk(tmp_path, refused):
    path = write_zip(tmp_path / "a.zip", files() | {"zeros.bin": bytes(zip_tree.SMALL_BYTES + 1)})
    size = path.stat().st_size
    unpacked = sum(map(len, files().values())) + zip_tree.SMALL_BYTES + 1
    message = refused(path)
    assert f"{path} has {size:,} bytes and would unpack to {unpacked:,}" in message
    assert "no data set of images shrinks more than 200-fold" in message


def test_a_zip_whose_files_share_their_bytes(tmp_path, refused):
    path = tmp_path / "a.zip"
    noise = random.Random(0).randbytes(100_000)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.jpg", noise)
        for number in range(1, 300):
            again = copy.copy(archive.infolist()[0])
            again.filename = f"{number}.jpg"
            archive.filelist.append(again)
    # Each of them is as large as it was packed; together they are not.
    assert path.stat().st_size < 200_000
    assert "would unpack to 30,000,000" in refused(path)


def test_small_files_may_shrink_a_lot(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"black.bin": bytes(1 << 20)})
    assert trees.opened(path).read("black.bin") == bytes(1 << 20)


def test_one_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_tree, "MAX_MEMBER_BYTES", 100)
    tree = trees.opened(write_zip(tmp_path / "a.zip", {"a.bin": bytes(101)}))
    with pytest.raises(UserError, match=r"a.bin in .*a.zip would take 101 bytes, more than"):
        tree.read("a.bin")
    tree.close()


@pytest.mark.parametrize("link", ["train/again", "train/outside.jpg", "train/sad/nowhere.jpg"])
def test_links_in_a_folder_that_are_not_followed(tmp_path, refused, link):
    path = write_folder(tmp_path / "a", files())
    (tmp_path / "outside.jpg").write_bytes(jpeg(0))
    target = {
        "train/again": path / "train" / "sad",
        "train/outside.jpg": tmp_path / "outside.jpg",
        "train/sad/nowhere.jpg": path / "nothing",
    }[link]
    (path / link).symlink_to(target)
    message = refused(path)
    assert f"{path}/{link} is a link to {target}; only links to files below {path}" in message


def test_all_links_and_names_that_are_refused_are_told_at_once(tmp_path, refused):
    path = write_folder(tmp_path / "a", files() | {"bad\udce9/1.jpg": b"", "bad\udce9/2.jpg": b""})
    (path / "nowhere.jpg").symlink_to("nothing")
    (path / "again").symlink_to(path / "train")
    message = refused(path)
    number = len(trees.FolderTree(path)._walk()[0]) + len(trees.FolderTree(path).folders())
    assert message.startswith(f"3 of {number} files and folders of {path} cannot be used")
    assert f"\n  {path}/again is a link to {path}/train; only" in message
    assert f"\n  {path}/nowhere.jpg is a link to {path}/nothing; only" in message
    assert (
        f"\n  {path}/bad\\xe9: the name is not UTF-8, so that it cannot be stored; rename it.\n"
        in message
    )
    assert message.endswith("or remove a link that leads nowhere.")
    assert message.count("Put a copy in its place") == 1


def test_a_folder_that_contains_itself(tmp_path, refused):
    path = write_folder(tmp_path / "a", files())
    (path / "train" / "round").symlink_to(path)
    assert f"{path}/train/round is a link to {path}" in refused(path)


def test_a_link_to_a_file_of_the_folder_is_that_file(tmp_path):
    path = write_folder(tmp_path / "a", {"1.bin": b"1"})
    (path / "2.bin").symlink_to("1.bin")
    tree = trees.opened(path)
    assert tree.names() == ["1.bin", "2.bin"]
    assert tree.read("2.bin") == b"1"


def test_files_of_the_system_are_not_seen(tmp_path):
    content = dict.fromkeys(
        ["a/1.jpg", "a/.hidden", ".git/x", "__MACOSX/a/1.jpg", "a/Thumbs.db", "desktop.ini"], b""
    )
    for path in (write_folder(tmp_path / "a", content), write_zip(tmp_path / "a.zip", content)):
        tree = trees.opened(path)
        assert (tree.names(), tree.folders()) == (["a/1.jpg"], ["a"])
        tree.close()


def test_empty_folders_are_folders(tmp_path):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    path = write_zip(tmp_path / "a.zip", {"b/c/": b""})
    for tree in (trees.opened(tmp_path / "a"), trees.opened(path)):
        assert (tree.names(), tree.folders()) == ([], ["b", "b/c"])
        tree.close()


def test_what_is_neither_a_folder_nor_a_zip(tmp_path):
    path = made.text(tmp_path / "a.zip", "text")
    with pytest.raises(UserError, match=r"neither a folder nor a zip: it is a text file \(it beg"):
        trees.opened(path)


OTHERS = {
    "a web page": (b"<!DOCTYPE html><html>", "Download the file itself"),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull."),
    "an empty file": (b"", "download it again."),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_kind_is_called_what_it_is(kind, tmp_path):
    content, advice = OTHERS[kind]
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "fer2013.csv"
    path.write_bytes(content)
    for read, source in (
        (trees.opened, path),
        (raf_db.read, path),
        (fer2013.read, path),
        (fer2013.read, path.parent),
    ):
        with pytest.raises(UserError) as caught:
            read(source)
        assert f": it is {kind} (" in str(caught.value) and advice in str(caught.value)
        assert "the folder that holds it" not in str(caught.value)


ONE_FILE, FOLDER = "what it holds", "the folder"
ARCHIVES = {
    ("a gzip", "gunzip", ONE_FILE): b"\x1f\x8b\x08\x00",
    ("a bzip2", "bunzip2", ONE_FILE): b"BZh9",
    ("an xz", "unxz", ONE_FILE): b"\xfd7zXZ\0\0",
    ("a zstd", "unzstd", ONE_FILE): b"\x28\xb5\x2f\xfd",
    ("a tar", "tar -xf", FOLDER): b"happy/0.png".ljust(257, b"\0") + b"ustar\0",
    ("a RAR", "unrar x", FOLDER): b"Rar!\x1a\x07\x00",
    ("a 7-Zip", "7z x", FOLDER): b"7z\xbc\xaf\x27\x1c",
}


@pytest.mark.parametrize(("kind", "command", "found"), ARCHIVES)
def test_another_archive_is_called_what_it_is(kind, command, found, tmp_path):
    path = tmp_path / "x; rm a.zip"
    path.write_bytes(ARCHIVES[kind, command, found])
    for read in (trees.opened, fer2013.read):
        with pytest.raises(UserError) as caught:
            read(path)
        assert str(caught.value) == (
            f"{path} is {kind} archive: unpack it ({command} '{path}') and pass {found}."
        )


PACKED = [
    (write_folder, ["faces.zip", "README.md"], "an archive and nothing else (faces.zip): pass it"),
    (write_folder, ["fer2013.tar.gz"], "(fer2013.tar.gz): unpack fer2013.tar.gz, and pass what"),
    (
        write_folder,
        ["a/train.zip", "a/test.zip"],
        "(a/test.zip, a/train.zip): unpack them into",
    ),
    (write_zip, ["faces.zip"], "an archive and nothing else (faces.zip): unpack faces.zip, and"),
]


@pytest.mark.parametrize(("write", "names", "expected"), PACKED)
def test_what_is_still_packed(write, names, expected, tmp_path):
    path = write(tmp_path / "a", dict.fromkeys(names, b"PK\3\4"))
    for read in (fer2013.read, raf_db.read, ck_plus.read, fer_plus.read, image_folder.read):
        with pytest.raises(UserError) as caught:
            read(path)
        assert f"{path} holds " in str(caught.value) and expected in str(caught.value)


def test_the_head_of_a_file(tmp_path):
    content = {"a.bin": bytes(range(256)) * 4}
    for path in (write_folder(tmp_path / "a", content), write_zip(tmp_path / "a.zip", content)):
        tree = trees.opened(path)
        assert tree.head("a.bin") == content["a.bin"][:512]
        tree.close()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/" * 65 + "1.jpg", "and 65 folders ('a/a/"),
        ("a" * 5000, "a file whose name has 5,000 characters and 0 folders ('aaa"),
    ],
)
def test_a_name_that_no_folder_can_hold(name, expected, tmp_path):
    path = write_zip(tmp_path / "a.zip", {name: b"1"})
    with pytest.raises(UserError) as caught:
        trees.opened(path)
    assert expected in str(caught.value) and len(str(caught.value)) < 400


def test_hidden_files_are_counted_and_those_of_a_system_are_not(tmp_path):
    content = {name: b"" for name in ("a/.b", ".c/d", "a/e", "__MACOSX/._e", "a/Thumbs.db")}
    for path in (write_folder(tmp_path / "a", content), write_zip(tmp_path / "a.zip", content)):
        tree = trees.opened(path)
        assert tree.names() == ["a/e"]
        (note,) = tree.notes()
        assert note.startswith("2 hidden files are left out (.c/d, a/.b)")
        tree.close()


READERS = {
    "fer2013": (fer2013.read, lambda: files()),
    "raf_db": (raf_db.read, lambda: fake_raf_db.kaggle(fake_raf_db.faces())),
    "raf_db of its authors": (raf_db.read, lambda: fake_raf_db.official(fake_raf_db.faces())),
    "ck_plus": (ck_plus.read, lambda: fake_ck_plus.official(fake_ck_plus.some())),
    "CK+48": (ck_plus.read, lambda: fake_ck_plus.ck_48(fake_ck_plus.some())),
    "fer_plus": (fer_plus.read, lambda: fake_fer_plus.folder_files()),
    "image_folder": (image_folder.read, lambda: dict.fromkeys(("a/1.png", "b/2.png"), b"")),
}


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("read", [raf_db.read, ck_plus.read, fer_plus.read])
def test_class_folders_are_prepared_as_images_of_ones_own(read, ending, tmp_path):
    content = {f"{name}/{k}.{ending}": b"" for name in ("happy", "sad") for k in range(2)}
    path = write_folder(tmp_path / "my copy", content)
    with pytest.raises(UserError) as caught:
        read(path)
    assert "4 images lie in folders of classes" in str(caught.value)
    assert str(caught.value).endswith(f"--dataset=image_folder --name=mine --source='{path}'")


@pytest.mark.parametrize("layout", [fake_raf_db.kaggle, fake_raf_db.official])
def test_raf_db_is_not_fer2013(layout, tmp_path):
    path = write_folder(tmp_path / "a", layout(fake_raf_db.faces()))
    with pytest.raises(UserError) as caught:
        fer2013.read(path)
    assert "it looks like RAF-DB" in str(caught.value)
    assert str(caught.value).endswith(f"--dataset=raf_db --source={path}")


@pytest.mark.parametrize("write", [write_folder, write_zip])
@pytest.mark.parametrize("name", READERS)
def test_every_reader_tells_of_hidden_files(name, write, tmp_path):
    read, content = READERS[name]
    hidden = {".x/1.png": b"", ".2.png": b""}
    found = read(write(tmp_path / "a", content() | hidden))
    said = [note for note in found.notes if "hidden" in note]
    assert len(said) == 1 and said[0].startswith("2 hidden files are left out (.2.png, .x/1.png)")
