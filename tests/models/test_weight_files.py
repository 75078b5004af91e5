"""Weights from files: three kinds are read, everything else is refused by name."""

import pickle
import sys

import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from ferjax import models
from ferjax.errors import UserError
from tests.golden import weights as drawn

ARRAYS = {"conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "conv.bias": np.ones(2)}


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_files_come_back_as_they_were(tmp_path, kind):
    path = tmp_path / f"weights.{kind}"
    save_file(ARRAYS, path) if kind == "safetensors" else np.savez(path, **ARRAYS)
    read = models.weights.read(path)
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], array)


def test_a_pickle_is_never_loaded(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, weight=np.array([object()], dtype=object))
    with pytest.raises(UserError, match=r"weights\.npz is damaged or no \.npz of plain arrays"):
        models.weights.read(path)


def test_pth_needs_pytorch(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({}))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        UserError, match=r"weights\.pth needs PyTorch.*safetensors\.torch\.save_file"
    ):
        models.weights.read(path)


def test_pth_is_read_by_the_safe_loader_alone(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: .pth cannot be read")
    good, bad = tmp_path / "good.pth", tmp_path / "bad.pth"
    torch.save({"fc.weight": torch.nn.Parameter(torch.ones(2, 3))}, good)
    assert models.weights.read(good)["fc.weight"].tolist() == [[1.0] * 3] * 2
    torch.save({"fc.weight": np.ones}, bad)
    with pytest.raises(UserError, match=r"bad\.pth is damaged, or holds more than tensors"):
        models.weights.read(bad)


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_a_damaged_file_is_named(tmp_path, kind, content):
    path = tmp_path / f"weights.{kind}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"weights\.{kind} is damaged"):
        models.weights.read(path)


def test_a_lone_array_is_no_state_dict(tmp_path):
    np.save(tmp_path / "array.npy", np.ones(3))
    path = (tmp_path / "array.npy").rename(tmp_path / "weights.npz")
    with pytest.raises(UserError, match=r"weights\.npz is damaged or no \.npz"):
        models.weights.read(path)


def test_missing_and_unknown_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"There are no weights at .*gone\.npz"):
        models.weights.read(tmp_path / "gone.npz")
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(UserError, match=r"weights\.h5 is of no known kind; expected .*safetensors"):
        models.weights.read(tmp_path / "weights.h5")


def small(**options):
    return models.create(
        "resnet18", num_classes=7, width=8, stem="half", rngs=nnx.Rngs(0), **options
    )


def state_dict():
    shapes = drawn.resnet_shapes("resnet18", stem="half", attention="none", channels=1, width=8)
    return drawn.random_state_dict(shapes, 5)


def test_the_first_differences_are_listed_and_nothing_is_changed():
    model, arrays = small(), state_dict()
    before = models.weights.named(model)
    del arrays["layer1.0.bn1.bias"]
    arrays["conv1.weight"] = arrays["conv1.weight"][:, :, :1]
    arrays["layer9.weight"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as error:
        models.weights.load_torchvision(model, arrays)
    for part in (
        "(3 differences)",
        "layer1.0.bn1.bias is missing",
        "conv1.weight has shape (1, 3, 1, 8), the model (3, 3, 1, 8)",
        "layer9.weight has no place in the model",
    ):
        assert part in str(error.value)
    for name, array in models.weights.named(model).items():
        np.testing.assert_array_equal(array, before[name])


def test_another_classifier_is_left_out_by_request_only():
    model = small()
    arrays = models.weights.from_torch(state_dict())
    before = models.weights.named(model)
    arrays["fc.weight"], arrays["fc.bias"] = np.zeros((64, 1000)), np.zeros(1000)
    with pytest.raises(UserError, match=r"fc\.weight has shape"):
        models.weights.load(model, arrays, source="These weights")
    loaded = models.weights.load(model, arrays, source="These weights", leave=("fc",))
    assert set(loaded.fresh) == set(loaded.unused) == {"fc.weight", "fc.bias"}
    after = models.weights.named(model)
    np.testing.assert_array_equal(after["fc.weight"], before["fc.weight"])
    np.testing.assert_array_equal(after["conv1.weight"], arrays["conv1.weight"])


def test_a_trunk_takes_its_part_and_leaves_the_classifier():
    model = models.create(
        "early_fusion",
        num_classes=7,
        trunks=("resnet18", "vgg11"),
        width=8,
        stem="half",
        rngs=nnx.Rngs(0),
    )
    arrays = models.weights.from_torch(state_dict())
    loaded = models.weights.load(
        model, arrays, source="These weights", leave=("fc",), inside="trunk1"
    )
    assert set(loaded.unused) == {"fc.weight", "fc.bias"}
    after = models.weights.named(model)
    np.testing.assert_array_equal(after["trunk1.conv1.weight"], arrays["conv1.weight"])
    with pytest.raises(UserError, match=r"features\.0\.weight is missing"):
        models.weights.load(model, arrays, source="These weights", inside="trunk2")
