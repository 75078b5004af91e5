"""Which images are looked at for faces, what is said of them, and that places are of the file."""

import os

import numpy as np
import pytest
from PIL import Image

from ferjax.errors import UserError
from ferjax.inference.classifier import Classifier
from ferjax.inference.faces import detectors, in_photos, marked
from ferjax.inference.faces.alignment import Framing
from ferjax.inference.faces.face import Face

FRAMING = Framing(0.5, 0.4, 0.4, found=9, images=10)
SHAPE = (48, 48, 1)


class Planted:
    """Finds a face at the middle of every photograph that is not blue."""

    name = "planted"

    def __init__(self):
        self.sizes = []

    def __call__(self, photos):
        self.sizes.append([photo.size for photo in photos])
        return [self.faces(photo) for photo in photos]

    def faces(self, photo):
        (width, height), blue = photo.size, photo.getpixel((0, 0)) == (0, 0, 255)
        x, y = width / 2, height / 2
        box = (x - width / 8, y - height / 8, x + width / 8, y + height / 8)
        return [] if blue else [Face(box, 0.75, ((x - width / 16, y), (x + width / 16, y)))]


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    found = Planted()
    monkeypatch.setattr(detectors, "create", lambda name: found)
    return found


def classifier(framing=FRAMING):
    """Bright images are happy."""

    def predict(images):
        happy = images.mean(axis=(1, 2, 3)) / 255
        return np.stack([happy, 1 - happy], axis=1).astype(np.float32)

    return Classifier(predict, labels=("happy", "sad"), native_shape=SHAPE, framing=framing)


def plain(color, size):
    return Image.new("RGB", size, color)


def seen(images, mode="auto", framing=FRAMING):
    return [one for batch in classifier(framing).photographs(images, mode=mode) for one in batch]


@pytest.mark.parametrize(
    ("size", "is_photo"),
    [
        ((48, 48), False),
        ((72, 72), False),
        ((73, 72), True),
        ((40, 300), True),
        ((4000, 3000), True),
    ],
)
def test_auto_looks_in_what_is_larger_than_the_training_images(size, is_photo):
    (one,) = seen([plain("white", size)])
    assert (one.photo is not None) == is_photo == (one.faces[0].face is not None)
    assert one.faces[0].label == "happy" and one.faces[0].pixels.shape == SHAPE


def test_detect_looks_in_all_and_crop_in_none(planted):
    images = [plain("white", (48, 48)), plain("white", (400, 400))]
    assert [one.faces[0].face is None for one in seen(images, "detect")] == [False, False]
    assert [one.faces[0].face is None for one in seen(images, "crop")] == [True, True]
    assert planted.sizes == [[(48, 48), (400, 400)]]


def test_no_face_is_said_and_is_no_problem():
    (one,) = seen([plain("blue", (300, 200))])
    assert one.faces == () and one.problem == "" and one.remarks == (in_photos.NO_FACE,)


@pytest.mark.parametrize("size", [(600, 400), (6144, 4096)])
def test_places_are_pixels_of_the_file(size, planted):
    (one,) = seen([plain("white", size)])
    (width, height), (found,) = size, one.faces
    assert found.face.box == pytest.approx(
        (3 * width / 8, 3 * height / 8, 5 * width / 8, 5 * height / 8), rel=1e-3
    )
    assert found.face.eyes[1][0] - found.face.eyes[0][0] == pytest.approx(width / 8, rel=1e-3)
    assert max(planted.sizes[0][0]) <= 2048


def test_a_face_gets_its_own_answer_in_a_batch_of_all_kinds(planted, tmp_path):
    colors = ["white", "blue", "black", "white", "black"] * 5
    images = [
        plain(color, (48, 48) if k % 3 == 0 else (200, 200)) for k, color in enumerate(colors)
    ]
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    images.insert(7, tmp_path / "bad.png")
    colors.insert(7, None)
    found = seen(images)
    assert len(found) == 26 and sum(map(len, planted.sizes)) == 16
    for one, color in zip(found, colors, strict=True):
        if color is None:
            assert "damaged" in one.problem and one.faces == ()
        elif color == "blue" and one.photo is not None:
            assert one.faces == ()
        else:
            assert one.faces[0].label == ("happy" if color == "white" else "sad")
            assert one.faces[0].pixels.mean() == pytest.approx(
                Image.new("L", (1, 1), color).getpixel((0, 0))
            )


def test_small_faces_and_faces_at_the_edge_are_told():
    (one,) = seen([plain("white", (100, 100))])
    assert one.remarks == ()
    (one,) = seen([plain("white", (74, 40))])
    assert one.remarks == (in_photos.SMALL_FACE,)
    (one,) = seen([plain("white", (300, 20))])
    assert one.remarks == (in_photos.REACHES_OUT,)


def test_a_model_without_a_framing_takes_crops_alone():
    images = [plain("white", (48, 48)), plain("white", (400, 400))]
    crop, photo = seen(images, framing=None)
    assert crop.faces[0].label == "happy" and "--faces=crop" in photo.problem
    with pytest.raises(UserError, match="--faces=crop"):
        seen(images, "detect", framing=None)
    with pytest.raises(UserError, match="faces is 'all'; expected one of auto, detect, crop"):
        seen(images, "all")


def test_the_faces_of_one_photograph_have_a_text_and_a_page():
    found = classifier().faces(np.full((300, 400, 3), 255, np.uint8))
    assert len(found) == 1 and found[0].label == "happy" and found[:1] == (found[0],)
    lines = repr(found).splitlines()
    assert lines[0] == "image 0" and lines[1].split() == ["face", "expression", "happy", "sad"]
    assert lines[2].startswith("1 at 150,112,250,188, score 0.75  happy") and "100.0" in lines[2]
    page = found._repr_html_()
    assert page.count("<img") == 2 and page.count("100.0 %") == 1 and "<script" not in page
    assert found.picture().size[1] > 300
    assert repr(classifier().faces(plain("blue", (90, 90)))) == "image 0: no face"


def test_faces_takes_one_photograph():
    with pytest.raises(UserError, match="takes one photograph"):
        classifier().faces([plain("white", (90, 90))] * 2)


def test_a_prediction_has_a_text_and_a_page_and_comes_apart():
    images = np.stack([np.full(SHAPE, level, np.uint8) for level in (255, 0)])
    found = classifier()(images)
    probabilities, names = found
    assert probabilities is found.probabilities and names == ("happy", "sad")
    assert found.labels == ("happy", "sad")
    assert repr(found).splitlines()[2].split() == ["1", "sad", "0.0", "100.0"]
    assert found._repr_html_().count("<img") == 2
    many = classifier()(np.zeros((30, *SHAPE), np.uint8))
    assert repr(many).endswith("... and 10 more") and many._repr_html_().count("<img") == 20


def test_pictures_of_one_name_are_all_written_and_replace_no_input(tmp_path):
    first, second = tmp_path / "a/face.png", tmp_path / "b/face.png"
    for path in (first, second, tmp_path / "out/face.jpg"):
        path.parent.mkdir()
        plain("white", (200, 200)).save(path)
    pictures = marked.MarkedPictures(tmp_path / "made", [first, second])
    for one in seen([first, second, plain("blue", (200, 200))]):
        pictures.add(one, ("happy", "sad"))
    assert sorted(os.listdir(tmp_path / "made")) == ["face-2.jpg", "face.jpg"]
    assert "2 pictures are" in pictures.sentence()
    pictures = marked.MarkedPictures(tmp_path / "out", [tmp_path / "out/face.jpg"])
    with pytest.raises(UserError, match="would replace"):
        pictures.add(*seen([first]), ("happy", "sad"))
