"""Opening prepared data, and reading a split of it."""

import dataclasses

import numpy as np
import pytest

from ferjax.data import catalog, dataset, labels
from ferjax.data.prepare import preparation
from ferjax.data.prepare.readers.fer2013 import read as fer2013
from ferjax.data.storage import local, records
from ferjax.data.storage.fingerprint import pixel_hash
from ferjax.errors import UserError
from tests.helpers.fake_fer2013 import COUNTS, SPEC, files, write_zip


@pytest.fixture(scope="module")
def zip_path(tmp_path_factory):
    return write_zip(tmp_path_factory.mktemp("source") / "a.zip", files())


@pytest.fixture
def data_dir(zip_path, tmp_path):
    preparation.prepare(SPEC, zip_path, tmp_path)
    return tmp_path


def test_what_is_loaded_is_what_was_read(zip_path, data_dir):
    opened = dataset.open_dataset("fer2013", data_dir)
    assert (opened.name, opened.labels, opened.image_shape) == (
        "fer2013",
        labels.FER2013,
        (48, 48, 1),
    )
    assert opened.num_examples == {split: sum(counts) for split, counts in COUNTS.items()}
    for split, wanted in fer2013.read(zip_path).splits.items():
        found = opened.load(split)
        assert found.images.dtype == np.uint8 and found.labels.dtype == np.int32
        assert sorted(found.keys) == sorted(item.key for item in wanted)
        for item in wanted:
            row = found.keys.index(item.key)
            np.testing.assert_array_equal(found.images[row], item.image())
            assert found.labels[row] == item.label
            assert found.pixel_hashes[row] == pixel_hash(item.image())


def test_images_that_are_read_when_asked_are_the_same(data_dir):
    opened = dataset.open_dataset("fer2013", data_dir)
    for split in ("train", "validation+test"):
        memory, asked = opened.load(split), opened.load(split, in_memory=False)
        assert asked.images.shape == memory.images.shape
        np.testing.assert_array_equal(asked.labels, memory.labels)
        assert (asked.keys, asked.pixel_hashes) == (memory.keys, memory.pixel_hashes)
        order = np.random.default_rng(0).permutation(len(memory))
        np.testing.assert_array_equal(asked.images[order], memory.images[order])
        np.testing.assert_array_equal(asked.images[2:5], memory.images[2:5])


def test_chunks_do_not_show(data_dir, monkeypatch):
    whole = dataset.open_dataset("fer2013", data_dir).load("train")
    monkeypatch.setattr(records, "CHUNK", 3)
    chunked = dataset.open_dataset("fer2013", data_dir).load("train")
    np.testing.assert_array_equal(whole.images, chunked.images)
    assert whole.keys == chunked.keys


def test_only_load_test_reads_the_test_split(data_dir):
    (shard,) = local.version_dir(local.resolve(data_dir), "fer2013").glob("*-test.array*")
    shard.write_bytes(b"\x00" * 100)
    opened = dataset.open_dataset("fer2013", data_dir)
    assert len(opened.load("train")) == sum(COUNTS["train"])
    assert len(opened.load("validation")) == sum(COUNTS["validation"])
    with pytest.raises(UserError, match=r"the test split in .* cannot be read"):
        opened.load("test")


def test_data_that_is_not_prepared(tmp_path):
    with pytest.raises(UserError) as caught:
        dataset.open_dataset("fer2013", tmp_path)
    message = str(caught.value)
    assert f"FER2013 is not prepared in {tmp_path}" in message
    assert "msambare/fer2013" in message
    assert message.endswith(
        "python -m ferjax.data.prepare --dataset=fer2013 "
        f"--source=PATH_OF_ZIP_FOLDER_OR_CSV --data_dir={tmp_path}"
    )


def test_names_that_do_not_exist(data_dir):
    with pytest.raises(UserError, match=r"no data set 'FER-2013'\. Did you mean 'fer2013'\?"):
        dataset.open_dataset("FER-2013", data_dir)
    with pytest.raises(UserError, match=r"no split 'valid'\. Did you mean 'validation'\?"):
        dataset.open_dataset("fer2013", data_dir).load("valid")
    with pytest.raises(UserError, match="data set fer2013 has no option 'image_size'"):
        dataset.open_dataset("fer2013", data_dir, image_size=48)
    with pytest.raises(UserError, match=r"no option 'imagesize'\. Did you mean 'image_size'\?"):
        dataset.open_dataset("synthetic", data_dir, imagesize=48)


def test_other_classes_are_refused(data_dir, monkeypatch):
    other = labels.LabelSpace("fer2013", tuple(sorted(labels.FER2013.names)))
    changed = dataclasses.replace(catalog.FER2013, labels=other)
    monkeypatch.setitem(catalog.DATASETS, "fer2013", changed)
    with pytest.raises(UserError, match=r"has the classes angry.*prepare it again"):
        dataset.open_dataset("fer2013", data_dir)


def test_synthetic_data_prepare_themselves(tmp_path):
    opened = dataset.open_dataset(
        "synthetic", tmp_path, image_size=16, channels=3, num_train=14, num_validation=7, num_test=7
    )
    assert opened.num_examples == {"train": 14, "validation": 7, "test": 7}
    assert opened.load("train").images.shape == (14, 16, 16, 3)
    assert len(opened.fingerprint) == 64


def test_the_default_data_dir(monkeypatch, tmp_path):
    monkeypatch.delenv("FERJAX_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert dataset.default_data_dir() == tmp_path / "cache" / "ferjax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dataset.default_data_dir() == tmp_path / ".cache" / "ferjax"
    monkeypatch.setenv("FERJAX_DATA_DIR", "~/faces")
    assert dataset.default_data_dir() == tmp_path / "faces"


def folds_of(monkeypatch, **options):
    """The small FER2013 as a data set whose splits are parts of the stored training split."""
    spec = dataclasses.replace(SPEC, scheme="held_out")
    monkeypatch.setitem(catalog.DATASETS, "fer2013", spec)
    return options


def test_a_part_of_a_split_is_read_alone(data_dir, monkeypatch):
    """Validation of a data set that streams must not bring its whole training split to memory."""
    options = folds_of(monkeypatch, held_out=0.3)
    read = []
    images = records.StoredSplit.images

    def counted(stored, positions, **keywords):
        read.append(len(positions))
        return images(stored, positions, **keywords)

    monkeypatch.setattr(records.StoredSplit, "images", counted)
    monkeypatch.setattr(records.StoredSplit, "read", lambda stored: pytest.fail("read it all"))
    opened = dataset.open_dataset("fer2013", data_dir, **options)
    opened.load("train", in_memory=False)
    validation = opened.load("validation")
    assert read == [len(validation)] and 0 < len(validation) < sum(COUNTS["train"])


@pytest.mark.parametrize("harm", ["flipped", "cut"])
@pytest.mark.parametrize("use", ["size", "load", "index"])
def test_damaged_records_say_so_where_parts_are_taken_of_them(data_dir, monkeypatch, harm, use):
    options = folds_of(monkeypatch)
    (shard,) = local.version_dir(local.resolve(data_dir), "fer2013").glob("*-train.array*")
    content = bytearray(shard.read_bytes())
    written = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))  # the rest is padding
    start = int(written[len(written) // 2])
    content[start : start + 50] = bytes(255 - byte for byte in content[start : start + 50])
    shard.write_bytes(content if harm == "flipped" else content[: len(content) // 2])
    with pytest.raises(UserError, match=r"the train split in .* cannot be read"):
        opened = dataset.open_dataset("fer2013", data_dir, **options)
        if use == "size":
            _ = opened.num_examples["validation"]
        elif use == "load":
            opened.load("train")
        else:
            opened.load("train", in_memory=False).images[np.arange(2)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ck_plus", {"fold": 1.5}, r"dataset\.options\.fold is 1\.5; expected a value like 0"),
        ("ck_plus", {"fold": True}, r"dataset\.options\.fold is True; expected a value like 0"),
        ("ck_plus", {"fold": "1"}, r"dataset\.options\.fold is '1'; expected a value like 0"),
        ("ck_plus", {"fold": 11}, r"dataset\.options\.fold is 11; expected 0 to 9"),
        ("ck_plus", {"split_seed": -1}, r"split_seed is -1; expected a whole number of at least 0"),
        ("ck_plus", {"split_by": "imgae"}, r"split_by is 'imgae'.*Did you mean 'image'"),
        ("raf_db", {"held_out": -1}, r"dataset\.options\.held_out is -1; expected a share"),
        ("raf_db", {"held_out": "0.1"}, r"held_out is '0\.1'; expected a value like 0\.1"),
        ("fer_plus", {"target": "majorty"}, r"target is 'majorty'.*Did you mean 'majority'"),
        ("image_folder", {"name": "a", "test_share": 1.0}, r"test_share is 1\.0; expected a share"),
        ("image_folder", {}, r"dataset\.options\.name is ''; image_folder needs a name"),
        ("image_folder", {"name": "../x"}, r"dataset\.options\.name is '\.\./x'; .* small letters"),
        ("image_folder", {"name": "mine"}, r"A folder of images named mine is not prepared"),
    ],
)
def test_options_that_make_no_sense(tmp_path, name, options, message):
    with pytest.raises(UserError, match=message):
        dataset.open_dataset(name, tmp_path, **options)
