"""What a file is, by its first bytes: an image that ferjax reads, or something else.

This is the one definition of an image: a folder is searched by it in preparation, evaluation and
prediction, whatever the names of its files. Names only tell what a file was meant to be
(`EXTENSIONS`).
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass

from PIL import features

# So many bytes tell.
HEAD_BYTES = 512
# Names that promise an image: a file that has one and is none is an error, not left out.
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(".pgm", ".ppm", ".pnm", ".pbm", ".heic", ".heif", ".hif", ".avif"),
)


# Packages that teach Pillow to decode HEIC. The second also encodes, by a library under the GPL.
HEIC_DECODERS = ("pi_heif", "pillow_heif")


@dataclass(frozen=True)
class Kind:
    """What a file is.

    Attributes:
      name: with its article, as "a video".
      format: the name that Pillow gives its format, if ferjax reads it; else "".
      advice: what to do about one that is not read, as a clause; "" if nothing helps.
    """

    name: str
    format: str = ""
    advice: str = ""

    @property
    def is_image(self) -> bool:
        """Whether ferjax reads it here: some formats take a library that may not be installed."""
        return bool(self.format) and _is_installed(self.format)

    def counted(self, number: int) -> str:
        """So many of the kind, as "2 videos"."""
        noun = self.name.partition(" ")[2]
        return f"{number:,} {noun}{'' if number == 1 else 's'}"


def heic_decoder() -> str | None:
    """The installed package that decodes HEIC."""
    return next((name for name in HEIC_DECODERS if importlib.util.find_spec(name)), None)


@functools.cache
def _is_installed(image_format: str) -> bool:
    """Whether what decodes a format is there."""
    if image_format == "HEIF":
        return heic_decoder() is not None
    return image_format != "AVIF" or bool(features.check("avif"))


_CONVERT = "convert it to PNG or JPEG"
_UNPACK = "unpack it and name what it holds"
_HEIC = Kind(
    "a HEIC image",
    "HEIF",
    "install its decoder (pip install pi-heif), or convert it to JPEG",
)
_AVIF = Kind("an AVIF image", "AVIF", _CONVERT)
VIDEO = Kind(
    "a video",
    advice="save its frames as images, as ffmpeg -i VIDEO -vf fps=1 frame_%05d.png does, and crop "
    "the face in each",
)
_AUDIO = Kind("a sound file")
_RAW = Kind("a camera's raw file", advice="export it as JPEG or PNG")
_TEXT = Kind("a text file")
UNKNOWN = Kind("an unknown file")
EMPTY = Kind("an empty file")

# Where the bytes lie, what they are, and the kind that they tell. Of several the first counts.
_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\xff\xd8", Kind("a JPEG image", "JPEG")),
    (0, b"\x89PNG\r\n\x1a\n", Kind("a PNG image", "PNG")),
    (0, b"GIF87a", Kind("a GIF image", "GIF")),
    (0, b"GIF89a", Kind("a GIF image", "GIF")),
    (8, b"CR\x02\x00", _RAW),  # Canon's, which is a TIFF file otherwise
    (0, b"II*\x00", Kind("a TIFF image", "TIFF")),
    (0, b"MM\x00*", Kind("a TIFF image", "TIFF")),
    (0, b"II+\x00", Kind("a TIFF image", "TIFF")),
    (0, b"MM\x00+", Kind("a TIFF image", "TIFF")),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", Kind("a JPEG 2000 image", advice=_CONVERT)),
    (0, b"\xff\x4f\xff\x51", Kind("a JPEG 2000 image", advice=_CONVERT)),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", Kind("a JPEG XL image", advice=_CONVERT)),
    (0, b"\xff\x0a", Kind("a JPEG XL image", advice=_CONVERT)),
    (0, b"8BPS", Kind("a Photoshop image", advice=_CONVERT)),
    (0, b"gimp xcf", Kind("a GIMP image", advice=_CONVERT)),
    (0, b"DDS ", Kind("a DDS image", advice=_CONVERT)),
    (0, b"qoif", Kind("a QOI image", advice=_CONVERT)),
    (0, b"\x76\x2f\x31\x01", Kind("an OpenEXR image", advice=_CONVERT)),
    (0, b"#?RADIANCE", Kind("a Radiance image", advice=_CONVERT)),
    (0, b"\x00\x00\x01\x00", Kind("an icon", advice=_CONVERT)),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIU\x00", _RAW),
    (0, b"SIMPLE  =", Kind("a FITS image", advice=_CONVERT)),
    (128, b"DICM", Kind("a DICOM image", advice=_CONVERT)),
    (0, b"%PDF", Kind("a PDF document", advice="save its pictures as PNG or JPEG")),
    (0, b"%!PS", Kind("a PostScript document", advice=_CONVERT)),
    (0, b"\x1aE\xdf\xa3", VIDEO),  # Matroska, WebM
    (0, b"\x00\x00\x01\xba", VIDEO),  # MPEG
    (0, b"\x00\x00\x01\xb3", VIDEO),
    (0, b"FLV\x01", VIDEO),
    (0, b"0&\xb2u\x8ef\xcf\x11", VIDEO),  # Windows Media
    (0, b"OggS", VIDEO),
    (0, b"ID3", _AUDIO),
    (0, b"fLaC", _AUDIO),
    (0, b"\x93NUMPY", Kind("a NumPy array", advice="give it to the classifier in Python")),
    (0, b"\x89HDF\r\n\x1a\n", Kind("an HDF5 file")),
    (0, b"PK\x03\x04", Kind("a zip archive", advice=_UNPACK)),
    (0, b"PK\x05\x06", Kind("a zip archive", advice=_UNPACK)),
    (0, b"\x1f\x8b", Kind("a gzip archive", advice=_UNPACK)),
    (0, b"BZh", Kind("a bzip2 archive", advice=_UNPACK)),
    (0, b"\xfd7zXZ\0", Kind("an xz archive", advice=_UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", Kind("a zstd archive", advice=_UNPACK)),
    (0, b"Rar!\x1a\x07", Kind("a RAR archive", advice=_UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", advice=_UNPACK)),
    (257, b"ustar", Kind("a tar archive", advice=_UNPACK)),
    (
        0,
        b"version https://git-lfs",
        Kind("a Git LFS pointer", advice="fetch the file itself with git lfs pull"),
    ),
)
# What a RIFF file holds, which pictures, videos and sounds share.
_RIFF = {b"WEBP": Kind("a WEBP image", "WEBP"), b"AVI ": VIDEO, b"WAVE": _AUDIO}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
# Atoms that a QuickTime file can begin with.
_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_NETPBM = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
# Sizes of the header of a bitmap; two letters alone would take a text for one.
_BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_PAGE = Kind("a web page", advice="download the picture itself")
_SVG = Kind("an SVG drawing", advice=_CONVERT)


def of(head: bytes) -> Kind:
    """The kind of a file; `head` are its first `HEAD_BYTES` bytes, or all of it."""
    if not head:
        return EMPTY
    for at, magic, kind in _MAGIC:
        if head.startswith(magic, at):
            return kind
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[4:8] in _QUICKTIME:
        return VIDEO
    if head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G":  # MPEG's streams
        return VIDEO
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return Kind("a BMP image", "BMP")
    if head[:2] in _NETPBM and head[2:3].isspace():
        return Kind("a Netpbm image", "PPM")
    return _of_text(head)


def _of_brands(head: bytes) -> Kind:
    """The kind of a file in the format of MPEG-4, which images and videos share."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    if brands[0] == b"crx ":
        return _RAW
    # Both formats may call themselves mif1 first.
    if b"avif" in brands or b"avis" in brands:
        return _AVIF
    if any(brand in _HEIC_BRANDS for brand in brands) or brands[0] in (b"mif1", b"msf1"):
        return _HEIC
    return _AUDIO if brands[0] in (b"M4A ", b"M4B ") else VIDEO


def _of_text(head: bytes) -> Kind:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return _PAGE
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return _SVG
    if b"\0" in head:
        return UNKNOWN
    try:
        # What is cut off at the end may be a part of a character.
        head.decode() if len(head) < HEAD_BYTES else head[:-3].decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return UNKNOWN
    return _TEXT
