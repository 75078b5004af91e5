"""`ferjax.predict` on photographs, with the model and the detector that ferjax carries."""

import csv
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ferjax import predict
from ferjax.errors import UserError
from ferjax.inference.faces import annotated, detectors
from ferjax.inference.faces.face import Face
from ferjax.inference.faces.seen import Found
from ferjax.inference.faces.yunet import YuNet
from ferjax.inference.reading import Photo
from tests.helpers import scenes, small_yunet

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


def test_pictures_of_one_command_never_replace_each_other(run_main, tmp_path):
    face = Image.open(ASTRONAUT).crop((140, 20, 310, 210))
    for name in ("p/a-2", "p/a", "q/a", "q/A"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        face.save(tmp_path / f"{name}.png")
    out = tmp_path / "p/out"
    for _ in range(2):  # the second time with pictures of the first in a folder that is searched
        code, _, err = run_main(
            predict, MODEL, str(tmp_path / "p"), str(tmp_path / "q"), f"--output={out}"
        )
        assert code == 0 and "4 pictures are in" in err
        names = sorted(name.casefold() for name in os.listdir(out))
        assert names == ["a-2.jpg", "a-3.jpg", "a-4.jpg", "a.jpg"]
    assert "4 of the images lie in --output=" in err
    code, _, err = run_main(predict, MODEL, str(out), f"--output={out}")
    assert code == 2 and "All images lie in --output=" in err


def test_many_faces_and_classes_make_a_picture_of_bounded_size():
    rows = np.full((300, 90), 1 / 90, np.float32)
    rows[:, 7] = 0.5
    face = Face((10, 10, 60, 60), 0.9, ((20, 20), (40, 20)))
    faces = [Found("c7", row, np.zeros((8, 8, 1), np.uint8), face) for row in rows]
    photo = Photo(Image.new("RGB", (640, 480)), 1.0)
    labels = [f"c{number}" for number in range(90)]
    made = annotated.picture(photo, faces, labels)
    assert made.height < 12_000
    assert annotated.picture(photo, faces[:40], labels).height == made.height - annotated._LINE
    assert repr(faces[0]) == "<c7 50.0 % at 10,10,60,60, score 0.90>"


def test_a_model_of_rendered_faces_says_so(run_main, finished, tmp_path):
    Image.new("L", (16, 16), 90).save(tmp_path / "a.png")
    _, _, err = run_main(predict, f"--workdir={finished[0]}", str(tmp_path / "a.png"))
    assert "was trained on rendered faces" in err
    _, _, err = run_main(predict, MODEL, str(tmp_path / "a.png"))
    assert "trained on rendered" not in err


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
        (["--workdir=a.safetensors"], "a packed file is --model=a.safetensors"),
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


def test_a_file_of_yunet_is_run_by_opencv(tmp_path, run_main):
    """A network that finds red cells: colours in order, scales, both eyes, the best face first."""
    small_yunet.write(tmp_path / "small.onnx")
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[80:88, 160:168, 0] = 200
    pixels[200:208, 304:312, 0] = 255
    pixels[240:248, 400:408, 2] = 255  # blue
    pixels[360:368, 80:88, 0] = 100  # a score of 0.63
    photo = Image.fromarray(pixels)
    small = Image.fromarray(pixels[:100, :200])
    large = photo.resize((1280, 960), Image.Resampling.NEAREST)
    detector = detectors.create(f"{tmp_path}/small.onnx")
    (best, other), (one,), (twice, _) = detector([photo, small, large])
    assert best.box == (292, 184, 324, 224) and best.eyes == ((300, 202), (316, 202))
    assert best.score == 1 and other.score == pytest.approx((200 / 255) ** 0.5, abs=0.01)
    assert one.box == other.box == (148, 64, 180, 104)
    assert twice.box == (584, 368, 648, 448) and twice.eyes == ((600, 404), (632, 404))
    photo.save(tmp_path / "photo.png")
    flags = (MODEL, f"--detector={tmp_path}/small.onnx", f"--output={tmp_path}/out")
    code, out, _ = run_main(predict, *flags, str(tmp_path / "photo.png"))
    assert code == 0 and [line.split()[-2] for line in out.splitlines()[1:]] == [
        "292,184,324,224",
        "148,64,180,104",
    ]


def test_yunet_in_threads_gives_each_photograph_its_own_faces(tmp_path):
    small_yunet.write(tmp_path / "small.onnx")
    detector = detectors.create(tmp_path / "small.onnx")
    photos = []
    for width, height, x in ((640, 480, 160), (320, 200, 80)):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[80:88, x : x + 8, 0] = 255
        photos.append(Image.fromarray(pixels))
    expected = [detector([photo]) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda at: detector([photos[at % 2]]), range(80)))
    assert found == [expected[at % 2] for at in range(80)]


def test_a_file_of_yunet_that_is_replaced_is_read_again(tmp_path):
    file = tmp_path / "small.onnx"
    small_yunet.write(file)
    first = detectors.create(file)
    assert detectors.create(str(file)) is first
    os.utime(file, ns=(1, 1))
    assert detectors.create(file) is not first
    file.unlink()
    with pytest.raises(UserError, match=r"small\.onnx cannot be read"):
        detectors.create(file)


def test_names_that_opencv_cannot_take_are_refused(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.onnx")
    small_yunet.write(name)
    with pytest.raises(UserError, match="its path is not UTF-8"):
        detectors.create(name)


def test_opencv_says_nothing_of_its_own(tmp_path, capfd):
    small_yunet.write(tmp_path / "small.onnx")
    assert detectors.create(f"{tmp_path}/small.onnx")([Image.new("RGB", (90, 90))]) == [[]]
    assert capfd.readouterr().err == ""


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
