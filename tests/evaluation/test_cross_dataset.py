"""A model on another data set: through a map of class names, and never without one."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import ferjax
from ferjax import evaluate
from ferjax.data import catalog, label_maps
from ferjax.data.dataset import open_dataset
from ferjax.data.prepare import preparation
from ferjax.errors import UserError
from ferjax.evaluation import cross_dataset
from ferjax.training import experiment
from tests.helpers import scored

# What a French lab may call the classes; sorted by these names they have another order.
FRENCH = {
    "angry": "colere",
    "disgust": "degout",
    "fear": "peur",
    "happy": "joie",
    "sad": "tristesse",
    "surprise": "surprise",
    "neutral": "neutre",
}
MAP = ",".join(f"{theirs}={ours}" for ours, theirs in FRENCH.items())


@pytest.fixture(scope="module")
def renamed(finished, tmp_path_factory):
    """The test split of the run's data set as a data set of its own, classes in another order."""
    _, config, _ = finished
    test = experiment.build(config).data.examples("test")
    folder, data_dir = tmp_path_factory.mktemp("french"), tmp_path_factory.mktemp("data")
    names = list(FRENCH.values())
    for index, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
        for split in ("train", "validation", "test"):
            file = folder / split / names[label] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(file)
    preparation.prepare(catalog.IMAGE_FOLDER, folder, data_dir, name="french")
    return data_dir


def command(finished, renamed, *flags):
    return [
        *("-m", "ferjax.evaluate", f"--workdir={finished[0]}", f"--data_dir={renamed}"),
        *("--dataset=image_folder", "--options=name=french", *flags),
    ]


def test_permuted_classes_change_nothing(finished, renamed, tmp_path, run_python):
    source = open_dataset("image_folder", renamed, name="french")
    assert source.labels.names == tuple(sorted(FRENCH.values()))
    out = tmp_path / "out.json"
    flags = (f"--label_map={MAP}", f"--json={out}", "--tta=single,flip")
    done = run_python(command(finished, renamed, *flags))
    found, expected = json.loads(out.read_text()), finished[2]["test"]
    for view in ("single", "flip"):
        scores = found["scores"][view]["test"]
        assert scores["confusion"] == expected[view]["test"]["confusion"]
        assert scores["loss"] == pytest.approx(expected[view]["test"]["loss"], rel=1e-5)
        # None of them trained or selected the model.
        clean = found["scores"][view]["test_clean"]["num_examples"]
        assert clean == expected[view]["test_clean"]["num_examples"]
    assert found["dataset"] == "image_folder" and found["trained_on"] == "synthetic"
    assert found["dropped"] == {} and "colere=angry" in found["label_map"]
    assert "image_folder test" in done.stdout


@pytest.fixture
def refused(run_main):
    """Runs the command in this process and returns what it says of wrong input."""

    def run(*arguments):
        code, out, said = run_main(evaluate, *arguments)
        assert (code, out) == (2, "")
        return said

    return run


def test_without_a_map_it_is_refused(finished, renamed, refused):
    said = refused(*command(finished, renamed)[2:])
    assert "The model knows the classes angry, disgust, fear" in said
    assert "colere, degout, joie" in said and "--label_map=" in said


def test_names_that_are_no_known_emotion_need_a_full_map(finished, renamed, refused):
    said = refused(*command(finished, renamed, "--label_map=emotions")[2:])
    assert "not known which emotion 'colere' is" in said


def test_flags_of_another_data_set_need_one(finished, refused):
    said = refused(f"--workdir={finished[0]}", "--label_map=emotions")
    assert "name it with --dataset=NAME" in said


def test_a_class_the_model_does_not_have_is_refused_or_dropped_and_counted(finished, renamed):
    model = scored.model(finished[0])
    labels = model.trained.spec.labels
    source = open_dataset("image_folder", renamed, name="french")
    missing = label_maps.parse(MAP.replace("peur=fear", "peur="), source.labels.names, labels)
    with pytest.raises(UserError, match=r"no class for peur \(5 images\) of image_folder.*drop"):
        cross_dataset.score(model, source, "test", missing, ["single"])
    found = cross_dataset.score(model, source, "test", missing, ["single"], unmapped="drop")
    assert found.dropped == {"peur": 5}
    confusion = np.array(found.scores["single"]["test"]["confusion"])
    expected = np.array(finished[2]["test"]["single"]["test"]["confusion"])
    assert confusion[2].sum() == 0
    np.testing.assert_array_equal(np.delete(confusion, 2, 0), np.delete(expected, 2, 0))
    with pytest.raises(UserError, match=r"--unmapped is 'dorp'.*Did you mean 'drop'"):
        cross_dataset.score(
            model,
            source,
            "test",
            missing,
            ["single"],
            unmapped="dorp",
        )


def test_other_sizes_are_fitted_as_a_prediction_fits_them(finished, tmp_path):
    """The scores of a colour data set of another size are those of predicting its files."""
    rng = np.random.default_rng(0)
    files = []
    for split in ("train", "validation", "test"):
        for name in ("happy", "sad"):
            for number in range(3):
                file = tmp_path / "faces" / split / name / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).resize((24, 32)).save(file)
                if split == "test":
                    files.append((file, name))
    preparation.prepare(catalog.IMAGE_FOLDER, tmp_path / "faces", tmp_path / "data", name="two")
    source = open_dataset("image_folder", tmp_path / "data", name="two")
    model = scored.model(finished[0])
    labels = model.trained.spec.labels
    label_map = label_maps.parse("emotions", source.labels.names, labels)
    found = cross_dataset.score(model, source, "test", label_map, ["single"])
    classifier = ferjax.load(finished[0])
    confusion = np.zeros((7, 7), int)
    for file, name in files:
        predicted = int(classifier(file).probabilities.argmax())
        confusion[classifier.labels.index(name), predicted] += 1
    assert found.scores["single"]["test"]["confusion"] == confusion.tolist()


def test_images_that_trained_the_model_are_not_clean(finished, tmp_path, monkeypatch):
    """The model's own training images as another data set: none of them counts as clean."""
    _, config, _ = finished
    train = experiment.build(config).data.examples("train")
    content = {}
    for index in range(14):
        file = io.BytesIO()
        Image.fromarray(train.images[index][..., 0]).save(file, "PNG")
        name = ("happy", "sad")[index % 2]
        content[f"test/{name}/{index}.png"] = file.getvalue()
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    for split in ("train", "validation", "test"):
        for number, name in enumerate(("happy", "sad")):
            file = io.BytesIO()
            Image.fromarray(noise + np.uint8(number)).save(file, "PNG")
            content[f"{split}/{name}/new.png"] = file.getvalue()
    for name, data in content.items():
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    preparation.prepare(catalog.IMAGE_FOLDER, tmp_path / "faces", tmp_path / "data", name="two")
    source = open_dataset("image_folder", tmp_path / "data", name="two")
    model = scored.model(finished[0])
    labels = model.trained.spec.labels
    label_map = label_maps.parse("emotions", source.labels.names, labels)
    found = cross_dataset.score(model, source, "test", label_map, ["single"])
    sizes = {name: one["num_examples"] for name, one in found.scores["single"].items()}
    assert sizes == {"test": 16, "test_clean": 2} and found.note == "" and found.num_seen == 14
    # Nor are they where they are stored in colour, in which their hashes are others.
    for name in content:
        path = tmp_path / "colour" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.open(tmp_path / "faces" / name).convert("RGB").save(path)
    preparation.prepare(catalog.IMAGE_FOLDER, tmp_path / "colour", tmp_path / "data", name="colour")
    colour = open_dataset("image_folder", tmp_path / "data", name="colour")
    assert colour.image_shape == (16, 16, 3)
    in_colour = cross_dataset.score(model, colour, "test", label_map, ["single"])
    assert in_colour.num_seen == 14
    for group, one in found.scores["single"].items():
        other = in_colour.scores["single"][group]
        assert other["confusion"] == one["confusion"]
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    # Nor does anybody know of a run that goes back to one on other data.
    own = {"weights": "second", "fingerprint": model.trained.spec.fingerprint}
    other = {**own, "started_from": [{"weights": "first", "fingerprint": "f" * 64}]}
    for origin, groups in ((own, ["test", "test_clean"]), (other, ["test"])):
        found = cross_dataset.score(
            scored.model(finished[0], [origin]), source, "test", label_map, ["single"]
        )
        assert sorted(found.scores["single"]) == groups
    assert "The run started from first, which was trained on other data" in found.note
    # Without the run's own data nobody knows, and it is said.
    elsewhere = scored.model(finished[0], data_dir=str(tmp_path / "data"))
    monkeypatch.setattr(catalog, "SYNTHETIC", None)
    found = cross_dataset.score(elsewhere, source, "test", label_map, ["single"])
    assert list(found.scores["single"]) == ["test"] and "is not where the run had it" in found.note
    # A split of nothing else than images that trained the model.
    seen = {
        f"{split}/{kind}/{n}.png": content[f"test/{kind}/{n}.png"]
        for split in ("train", "test")
        for n, kind in enumerate(("happy", "sad"))
    }
    for name, data in seen.items():
        path = tmp_path / "seen" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    preparation.prepare(catalog.IMAGE_FOLDER, tmp_path / "seen", tmp_path / "data", name="seen")
    monkeypatch.undo()
    source = open_dataset("image_folder", tmp_path / "data", name="seen")
    found = cross_dataset.score(model, source, "test", label_map, ["single"])
    assert list(found.scores["single"]) == ["test"] and found.note.startswith("Every image of test")


def test_the_persons_of_other_data_come_along(finished):
    """Else intervals would take several images of one person for independent draws."""
    source = experiment.build(finished[1]).data.source
    names = source.labels.names
    kept = [name for name in names if name != "fear"]
    text = ",".join(f"{name}={name if name in kept else ''}" for name in names)
    found = label_maps.parse(text, names, tuple(kept))
    examples, _, dropped = cross_dataset._known(source, "test", found, "drop", (16, 16, 1))
    whole = source.load("test", in_memory=False)
    rows = [row for row, label in enumerate(whole.labels) if names[label] != "fear"]
    assert dropped == {"fear": 5} and whole.subjects
    assert examples.subjects == tuple(whole.subjects[row] for row in rows)
