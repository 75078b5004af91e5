"""Data sets in an object store: prepared, fetched once, fetched anew when they change, refused."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ferjax.data import catalog, dataset
from ferjax.data.audit import __main__ as audit
from ferjax.data.prepare import __main__ as command
from ferjax.data.prepare import preparation
from ferjax.data.storage import remote
from ferjax.data.storage.local import resolve, version_dir
from ferjax.errors import UserError
from tests.helpers.bucket import _server, store  # noqa: F401 - fixtures
from tests.helpers.fake_fer2013 import write_folder

ROOT = "gs://bucket/data"
FOLDER = "data/image_folder/mine/2.0.0/"


def images(path, seed=0):
    content = {}
    for split in ("train", "validation", "test"):
        for number, name in enumerate(("happy", "sad")):
            rng = np.random.default_rng([seed, number, len(split)])
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(file, "PNG")
            content[f"{split}/{name}/1.png"] = file.getvalue()
    return write_folder(path, content)


def prepare(path, **options):
    return preparation.prepare(catalog.IMAGE_FOLDER, path, ROOT, name="mine", **options)


def opened():
    return dataset.open_dataset("image_folder", ROOT, name="mine")


def downloads(store):  # noqa: F811
    return sum("alt=media" in path and "array_record" in path for _, path in store.requests)


@pytest.fixture
def prepared(store, tmp_path):  # noqa: F811
    return prepare(images(tmp_path / "images"))


def test_the_file_that_counts_is_put_last(store, prepared):  # noqa: F811
    assert str(prepared.directory) == f"{ROOT}/image_folder/mine/2.0.0"
    order = sorted(store.objects, key=lambda key: store.objects[key].generation)
    assert order[-1] == ("bucket", FOLDER + "dataset_info.json") and len(order) == 7


def test_a_data_set_is_fetched_once(store, prepared, tmp_path, capsys):  # noqa: F811
    local = opened().load("train")  # where it was prepared, there is nothing to fetch
    assert downloads(store) == 0 and capsys.readouterr().err == ""
    shutil.rmtree(tmp_path / "cache")
    fetched = opened().load("train")
    assert downloads(store) == 3
    assert "fetching 0 MB from gs://bucket/data/image_folder/mine" in capsys.readouterr().err
    assert fetched.pixel_hashes == local.pixel_hashes
    np.testing.assert_array_equal(fetched.images, local.images)
    opened().load("test")
    assert downloads(store) == 3


def test_other_content_is_fetched_anew(store, prepared, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    before = opened().fingerprint
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    other = images(tmp_path / "other", seed=1)
    with pytest.raises(UserError, match=r"already holds .* with other content .*--overwrite"):
        prepare(other)
    after = prepare(other, overwrite=True).fingerprint
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    assert opened().fingerprint == after != before


def test_the_same_content_is_not_put_again(store, prepared, tmp_path):  # noqa: F811
    shutil.rmtree(tmp_path / "cache")
    before = dict(store.objects)
    assert prepare(tmp_path / "images").was_there
    assert store.objects == before


@pytest.mark.parametrize("gone", ["dataset_info.json", "image_folder-test.array_record-"])
def test_half_a_data_set_is_refused(store, prepared, tmp_path, gone):  # noqa: F811
    shutil.rmtree(tmp_path / "cache")
    for name in store.names("bucket", FOLDER + gone):
        del store.objects["bucket", name]
    with pytest.raises(UserError, match=r"mine is only half there .* in gs://bucket/data") as error:
        opened()
    assert "--data_dir=gs://bucket/data" in str(error.value) and downloads(store) == 0
    prepare(tmp_path / "images")
    assert opened().num_examples["test"] == 2


def test_a_data_set_that_is_not_there_is_refused(store):  # noqa: F811
    with pytest.raises(UserError, match=r"mine is not prepared in gs://bucket/data"):
        opened()


def test_an_upload_that_fails_leaves_no_data_set(store, prepared, tmp_path):  # noqa: F811
    store.fail = lambda method, path: 403 if method == "POST" and len(store.objects) < 7 else None
    with pytest.raises(UserError, match=r"cannot write to gs://bucket/data.*Forbidden"):
        prepare(images(tmp_path / "other", seed=1), overwrite=True)
    store.fail = None
    with pytest.raises(UserError, match="only half there"):
        opened()


def test_a_fetch_that_fails_leaves_no_copy(store, prepared, tmp_path):  # noqa: F811
    shutil.rmtree(tmp_path / "cache")
    store.fail = lambda method, path: 403 if "test.array_record" in path else None
    with pytest.raises(UserError, match=r"cannot be brought to .*cache/ferjax/remote.*Forbidden"):
        opened()
    assert not prepared_here().exists()
    store.fail = None
    assert opened().num_examples["test"] == 2
    assert [path.name for path in prepared_here().parent.iterdir() if path.is_dir()] == ["2.0.0"]


def prepared_here():
    return remote.local(version_dir(resolve(ROOT), "image_folder", "mine"))


def test_a_data_set_replaced_while_it_is_fetched_is_refused(store, prepared, tmp_path):  # noqa: F811
    shutil.rmtree(tmp_path / "cache")

    def replace(method, path):
        if "array_record" in path and "alt=media" in path:
            store.put(("bucket", FOLDER + "metadata.json"), b"{}")

    store.fail = replace
    with pytest.raises(UserError, match="was replaced while it was fetched; run the command again"):
        opened()


def test_the_environment_may_name_the_object_store(store, prepared, monkeypatch):  # noqa: F811
    monkeypatch.setenv("FERJAX_DATA_DIR", ROOT)
    assert dataset.open_dataset("image_folder", name="mine").fingerprint == prepared.fingerprint


def test_synthetic_faces_are_made_here(store):  # noqa: F811
    options = {"image_size": 16, "num_train": 7, "num_validation": 7, "num_test": 7}
    assert dataset.open_dataset("synthetic", ROOT, **options).num_examples["train"] == 7
    assert store.objects == {}


def test_the_commands_say_what_has_to_be_local(store, run_main):  # noqa: F811
    given = ["--dataset=image_folder", "--name=mine", "--source=gs://bucket/images"]
    code, _, said = run_main(command, *given)
    assert code == 2 and "--source is gs://bucket/images; expected a path on this mach" in said
    code, _, said = run_main(audit, "--dataset=synthetic", "--output=gs://bucket/audit")
    assert code == 2 and "--output is gs://bucket/audit; expected a path on this machine" in said


def test_a_description_in_a_bucket_names_no_module(store, prepared, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    name = ("bucket", FOLDER + "features.json")
    described = json.loads(store.objects[name].data)
    described["pythonClassName"] = "evil_module.Feature"
    store.put(name, json.dumps(described).encode())
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(UserError, match=r"features\.json"):
        opened()
    assert not (tmp_path / "ran").exists() and downloads(store) == 0
