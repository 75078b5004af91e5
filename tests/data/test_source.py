"""Opening prepared data, and reading a split of it."""

import dataclasses

import numpy as np
import pytest
from fake_fer2013 import COUNTS, SPEC, files, write_zip

from ferjax.data import catalog, fer2013_formats, labels, preparation, source, storage
from ferjax.errors import UserError


@pytest.fixture(scope="module")
def zip_path(tmp_path_factory):
    return write_zip(tmp_path_factory.mktemp("source") / "a.zip", files())


@pytest.fixture
def data_dir(zip_path, tmp_path):
    preparation.prepare(SPEC, zip_path, tmp_path)
    return tmp_path


def test_what_is_loaded_is_what_was_read(zip_path, data_dir):
    opened = source.open_dataset("fer2013", data_dir)
    assert (opened.name, opened.labels, opened.image_shape) == (
        "fer2013",
        labels.FER2013,
        (48, 48, 1),
    )
    assert opened.num_examples == {split: sum(counts) for split, counts in COUNTS.items()}
    for split, wanted in fer2013_formats.read(zip_path).splits.items():
        found = opened.load(split)
        order = [found.keys.index(key) for key in wanted.keys]
        assert found.images.dtype == np.uint8 and found.labels.dtype == np.int32
        np.testing.assert_array_equal(found.images[order], wanted.images)
        np.testing.assert_array_equal(found.labels[order], wanted.labels)
        assert sorted(found.keys) == sorted(wanted.keys)


def test_chunks_do_not_show(data_dir, monkeypatch):
    whole = source.open_dataset("fer2013", data_dir).load("train")
    monkeypatch.setattr(source, "_CHUNK", 3)
    chunked = source.open_dataset("fer2013", data_dir).load("train")
    np.testing.assert_array_equal(whole.images, chunked.images)
    assert whole.keys == chunked.keys


def test_only_load_test_reads_the_test_split(data_dir):
    (shard,) = storage.version_dir(storage.resolve(data_dir), "fer2013").glob("*-test.array*")
    shard.write_bytes(b"\x00" * 100)
    opened = source.open_dataset("fer2013", data_dir)
    assert len(opened.load("train")) == sum(COUNTS["train"])
    assert len(opened.load("validation")) == sum(COUNTS["validation"])
    with pytest.raises(UserError, match=r"the test split in .* cannot be read"):
        opened.load("test")


def test_data_that_is_not_prepared(tmp_path):
    with pytest.raises(UserError) as caught:
        source.open_dataset("fer2013", tmp_path)
    message = str(caught.value)
    assert f"FER2013 is not prepared in {tmp_path}" in message
    assert "msambare/fer2013" in message
    assert message.endswith(
        "python -m ferjax.data.prepare --dataset=fer2013 "
        f"--source=PATH_OF_ZIP_FOLDER_OR_CSV --data_dir={tmp_path}"
    )


def test_names_that_do_not_exist(data_dir):
    with pytest.raises(UserError, match=r"no data set 'FER-2013'\. Did you mean 'fer2013'\?"):
        source.open_dataset("FER-2013", data_dir)
    with pytest.raises(UserError, match=r"no split 'valid'\. Did you mean 'validation'\?"):
        source.open_dataset("fer2013", data_dir).load("valid")
    with pytest.raises(UserError, match="data set fer2013 has no option 'image_size'"):
        source.open_dataset("fer2013", data_dir, image_size=48)
    with pytest.raises(UserError, match=r"no option 'imagesize'\. Did you mean 'image_size'\?"):
        source.open_dataset("synthetic", data_dir, imagesize=48)


def test_other_classes_are_refused(data_dir, monkeypatch):
    other = labels.LabelSpace("fer2013", tuple(sorted(labels.FER2013.names)))
    changed = dataclasses.replace(catalog.FER2013, labels=other)
    monkeypatch.setitem(catalog.DATASETS, "fer2013", changed)
    with pytest.raises(UserError, match=r"has the classes angry.*prepare it again"):
        source.open_dataset("fer2013", data_dir)


def test_synthetic_data_prepare_themselves(tmp_path):
    opened = source.open_dataset(
        "synthetic", tmp_path, image_size=16, channels=3, num_train=14, num_validation=7, num_test=7
    )
    assert opened.num_examples == {"train": 14, "validation": 7, "test": 7}
    assert opened.load("train").images.shape == (14, 16, 16, 3)
    assert len(opened.fingerprint) == 64


def test_the_default_data_dir(monkeypatch, tmp_path):
    monkeypatch.delenv("FERJAX_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert source.default_data_dir() == tmp_path / "cache" / "ferjax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source.default_data_dir() == tmp_path / ".cache" / "ferjax"
    monkeypatch.setenv("FERJAX_DATA_DIR", "~/faces")
    assert source.default_data_dir() == tmp_path / "faces"
