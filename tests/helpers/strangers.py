"""Files as a stranger may send them: each function makes one at a path and returns the path."""

import io
import os
import socket
import stat
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

EVIL = "a\x1b[31m\u202e[b]\nb"  # escapes of a terminal, a bidi override, markup, a second line
EVIL_SHOWN = r"a\x1b[31m\u202e[b]\nb"


def fifo(path):
    os.mkfifo(path)
    return path


def a_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may have a hundred characters
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)
    return path


def device(path):
    """One of the test's own: where the code is wrong, root would replace that of the machine."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 7))
    except PermissionError:
        pytest.skip("only root makes devices")
    return path


def linked(path):
    path.symlink_to(text(path.with_name("linked to")))
    return path


def loop(path):
    path.symlink_to(path.name)
    return path


def dangling(path):
    path.symlink_to(path.parent / "gone")
    return path


def folder(path):
    path.mkdir()
    return path


def too_long(path):
    return path.with_name("a" * 300 + path.suffix)


def text(path, content="no image"):
    path.write_text(content)
    return path


def image(path, seed=0, size=(8, 8)):
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def lab(path):
    Image.new("LAB", (8, 8)).save(path, "TIFF")
    return path


def image_bytes(seed=0):
    file = io.BytesIO()
    image(file, seed)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(side):
    """A maker of a PNG of side x side pixels in some hundred bytes."""

    def make(path):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
        return path

    return make


def postscript(path):
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    return path


def cut(path):
    path.write_bytes(image(path, size=(64, 64)).read_bytes()[:900])
    return path


def class_folders(path):
    """A data set of two classes with two images each."""
    for name in ("happy", "sad"):
        (path / name).mkdir(parents=True)
        for number in range(12):
            image(path / name / f"{number}.png", seed=number + (name == "sad") * 100)
    return path


def with_entry(name, make):
    """A maker of `class_folders` with something more under a name."""

    def made(path):
        make(class_folders(path) / name)
        return path

    return made


def archive(*, method=zipfile.ZIP_STORED, more=(), change=lambda data: data):
    """A maker of a zip of `class_folders` with more members, whose bytes `change` alters."""

    def make(path):
        with zipfile.ZipFile(path, "w", method) as made:
            for name in ("happy", "sad"):
                for number in range(12):
                    made.writestr(f"{name}/{number}.png", image_bytes(number + 100 * len(name)))
            for name in more:
                made.writestr(name, image_bytes(77))
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def damage_first_member(data):
    """Turns bytes over within the packed first image, and leaves the list of members alone."""
    start = data.index(b"happy/0.png") + len(b"happy/0.png") + 14
    return data[:start] + bytes(255 - one for one in data[start : start + 20]) + data[start + 20 :]


def encrypt_flag(data):
    """Says of every member that it is encrypted."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            changed[at + offset] |= 1
            at = data.find(signature, at + 1)
    return bytes(changed)


def not_utf8(data):
    """Says of the first listed name that it is UTF-8, which it then is not."""
    changed = bytearray(data)
    at = data.index(b"PK\x01\x02")
    changed[at + 9] |= 0x08
    changed[at + 46] = 0xFF
    return bytes(changed)


def npz(path, arrays, more=()):
    np.savez_compressed(path, **arrays)
    with zipfile.ZipFile(path, "a") as made:
        for name, content in more:
            made.writestr(name, content)
    return path
