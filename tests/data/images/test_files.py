"""Image files of users."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ferjax.data.images import files, unused
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


def test_folders_are_searched_in_order(tmp_path):
    for name in ("b/2.png", "a/1.JPG", "a/note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.name for path in files.find([tmp_path])] == ["1.JPG", "2.png"]


def test_what_a_folder_holds_beside_is_counted(tmp_path):
    for name in ("a.png", ".b.png", ".git/c.png", "__MACOSX/._a.png", "d.heic", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    said = []
    assert files.find([tmp_path], said.append) == [tmp_path / "a.png"]
    start = f"Left out of {tmp_path}: "
    assert said == [
        f"{start}2 hidden: {tmp_path}/.b.png, {tmp_path}/.git/c.png.",
        f"{start}1 without the name of an image: {tmp_path}/d.heic.",
    ]


def test_a_file_that_is_named_again_counts_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("")
    said = []
    assert list(map(str, files.find(["b.png", ".", "./b.png"], said.append))) == ["b.png", "a.png"]
    assert said == ["1 named more than once, and taken once: b.png."]


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
    with unused.collected() as found:
        for path in tmp_path.iterdir():
            assert files.read(path, GREY).max() <= 3
    frames, transparent = found.sentences()
    some = f"({tmp_path}/b.gif, {tmp_path}/c.tiff)"
    assert frames == f"2 images have several frames, of which the first is used {some}."
    assert transparent.startswith("1 image has transparent pixels, whose hidden colours are used (")


@pytest.mark.parametrize(("mode", "pixel"), [("RGBA", (1, 2, 3, 0)), ("LA", (1, 0))])
def test_an_image_that_nobody_can_see_is_refused(mode, pixel, tmp_path):
    saved(tmp_path / "a.png", mode, pixel)
    with unused.collected(), pytest.raises(UserError, match=r"a\.png is wholly transparent"):
        files.read(tmp_path / "a.png", GREY)


@pytest.mark.parametrize("form", ["GIF", "TIFF"])
def test_what_follows_the_first_frame_and_is_none_harms_nothing(form, tmp_path):
    saved(tmp_path / "a", "L", 1, form=form)
    data = (tmp_path / "a").read_bytes()
    if form == "GIF":
        data = data[:-1] + b"\x2c\0\0"  # the head of a frame, cut short
    (tmp_path / "a").write_bytes(data + b"more")
    with unused.collected() as found:
        assert files.read(tmp_path / "a", GREY).max() == 1
    assert found.sentences() == ()


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
    with pytest.raises(UserError, match=r"a\.png has pixels of mode .*; convert it to 8 bits per"):
        files.read(tmp_path / "a.png", RGB)


@pytest.mark.parametrize("text", [b"P6 1 1 65535\n\0\1\0\1\0\1", b"P3 1 1 4095\n1 2 3\n"])
def test_a_pixmap_of_16_bits_per_channel_is_refused(text, tmp_path):
    (tmp_path / "a.ppm").write_bytes(text)
    with pytest.raises(UserError, match="mode RGB with 16 bits per channel; convert it to 8"):
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


@pytest.mark.parametrize("array", [np.zeros((8, 8), np.float32), np.zeros((8, 8, 2), np.uint8)])
def test_arrays_of_another_type_are_refused(array):
    with pytest.raises(UserError, match=r"expected uint8 of shape \[H, W\]"):
        files.fit_array(array, GREY)
