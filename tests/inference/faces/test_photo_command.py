"""`ferjax.predict` on photographs, with the model and the detector that ferjax carries."""

import csv
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from ferjax import predict
from ferjax.errors import UserError
from ferjax.inference.faces import detectors
from ferjax.inference.faces.yunet import YuNet
from tests.helpers import scenes

ASTRONAUT = os.path.join(scenes.FOLDER, "astronaut.png")
COFFEE = os.path.join(scenes.FOLDER, "coffee.png")
MODEL = "--model=fer2013-small"


def test_a_photograph_gives_its_face_and_a_picture(run_main, tmp_path):
    code, out, err = run_main(predict, MODEL, ASTRONAUT, COFFEE, f"--output={tmp_path}/out")
    header, face, none = out.splitlines()
    assert code == 0 and header.split()[-3:] == ["score", "box", "file"]
    assert face.split()[0] == "happy" and face.split()[-3:-1] == ["1.00", "177,59,267,173"]
    assert none.startswith("no face ") and none.endswith(COFFEE)
    assert "1 image has no face that could be found" in err and "1 picture is in" in err
    assert "No face was looked for" not in err
    assert os.listdir(tmp_path / "out") == ["astronaut.jpg"]
    with Image.open(tmp_path / "out/astronaut.jpg") as picture:
        assert picture.width == 512 and picture.height > 600


def test_other_programs_get_the_places_of_faces(run_main, tmp_path):
    crop = tmp_path / "crop.png"
    Image.open(ASTRONAUT).crop((160, 50, 290, 180)).resize((48, 48)).save(crop)
    files = [ASTRONAUT, COFFEE, str(crop)]
    code, out, err = run_main(predict, MODEL, *files, "--format=csv", f"--json={tmp_path}/a.json")
    face, none, cut = csv.DictReader(io.StringIO(out))
    assert code == 0 and list(face)[-6:] == ["face", "score", "left", "top", "right", "bottom"]
    assert face["label"] == "happy" and float(face["happy"]) > 0.8 and face["face"] == "1"
    assert [round(float(face[edge])) for edge in ("left", "top")] == [177, 59]
    assert (none["label"], none["happy"], none["face"], none["left"]) == ("", "", "0", "")
    assert (cut["label"], cut["face"], cut["left"]) == ("happy", "", "")
    assert "No face was looked for in 1 of 3 images" in err
    made = json.loads((tmp_path / "a.json").read_text())
    assert made["model"] == "fer2013-small" and "workdir" not in made
    first, second, third = made["images"]
    assert first["box"] == pytest.approx([177, 59, 267, 173], abs=0.6) and first["face"] == 1
    assert (second["face"], second["label"], second["probabilities"]) == (0, None, None)
    assert "face" not in third and third["label"] == "happy"


def test_noise_and_black_have_no_face_and_crops_are_not_looked_at(run_main, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    for name, image in (("noise", Image.fromarray(noise)), ("black", Image.new("RGB", (96, 96)))):
        image.save(tmp_path / f"{name}.png")
        image.resize((48, 48)).save(tmp_path / f"{name}_crop.png")
    names = [str(tmp_path / f"{name}.png") for name in ("noise", "black")]
    _, out, _ = run_main(predict, MODEL, *names)
    assert [line.startswith("no face ") for line in out.splitlines()[1:]] == [True, True]
    names = [str(tmp_path / f"{name}_crop.png") for name in ("noise", "black")]
    _, out, err = run_main(predict, MODEL, *names)
    assert "no face" not in out and "No face was looked for: each image was taken" in err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "none is given"),
        ([MODEL, "--workdir=runs/a"], "both are given"),
        ([MODEL, "--checkpoint=last"], "--model has one set of weights"),
        ([MODEL, "--faces=all"], "--faces is 'all'; expected one of auto, detect, crop"),
        ([MODEL, "--faces=crop", "--output=out"], "--faces=crop looks for none"),
        ([MODEL, "--detector=haar"], "The detector is 'haar'; expected mtcnn, yunet"),
        (["--model=fer2013-large"], "There is no model 'fer2013-large'; expected fer2013-small"),
        (["--model=yunet"], "There is no model 'yunet'"),
    ],
)
def test_flags_that_say_nothing_sensible_are_refused(run_main, flags, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_main(predict, ASTRONAUT, *flags)
    assert (code, out) == (2, "") and said in err


def test_an_output_that_is_a_file_is_refused_before_anything_is_done(run_main, tmp_path):
    (tmp_path / "out").write_text("mine")
    code, out, err = run_main(predict, MODEL, ASTRONAUT, f"--output={tmp_path}/out")
    assert (code, out) == (2, "") and f"{tmp_path}/out cannot be written" in err
    assert (tmp_path / "out").read_text() == "mine"


def test_a_file_that_is_no_yunet_is_refused_by_name(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07nothing")
    with pytest.raises(UserError, match=r"OpenCV cannot use .*a\.onnx as the detector YuNet"):
        YuNet(tmp_path / "a.onnx")
    with pytest.raises(UserError, match=r"gone\.onnx cannot be read"):
        detectors.create(f"{tmp_path}/gone.onnx")


def test_yunet_that_was_not_fetched_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match="--fetch=yunet fetches its 0"):
        detectors.create("yunet")
