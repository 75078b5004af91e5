"""Image files of users."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from ferjax.data.images import decoding, files, remarks
from ferjax.errors import UserError
from tests.helpers import strangers as made

GREY, RGB = (8, 8, 1), (8, 8, 3)


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_an_image_of_the_native_shape_keeps_every_pixel(tmp_path):
    image = pixels(8, 8)
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(files.read(tmp_path / "a.png", GREY)[..., 0], image)
    np.testing.assert_array_equal(files.fit_array(image, GREY)[..., 0], image)


@pytest.mark.parametrize("shape", [(20, 12), (20, 12, 1), (20, 12, 3)])
@pytest.mark.parametrize("native", [GREY, RGB])
def test_any_other_shape_is_brought_to_it(shape, native):
    out = files.fit_array(pixels(*shape), native)
    assert out.shape == native and out.dtype == np.uint8


def test_orientation_is_honoured(tmp_path):
    image = Image.fromarray(pixels(8, 8))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    image.save(tmp_path / "a.png", exif=exif)
    out = files.read(tmp_path / "a.png", GREY)
    np.testing.assert_array_equal(out[..., 0], np.asarray(image)[::-1, ::-1])


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_that_of_pillow(orientation, form, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(pixels(8, 12, 3))
    image.save(tmp_path / "a", form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    with Image.open(tmp_path / "a") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("L"))
    height, width = expected.shape
    found = files.read(tmp_path / "a", (height, width, 1))
    np.testing.assert_array_equal(found[..., 0], expected)
    assert (height > width) == (orientation >= 5)
    decoded = decoding.decode((tmp_path / "a").read_bytes(), "a", 1)
    np.testing.assert_array_equal(decoded, found)


def test_folders_are_searched_in_order(tmp_path):
    for name in ("b/2.png", "a/1.JPG", "a/note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.name for path in files.find([tmp_path])] == ["1.JPG", "2.png"]


def test_what_a_folder_holds_beside_is_counted(tmp_path):
    for name in ("a.png", ".b.png", ".git/c.png", "__MACOSX/._a.png", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "labels").write_text("a,b")
    for name in ("d.mp4", "e.jpeg.part"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isom")
    said = []
    assert files.find([tmp_path], said.append) == [tmp_path / "a.png"]
    start = f"Left out of {tmp_path}: "
    assert said == [
        f"{start}2 hidden ({tmp_path}/.b.png, {tmp_path}/.git/c.png).",
        f"{start}2 videos ({tmp_path}/d.mp4, {tmp_path}/e.jpeg.part). Save its frames as images, "
        "as ffmpeg -i VIDEO -vf fps=1 frame_%05d.png does, and crop the face in each.",
        f"{start}1 text file ({tmp_path}/labels).",
    ]


def test_an_image_is_told_by_what_it_holds(tmp_path):
    """Whatever its name; and what has the name of an image is left to whoever reads it."""
    for name, form in (("a", "PNG"), ("b.txt", "JPEG"), ("c.jfif", "JPEG"), ("d.png", "AVIF")):
        saved(tmp_path / name, "RGB", (9, 9, 9), form=form)
    (tmp_path / "e.heic").write_text("no image")
    found = files.find([tmp_path])
    assert [path.name for path in found] == ["a", "b.txt", "c.jfif", "d.png", "e.heic"]
    for path in found[:-1]:
        assert files.read(path, GREY).max() in (9, 10)
    with pytest.raises(UserError, match=r"e\.heic is not an image that can be read: it is a text"):
        files.read(found[-1], GREY)


def test_a_file_that_is_named_again_counts_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("")
    said = []
    assert list(map(str, files.find(["b.png", ".", "./b.png"], said.append))) == ["b.png", "a.png"]
    assert said == ["1 named more than once, and taken once (b.png)."]


def test_a_file_whose_name_begins_with_a_tilde_lies_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "~a.png", "L", 7)
    for path in files.find(["."]):
        assert files.read(path, GREY).max() == 7
    with pytest.raises(UserError, match=r"an image is ~a\.png, and there is no home folder"):
        files.find(["~a.png"])


def saved(path, mode, *frames, form="PNG"):
    first, *others = [Image.new(mode, (8, 8), frame) for frame in frames]
    more = {"save_all": True, "append_images": others} if others else {}
    first.save(path, form, **more)


def test_frames_and_transparency_that_are_not_used_are_counted(tmp_path):
    saved(tmp_path / "a.png", "L", 1)
    saved(tmp_path / "opaque.png", "RGBA", (1, 2, 3, 255))
    saved(tmp_path / "half.png", "LA", (1, 9))
    saved(tmp_path / "b.gif", "L", 1, 2, form="GIF")
    saved(tmp_path / "c.tiff", "L", 1, 2, form="TIFF")
    saved(tmp_path / "camera.jpg", "L", 1, 2, form="MPO")
    with remarks.collected() as found:
        for path in tmp_path.iterdir():
            shown = 255 - 9 if path.name == "half.png" else 3
            assert files.read(path, GREY).max() <= shown
    frames, transparent = (one for one in found.sentences() if remarks.BLANK not in one)
    some = f"({tmp_path}/b.gif, {tmp_path}/c.tiff)"
    assert frames == f"2 images have several frames, of which the first is used {some}."
    assert transparent.startswith("1 image has transparent pixels, which are shown over white (")


@pytest.mark.parametrize(("mode", "pixel"), [("RGBA", (1, 2, 3, 0)), ("LA", (1, 0))])
def test_an_image_that_nobody_can_see_is_refused(mode, pixel, tmp_path):
    saved(tmp_path / "a.png", mode, pixel)
    with remarks.collected(), pytest.raises(UserError, match=r"a\.png is wholly transparent"):
        files.read(tmp_path / "a.png", GREY)


@pytest.mark.parametrize("form", ["GIF", "TIFF"])
def test_what_follows_the_first_frame_and_is_none_harms_nothing(form, tmp_path):
    saved(tmp_path / "a", "L", 1, form=form)
    data = (tmp_path / "a").read_bytes()
    if form == "GIF":
        data = data[:-1] + b"\x2c\0\0"  # the head of a frame, cut short
    (tmp_path / "a").write_bytes(data + b"more")
    with remarks.collected() as found:
        assert files.read(tmp_path / "a", GREY).max() == 1
    assert found.kinds() == (remarks.BLANK,)


def test_16_bits_of_a_pixel_of_a_bmp_are_no_16_bits_of_a_channel(tmp_path):
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 56, 0, 0, 54, 40, 1, 1, 1, 16, *[0] * 6)
    (tmp_path / "a.bmp").write_bytes(head + b"\xff\x7f\0\0")
    assert files.read(tmp_path / "a.bmp", (1, 1, 3)).tolist() == [[[255, 255, 255]]]


def deep_png(path, colours):
    """Writes a PNG of one pixel with 16 bits per channel."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    header = made.chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, colours, 0, 0, 0))
    data = made.chunk(b"IDAT", zlib.compress(b"\0" + b"\x12\x34" * channels))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + made.chunk(b"IEND", b""))


@pytest.mark.parametrize("colours", [0, 2, 4, 6])
def test_a_png_of_16_bits_per_channel_is_refused(colours, tmp_path):
    deep_png(tmp_path / "a.png", colours)
    with pytest.raises(UserError, match=r"a\.png has pixels of mode .*; convert it to 8 bits"):
        files.read(tmp_path / "a.png", RGB)


@pytest.mark.parametrize("text", [b"P6 1 1 65535\n\0\1\0\1\0\1", b"P3 1 1 4095\n1 2 3\n"])
def test_a_pixmap_of_16_bits_per_channel_is_refused(text, tmp_path):
    (tmp_path / "a.ppm").write_bytes(text)
    with pytest.raises(UserError, match=r"mode RGB with 16 bits per channel, .*; convert it"):
        files.read(tmp_path / "a.ppm", RGB)


def broken(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(pixels(64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:300])
    Image.fromarray(pixels(8, 8).astype(np.int32)).save(tmp_path / "deep.tiff")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text.png", r"text\.png is not an image that can be read"),
        ("cut.png", r"cut\.png is a damaged image"),
        ("deep.tiff", r"deep\.tiff has pixels of mode I.* convert it to 8 bits"),
        ("missing.png", r"missing\.png cannot be read .*No such file"),
    ],
)
def test_what_is_not_an_image_is_refused_by_name(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        files.read(broken(tmp_path) / name, GREY)


def test_nothing_to_find_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no image in it"):
        files.find([tmp_path])
    with pytest.raises(UserError, match="There is no file or folder"):
        files.find([tmp_path / "missing"])


@pytest.mark.parametrize(
    ("array", "fix"),
    [
        (np.ones((8, 8), np.float32), r" For 0 to 1 .* \(255 \* image\)"),
        (np.full((8, 8), 200.0), r" Its values are such levels already: give image.astype"),
        (np.ones((8, 8), bool), r" For True as white"),
        (np.zeros((8, 8, 4), np.uint8), r" Leave out the fourth channel, as image\[..., :3\] does"),
        (np.zeros((3, 8, 8), np.uint8), r" Its channels come first: image.transpose\(1, 2, 0\)"),
        (np.asarray(None), r" None stands for a file that could not be read"),
        (np.zeros((8, 8, 2), np.uint8), "$"),
        (np.full((8, 8), np.nan), r" Some of its values are no numbers"),
        (np.full((8, 8), 4000, np.uint16), r" For 65535 as white"),
        (np.full((8, 8), -3), "$"),
        (np.asarray(3), "$"),
        (np.zeros((8, 0), np.uint8), "$"),
    ],
)
def test_arrays_of_another_type_are_refused_with_what_helps(array, fix):
    with pytest.raises(UserError, match=r"expected uint8 of shape \[H, W\].* 0..255\." + fix):
        files.fit_array(array, GREY)


TRANSPARENT = {
    "RGBA": (0, 0, 0, 100),
    "LA": (0, 100),
    "P": 3,
}


@pytest.mark.parametrize("mode", TRANSPARENT)
@pytest.mark.parametrize("native", [GREY, RGB])
def test_transparency_is_shown_over_white_in_training_and_prediction(mode, native, tmp_path):
    image = Image.new(mode, (8, 8), TRANSPARENT[mode])
    image.paste(1 if mode == "P" else (200,) * (len(mode) - 1) + (255,), (0, 0, 4, 8))
    expected = round(255 * 155 / 255)
    if mode == "P":
        image.putpalette([0] * 3 + [200] * 3 + [0] * 6)
        image.info["transparency"], expected = 3, 255
    image.save(tmp_path / "a.png")
    seen = files.read(tmp_path / "a.png", native)
    assert set(seen[:, :4].ravel()) == {200} and set(seen[:, 4:].ravel()) == {expected}
    with Image.open(tmp_path / "a.png") as opened:
        np.testing.assert_array_equal(files.fit_pillow(opened, native), seen)
    trained = decoding.decode((tmp_path / "a.png").read_bytes(), "a", native[2])
    np.testing.assert_array_equal(trained, seen)


def test_an_image_of_pillow_is_upright_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(8, 8)).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        np.testing.assert_array_equal(
            files.fit_pillow(opened, GREY), files.read(tmp_path / "a.png", GREY)
        )


@pytest.mark.parametrize(
    ("size", "remark"),
    [
        ((8, 8), None),
        ((2, 8), remarks.TINY),
        ((1000, 1000), remarks.LARGE),
        ((399, 399), None),
        ((130, 100), None),
        ((640, 480), remarks.PHOTO),
        ((480, 640), remarks.PHOTO),
        ((40, 19), remarks.PHOTO),
    ],
)
def test_what_is_no_crop_of_a_face_by_its_size_is_remarked(size, remark, tmp_path):
    width, height = size
    Image.fromarray(pixels(height, width)).save(tmp_path / "a.png")
    with remarks.collected() as found:
        files.read(tmp_path / "a.png", GREY)
    assert set(found.kinds()) - {remarks.BLANK} >= ({remark} if remark else set())
    assert (remarks.PHOTO in found.kinds()) == (remark == remarks.PHOTO or size == (2, 8))
    assert (remarks.LARGE in found.kinds()) == (remark == remarks.LARGE)


def test_a_picture_without_contrast_is_remarked():
    flat = np.full((20, 20), 7, np.uint8)
    for image, is_blank in ((flat, True), (pixels(20, 20), False)):
        with remarks.collected() as found:
            files.fit_array(image, GREY, "x")
        assert (remarks.BLANK in found.kinds()) == is_blank


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_exif_data_that_cannot_be_read_lose_no_image(form, tmp_path):
    file = tmp_path / f"a.{form.lower()}"
    exif = b"Exif\0\0garbage" if form == "JPEG" else b"garbage"
    Image.new("RGB", (8, 8), (9, 9, 9)).save(file, form, exif=exif)
    with remarks.collected() as found, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a command shows none
        assert files.read(file, GREY).max() in (9, 10)
    assert (remarks.BAD_EXIF in found.kinds()) == (form != "JPEG")  # there Pillow skips them


def test_levels_with_a_sign_are_refused(tmp_path):
    Image.new("L", (8, 8), 9).save(tmp_path / "a.tif", "TIFF", tiffinfo={339: 2})
    with pytest.raises(UserError, match=r"a\.tif has signed levels"):
        files.read(tmp_path / "a.tif", GREY)


def raw_tiff(path, tag, value):
    Image.new("L", (8, 8), 9).save(path, "TIFF", tiffinfo={tag: value})
    return path


@pytest.mark.parametrize(("tag", "value"), [(254, 1), (50706, 1)])
def test_a_camera_s_raw_file_is_refused_since_its_first_picture_is_a_preview(tag, value, tmp_path):
    with pytest.raises(UserError, match=r"is a camera's raw file, .*; export it as JPEG or PNG"):
        files.read(raw_tiff(tmp_path / "a.dng", tag, value), GREY)
    assert files.read(raw_tiff(tmp_path / "a.tif", 305, "a program"), GREY).max() == 9
