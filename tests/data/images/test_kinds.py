"""What a file is by its first bytes."""

import base64
import io
import zlib

import pytest
from PIL import Image

from ferjax.data.images import decoding, kinds
from ferjax.errors import UserError


def written(form, mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, (8, 8), 9 if mode == "L" else (9, 9, 9)).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "MPO"]
)
def test_what_pillow_writes_is_an_image_and_is_read(form):
    data = written(form)
    kind = kinds.of(data[: kinds.HEAD_BYTES])
    assert kind.is_image and kind.format in (form, "JPEG")
    assert decoding.decode(data, "x", 1).shape == (8, 8, 1)


def test_the_largest_tiff_and_grey_maps_are_images():
    assert kinds.of(written("TIFF", big_tiff=True)[: kinds.HEAD_BYTES]).format == "TIFF"
    assert kinds.of(written("PPM", "L")).format == "PPM"


def ftyp(*brands):
    body = brands[0] + b"\0" * 4 + b"".join(brands[1:])
    return (len(body) + 8).to_bytes(4, "big") + b"ftyp" + body + b"\0" * 20


OTHERS = {
    "an MPEG-4": (ftyp(b"isom", b"isom", b"mp42"), "a video"),
    "a phone's": (ftyp(b"qt  ", b"qt  "), "a video"),
    "an old QuickTime": (b"\0\0\0\x08wide\0\0\0\0mdat", "a video"),
    "Matroska": (b"\x1aE\xdf\xa3\x01\0\0\0", "a video"),
    "AVI": (b"RIFF\0\0\0\0AVI LIST", "a video"),
    "a stream": ((b"G" + b"\0" * 187) * 3, "a video"),
    "sound": (b"RIFF\0\0\0\0WAVEfmt ", "a sound file"),
    "a text on sound": (b"A short WAVE of laughter", "a text file"),
    "a page": (b"\n <!DOCTYPE html>\n<html>", "a web page"),
    "a drawing": (b'<?xml version="1.0"?>\n<svg width="1">', "an SVG drawing"),
    "another XML": (b'<?xml version="1.0"?>\n<note>', "a text file"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a Git LFS pointer"),
    "a text that begins as a bitmap": (b"BMW, a car, and other words of a text", "a text file"),
    "a text that begins as a map": (b"P5, the fifth of the players", "a text file"),
    "a text in another language": ("größer".encode() * 60, "a text file"),
    "nothing": (b"", "an empty file"),
    "other bytes": (bytes(range(256)), "an unknown file"),
    "latin text": ("größer".encode("latin-1"), "an unknown file"),
    "JPEG 2000": (written("JPEG2000"), "a JPEG 2000 image"),
    "an array": (b"\x93NUMPY\x01\0", "a NumPy array"),
    "another archive": (b"BZh91AY&SY", "a bzip2 archive"),
    "a zip": (b"PK\x03\x04", "a zip archive"),
    "a raw": (b"II*\0\x10\0\0\0CR\x02\0", "a camera's raw file"),
    "a raw of Canon": (ftyp(b"crx ", b"crx ", b"isom"), "a camera's raw file"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_called_by_what_they_are(name):
    head, called = OTHERS[name]
    kind = kinds.of(head[: kinds.HEAD_BYTES])
    assert kind.name == called and not kind.is_image
    with pytest.raises(UserError, match=f"^x is not an image that can be read: it is {called}"):
        decoding.decode(head, "x", 1)


def test_a_text_may_be_cut_within_a_character():
    text = "ä" * kinds.HEAD_BYTES
    for shift in range(3):
        assert kinds.of(("a" * shift + text).encode()[: kinds.HEAD_BYTES]).name == "a text file"


@pytest.mark.parametrize("brands", [(b"heic", b"mif1"), (b"mif1", b"mif1", b"heic")])
def test_heic_is_told_from_avif(brands):
    assert kinds.of(ftyp(*brands)).format == "HEIF"
    assert kinds.of(ftyp(b"mif1", b"mif1", b"avif")).format == "AVIF"
    assert kinds.of(ftyp(b"avif", b"mif1", b"miaf")).format == "AVIF"


def test_a_damaged_head_is_called_damage():
    with pytest.raises(UserError, match=r"^x is a damaged image \(it begins as one"):
        decoding.decode(b"\xff\xd8garbage", "x", 1)


def test_numbers_of_a_kind():
    assert kinds.VIDEO.counted(1) == "1 video"
    assert kinds.of(b"\xff\xd8\xff").counted(1200) == "1,200 JPEG images"


# 64x64 pixels, the left half with grey level 9 and the right half with 200; of pillow-heif 1.8.1.
HEIC = zlib.decompress(
    base64.b85decode(
        "c-muNV30{GsVvAy%}izhg51nBLl8SRGck>UfiWyMwIq=N0u(b+a*CjAhJwuG5(YG&l$nzcHpIn&fe{FS"
        "fUycf1A#mcD`#frrGa@MQBfc#l?lqrC`&d3G5HEIOLE~#u4NV!6#(h&nFY!DK)M2`%$boHBs2l6NbUo}"
        "pT9qTFfi~lCjfOwI56@s{{IhBzzkBs3_^0dm>d#;lG;v;jA$|o6dGBlz4Fvtm&YW<!vPXH0U|gYl7Q;j"
        "T^J7*ZBTLmS|gmCpHq~VoKpc5=4D`O01Am@78j&K{pJA00tJ~BnIHjX4i2Dc4C0vuxv<~^h6qa|6Eh2t"
        "sh*pX2ns!E4aW7H4-{KXmj3^LNc`Gri~s8%yi1JS|36Rv0{{zUPip"
    )
)


def test_a_phone_s_picture_is_read():
    if kinds.heic_decoder() is None:
        pytest.skip("HEIC takes the extra heic")
    pixels = decoding.decode(HEIC, "x.heic", 1)
    assert pixels.shape == (64, 64, 1)
    assert abs(pixels[:, :30] - 9.0).max() < 2 and abs(pixels[:, 34:] - 200.0).max() < 2


def test_without_its_decoder_a_phone_s_picture_is_named(monkeypatch):
    monkeypatch.setattr(kinds, "_is_installed", lambda form: form != "HEIF")
    with pytest.raises(UserError, match=r"is a HEIC image; install its decoder \(pip install"):
        decoding.decode(HEIC, "x", 1)


def test_a_decoder_is_found_by_the_name_of_its_package(monkeypatch):
    for installed in ({"pillow_heif"}, {"pi_heif", "pillow_heif"}, set()):
        found = {name: name for name in installed}
        monkeypatch.setattr(kinds.importlib.util, "find_spec", found.get)
        assert kinds.heic_decoder() == min(installed, default=None)
