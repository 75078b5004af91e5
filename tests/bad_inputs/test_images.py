"""Images of strangers."""

import os
import warnings

import pytest

from ferjax import predict
from ferjax.data.images import decoding
from ferjax.errors import UserError
from tests.helpers import strangers as made

IMAGES = {
    "a FIFO": (made.fifo, "cannot be read (it is a FIFO, and a regular file is expected)"),
    "a socket": (made.a_socket, "cannot be read (it is a socket"),
    "a device": (lambda path: "/dev/zero", "/dev/zero cannot be read (it is a device"),
    "a loop of links": (made.loop, "its links lead round in a circle"),
    "a link to nothing": (made.dangling, "is a link to"),
    "no file": (lambda path: path, "There is no file or folder"),
    "a name that is too long": (made.too_long, "the name is too long for a file"),
    "no name": (lambda path: "", "named by ''"),
    "an object store": (lambda path: "gs://b/x.png", "expected a path on this machine"),
    "PostScript": (made.postscript, "is not an image that can be read"),
    "text": (made.text, "is not an image that can be read"),
    "other colours": (made.lab, "has pixels of mode LAB, "),
    "a bomb": (made.png_of(50_000), "pixels, more than the 89,478,485 that an image may have"),
    "a small bomb": (made.png_of(13_000), "has 13000x13000 pixels, more than"),
    "a file cut short": (made.cut, "is a damaged image"),
    "an empty folder": (made.folder, "has no image in it"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name, classifies, refused, tmp_path):
    make, phrase = IMAGES[name]
    assert phrase in refused(predict, "--workdir=run", make(tmp_path / "x.png"))


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_the_limit_of_pixels_holds_whatever_is_done_with_warnings(action, tmp_path):
    path = made.png_of(13_000)(tmp_path / "x.png")
    with (
        warnings.catch_warnings(),
        pytest.raises(UserError, match="pixels, more than the 89,478,485 that an image may have"),
    ):
        warnings.simplefilter(action)
        decoding.opened(path, "x.png")


def test_postscript_starts_no_program(classifies, refused, tmp_path, monkeypatch):
    program = made.text(tmp_path / "gs", f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    refused(predict, "--workdir=run", made.postscript(tmp_path / "x.png"))
    assert not (tmp_path / "started").exists()


def test_an_image_without_permission_is_called_that(classifies, refused, tmp_path, monkeypatch):
    path, opened = made.image(tmp_path / "x.png"), os.open

    def denied(name, *arguments, **keywords):
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(name, *arguments, **keywords)

    monkeypatch.setattr(os, "open", denied)
    assert "x.png cannot be read (Permission denied)" in refused(predict, "--workdir=run", path)


def test_what_a_folder_holds_beside_images_is_named(classifies, run_main, tmp_path):
    for make in (made.fifo, made.a_socket, made.loop, made.dangling, made.image):
        make(tmp_path / f"{make.__name__}.png")
    made.fifo(tmp_path / "fifo")
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    code, out, err = run_main(predict, "--workdir=run", str(tmp_path))
    assert code == 2 and "image.png" in out
    left_out, _, error, *problems = err.splitlines()
    assert "2 that cannot be read" in left_out
    for name in ("fifo (it is a FIFO", "elsewhere (a link to a folder)"):
        assert name in left_out
    assert error.startswith("error: 4 of 5 files could not be read") and len(problems) == 4
    for name in ("fifo.png cannot be read (it is a FIFO", "loop.png cannot be read (its links"):
        assert any(name in problem for problem in problems)
