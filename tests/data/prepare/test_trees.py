"""Zips and folders of others: what they must not hold is refused, and nothing is written."""

import copy
import random
import warnings
import zipfile

import pytest

from ferjax.data.prepare import preparation
from ferjax.data.prepare.readers import trees, zip_tree
from ferjax.errors import UserError
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
    ],
)
def test_a_zip_that_points_outside(tmp_path, refused, name):
    path = write_zip(tmp_path / "a.zip", files() | {name: jpeg(0)})
    message = refused(path)
    assert f"{path} holds a file named {name!r}, which points outside the archive" in message
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.zip"]


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
    path = tmp_path / "a.rar"
    path.write_bytes(b"Rar!\x1a\x07")
    with pytest.raises(UserError, match=r"a.rar is neither a folder nor a zip \(it begins with"):
        trees.opened(path)
    path.write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(UserError, match=r"is a gzip archive: unpack it \(tar -xzf a.rar\)"):
        trees.opened(path)
