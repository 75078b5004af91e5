"""A model as one file, by name and fetched: whole, damaged, of another."""

import dataclasses
import functools
import hashlib
import http.server
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

import ferjax
from ferjax.errors import UserError
from ferjax.inference import loading, packed
from ferjax.inference.faces.alignment import Framing
from ferjax.inference.shipped import fetching, manifest
from ferjax.inference.trained_model import TrainedModel

FACES = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)
FRAMING = Framing(0.5, 0.4, 0.3, found=3, images=4)


@pytest.fixture(scope="module")
def trained(finished):
    found = TrainedModel.load(finished[0], config=None)
    return dataclasses.replace(found, spec=dataclasses.replace(found.spec, framing=FRAMING))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 0.01)])
def test_a_packed_model_predicts_as_the_run_does(trained, tmp_path, dtype, tolerance):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(packed.pack(trained, dtype))
    assert packed.pack(trained, dtype) == file.read_bytes()  # equal models are equal files
    found, expected = ferjax.load(file), trained.classifier()
    np.testing.assert_allclose(
        found(FACES).probabilities, expected(FACES).probabilities, atol=tolerance
    )
    assert found.labels == expected.labels and found.framing == FRAMING


def test_fields_of_later_versions_are_ignored(trained, tmp_path):
    data = packed.pack(trained, "float32")
    arrays = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about = json.loads(header["__metadata__"]["about"])
    about["spec"]["framing"]["later"] = 1
    about["spec"]["later"] = 1
    found = packed.unpack(save(arrays, {"about": json.dumps(about)}), tmp_path)
    assert found.spec.framing == FRAMING


def test_a_classifier_says_what_it_is(trained):
    told = repr(trained.classifier())
    assert told.startswith("<Classifier of crops of 16x16x1, trained on synthetic: angry, disgust")


def test_running_statistics_keep_all_their_digits(trained):
    narrow, wide = (
        packed._parsed(packed.pack(trained, dtype), Path("a file"))[1]
        for dtype in ("bfloat16", "float32")
    )
    statistics = [name for name in wide if "running" in name]
    assert statistics and set(narrow) == set(wide)
    for name in wide:
        assert narrow[name].dtype == ("float32" if name in statistics else "bfloat16"), name
        if name in statistics:
            np.testing.assert_array_equal(narrow[name], wide[name])


def damaged(data, what):
    arrays = dict(load(data))
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about = json.loads(header["__metadata__"]["about"])
    name = max(arrays, key=lambda each: (arrays[each].size, each))
    if what == "cut":
        return data[:-5]
    if what == "nothing":
        return b""
    if what == "text":
        return b"<html>" * 50
    if what == "nan":
        arrays[name] = np.full_like(arrays[name], np.nan)
    if what == "lost":
        del arrays[name]
    if what == "shape":
        arrays[name] = arrays[name][:1]
    if what == "whole numbers":
        arrays[name] = arrays[name].astype(np.int32)
    if what == "no text":
        return save(arrays)
    if what == "format":
        about["format"] = 2
    if what == "spec":
        about["spec"]["model"]["name"] = "resnet9000"
    if what == "framing":
        about["spec"]["framing"]["distance"] = -1
    return save(arrays, {"about": json.dumps(about)})


@pytest.mark.parametrize(
    "what",
    "cut,nothing,text,nan,lost,shape,whole numbers,no text,format,spec,framing".split(","),
)
def test_what_is_no_packed_model_is_refused_by_name(trained, tmp_path, what):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(damaged(packed.pack(trained, "float32"), what))
    with pytest.raises(UserError, match=r"mine\.safetensors"):
        ferjax.load(file)


def test_a_file_that_is_not_there_and_a_checkpoint_of_a_file_are_refused(trained, tmp_path):
    with pytest.raises(UserError, match=r"gone\.safetensors cannot be read"):
        ferjax.load(tmp_path / "gone.safetensors")
    with pytest.raises(UserError, match="has one set of weights"):
        ferjax.load("fer2013-small", checkpoint="last")


def test_a_name_is_a_model_unless_something_here_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ferjax.load("fer2013-small").native_shape == (48, 48, 1)
    with pytest.raises(UserError, match=r"no model 'fer2013-smal'.* \(fer2013-small\)"):
        ferjax.load("fer2013-smal")
    (tmp_path / "fer2013-small").mkdir()
    with pytest.raises(UserError, match=r"\./fer2013-small means that one"):
        ferjax.load("fer2013-small")
    for path in ("./fer2013-small", tmp_path / "fer2013-small"):
        with pytest.raises(UserError, match="is not a run directory"):
            ferjax.load(path)


def test_the_files_that_ferjax_carries_are_those_of_the_list():
    carried = [one for one in manifest.entries().values() if one.file is not None]
    assert [one.name for one in carried] == ["fer2013-small", "mtcnn"]
    for one in carried:
        data = one.file.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (one.num_bytes, one.sha256)
        assert len(data) <= 8e6


def test_a_carried_file_that_is_damaged_is_refused(monkeypatch, tmp_path):
    found = manifest.entry("fer2013-small")
    other = tmp_path / "a.safetensors"
    other.write_bytes(b"other")
    monkeypatch.setattr(manifest, "entries", lambda: {found.name: found._replace(file=other)})
    with pytest.raises(UserError, match=r"is damaged.*install ferjax again"):
        loading.named("fer2013-small")


CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def served(tmp_path, monkeypatch):
    """`served(content)` is an entry of the list whose address gives the content."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def entry(content, name="there"):
            (folder / "there.onnx").write_bytes(content)
            address = f"http://127.0.0.1:{server.server_port}/{name}.onnx"
            checksum = hashlib.sha256(CONTENT).hexdigest()
            one = manifest.Entry(
                "far", "detector", "", "MIT", len(CONTENT), checksum, None, None, address
            )
            monkeypatch.setattr(manifest, "entries", lambda: {"far": one})

        yield entry
        server.shutdown()
        thread.join()


def cached(tmp_path):
    return sorted(path.name for path in tmp_path.glob("cache/ferjax/models/*"))


def test_what_is_fetched_is_kept_and_fetched_once(served, tmp_path):
    served(CONTENT)
    with pytest.raises(
        UserError, match=r"python -m ferjax\.models --fetch=far fetches its 0\.3 MB"
    ):
        fetching.fetched("far")
    assert cached(tmp_path) == []
    parts = []
    path = fetching.fetch("far", lambda: parts.append(1))
    assert path.read_bytes() == CONTENT and len(parts) == 4
    served(b"other")
    assert fetching.fetch("far") == path and fetching.fetched("far") == (path, CONTENT)
    assert cached(tmp_path) == ["far.onnx"]
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="delete it, and fetch it"):
        fetching.fetched("far")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (CONTENT[:-1], "has the SHA-256"),
        (CONTENT[::-1], "has the SHA-256"),
        (CONTENT + b"more", "gives more than the 256,000 bytes"),
    ],
)
def test_of_what_is_something_else_nothing_is_kept(served, tmp_path, content, said):
    served(content)
    with pytest.raises(UserError, match=said):
        fetching.fetch("far")
    assert cached(tmp_path) == [] and not list(tmp_path.glob("cache/ferjax/models/.*"))


def test_an_address_that_gives_nothing_is_named(served, tmp_path):
    served(CONTENT, name="gone")
    with pytest.raises(UserError, match=r"cannot be fetched from http://127.*not found"):
        fetching.fetch("far")
    with pytest.raises(UserError, match="There is no model 'near'; expected"):
        fetching.fetched("near", "model")
