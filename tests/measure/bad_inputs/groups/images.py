"""Images given to `predict`."""

import os
import struct
import zlib
from pathlib import Path

from PIL import Image

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage

NO_IMAGE = "is not an image that can be read; give JPEG, PNG or another common format"
TOO_LONG = "a" * 300 + ".png"
ESCAPES, ESCAPES_SHOWN = "\x1b]0;pwned\x07\x1b[31mred.png", r"\x1b]0;pwned\x07\x1b[31mred.png"


def _predict(make=made.image, *more, at="x.png", given=""):
    """A maker of a command line that classifies what `make` makes at a path.

    Args:
      make: takes the path.
      *more: further arguments.
      at: the path, as it is given to the command.
      given: what is given instead.
    """

    def command(stage: Stage):
        path = stage.here / os.fsdecode(at)
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)
        return "predict", f"--workdir={stage.shared}/tiny", given or os.fsdecode(at), *more

    return command


def _nothing(path):
    """For what is named and not made."""


def _in_folder(make=made.image, *, name):
    """A maker of a folder with one file."""

    def folder(path):
        made.folder(path)
        make(path / os.fsdecode(name))

    return folder


def _content(data):
    """A maker of a file with these bytes."""

    def write(path):
        path.write_bytes(data)

    return write


def _saved(form, mode="L", size=(16, 16), **options):
    """A maker of an image file that Pillow writes."""

    def save(path):
        Image.new(mode, size).save(path, form, **options)

    return save


def _long_text(path):
    """A PNG with a chunk of text that unpacks to 200 MB."""
    data = made.image(path).read_bytes()
    text = b"zTXt" + b"Comment\0\0" + zlib.compress(bytes(200_000_000), 1)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    path.write_bytes(data[:33] + chunk + data[33:])


def _mixed(path):
    """A folder of an image, a FIFO, a socket and links that lead nowhere or in a circle."""
    made.folder(path)
    for make in (made.image, made.fifo, made.a_socket, made.loop, made.dangling):
        make(path / f"{make.__name__}.png")


def _partly_hidden(path):
    """A folder of two images, hidden files and folders, and files that are no images."""
    made.folder(path)
    for name in ("a.png", "b.png", ".hidden.png", "._a.png", ".git/c.png", "__MACOSX/._a.png"):
        (path / name).parent.mkdir(exist_ok=True)
        made.image(path / name)
    made.text(path / "notes.txt")
    made.text(path / "c.heic")


def _calls_ghostscript(path):
    """PostScript, and a program gs that leaves a file where it runs."""
    made.postscript(path)
    program = made.folder(path.with_name("programs")) / "gs"
    made.text(program, "#!/bin/sh\ntouch started\n").chmod(0o755)


def _nothing_started(stage):
    assert not (stage.here / "started").exists(), "the program gs was called"


def _still_an_image(stage):
    data = Path(stage.here, "x.png").read_bytes()
    assert data.startswith(b"\x89PNG"), "the image has been replaced"


def _nothing_left(stage):
    left = sorted(path.name for path in stage.here.iterdir() if path.name not in ("x.png", "out"))
    assert not left, f"it leaves {left} behind"


FOUR_LEFT_OUT = ("4 that cannot be read", "it is a FIFO", "it is a socket", "its links lead round")
NOT_THERE = ("x.png is a link to", "gone, which is not there")
UNUSABLE = [
    ("2", "a PNG of 50000x50000", made.png_of(50_000), ["2,500,000,000 pixels, more than the"]),
    (
        "3",
        "a PNG of 13000x13000, of which Pillow warns",
        made.png_of(13_000),
        ["13000x13000 pixels, more than the 89,478,485 that an image may have; make it smaller"],
    ),
    ("4", "a PNG that is cut short", made.cut, ["x.png is a damaged image", "truncated"]),
    ("5", "an empty file", _content(b""), [NO_IMAGE]),
    ("6", "an SVG", _content(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), [NO_IMAGE]),
    ("7", "an empty folder", made.folder, ["x.png has no image in it (looked for .jpg,"]),
    ("8", "a FIFO", made.fifo, ["x.png cannot be read (it is a FIFO, and a regular file is"]),
    ("9", "a socket", made.a_socket, ["x.png cannot be read (it is a socket, and a regular"]),
    ("11", "a link to itself", made.loop, ["x.png", "its links lead round in a circle"]),
    ("12", "a link to nothing", made.dangling, NOT_THERE),
    ("25", "16 bits per pixel", _saved("PNG", "I;16"), ["x.png has pixels of mode I;16"]),
    ("26", "a PNG with 200 MB of text", _long_text, ["x.png is a damaged image"]),
    ("eps1", "PostScript, without Ghostscript", made.postscript, [f"x.png {NO_IMAGE}"]),
    (
        "alpha",
        "a PNG that is wholly transparent",
        _saved("PNG", "RGBA"),
        ["x.png is wholly transparent", "without its alpha channel"],
    ),
]
NAMES = [
    ("14", "a name that is markup of Rich", "[bold red]x.png", "", "[bold red]x.png"),
    ("15", "a path that closes a tag that is not open", "mk[/b].png", "mk[", "mk[/b].png"),
    ("16", "a name that is a link of Rich", "[link=x:y]click.png", "", "[link=x:y]click.png"),
    ("17", "a name with escapes of a terminal", ESCAPES, "", ESCAPES_SHOWN),
    ("19", "a name with a newline", "a\nb.png", "", r"a\nb.png"),
    ("20", "a name that is not UTF-8", b"caf\xe9.png", "", r"caf\xe9.png"),
]
OUTPUTS = [
    ("30", "--json is a folder", "out", ["--json is out, which cannot be written (it is a folder"]),
    (
        "31",
        "--json lies in no folder",
        "nowhere/x.json",
        ["--json is nowhere/x.json, and there is no folder nowhere; make it first"],
    ),
    (
        "32",
        "--json is the image",
        "x.png",
        ["--json is x.png, which is or lies in what this command reads; name another file"],
    ),
]
CASES = [
    Case("img.1", "a good image", _predict(), code=0, says=["x.png"]),
    *(
        Case(f"img.{name}", what, _predict(make), says=says, never=["warning", "Ghostscript"])
        for name, what, make, says in UNUSABLE
    ),
    *(
        Case(f"img.{name}", what, _predict(at=at, given=given), code=0, says=[shown])
        for name, what, at, given, shown in NAMES
    ),
    *(
        Case(
            f"img.{name}",
            what,
            _predict(lambda path: made.folder(made.image(path).with_name("out")), f"--json={json}"),
            says=says,
            never=["happy"],  # it is refused before anything is classified
            check=_still_an_image if json == "x.png" else _nothing_left,
        )
        for name, what, json, says in OUTPUTS
    ),
    Case("img.10", "/dev/zero", _predict(_nothing, given="/dev/zero"), says=["it is a device"]),
    Case("img.13", "a JPEG named .png", _predict(_saved("JPEG")), code=0, says=["x.png"]),
    Case(
        "img.18",
        "a damaged image whose name has escapes of a terminal",
        _predict(made.text, at=ESCAPES),
        says=[f"{ESCAPES_SHOWN} {NO_IMAGE}"],
    ),
    Case(
        "img.21",
        "a name that is not UTF-8, where standard output is strict about it",
        _predict(_in_folder(name=b"caf\xe9.png"), "--json=out.json", at="folder"),
        code=0,
        says=[r"folder/caf\xe9.png"],
        env={"PYTHONIOENCODING": "utf-8:strict"},
        process=True,
    ),
    Case(
        "img.22",
        "a folder of an image, a FIFO, a socket and links that lead nowhere",
        _predict(_mixed, at="mix"),
        code=0,
        says=["mix/image.png", "Left out of mix", *FOUR_LEFT_OUT, "mix/dangling.png"],
    ),
    Case(
        "img.22b",
        "a folder with hidden files and folders, and files that are no images",
        _predict(_partly_hidden, at="mix"),
        code=0,
        says=[
            "mix/a.png",
            "mix/b.png",
            "3 hidden: mix/._a.png, mix/.git/c.png",
            "2 without the name of an image: mix/c.heic",
        ],
        never=["mix/.hidden.png happy", "mix/.hidden.png sad"],
    ),
    Case(
        "img.28",
        "a good image and one that is cut short",
        _predict(lambda path: made.cut(made.image(path).with_name("cut.png")), "cut.png"),
        says=["cut.png is a damaged image"],
        never=["happy"],
    ),
    Case(
        "img.29",
        "one image named twice",
        _predict(made.image, "x.png", "./x.png"),
        code=0,
        says=["x.png", "1 named more than once, and taken once: x.png"],
    ),
    Case(
        "img.33",
        "no name",
        lambda stage: ("predict", f"--workdir={stage.shared}/tiny", ""),
        says=["An image is named by ''; expected the path of a file or a folder"],
    ),
    Case(
        "img.34",
        "a name of 300 characters",
        _predict(_nothing, given=TOO_LONG),
        says=["the name is too long for a file"],
    ),
    Case(
        "img.35",
        "a path of an object store",
        _predict(_nothing, given="gs://nobucket/x.png"),
        says=["gs://nobucket/x.png; expected a path on this machine: copy it"],
    ),
    Case(
        "img.eps2",
        "PostScript, where a program gs is on the PATH",
        _predict(_calls_ghostscript),
        says=[f"x.png {NO_IMAGE}"],
        check=_nothing_started,
        env={"PATH": "programs:/usr/bin:/bin"},
    ),
    Case(
        "img.anim",
        "a GIF of two frames",
        _predict(_saved("GIF", save_all=True, append_images=[Image.new("L", (16, 16), 255)])),
        code=0,
        says=["x.png", "1 image has several frames, of which the first is used"],
    ),
]
