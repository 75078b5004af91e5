"""Where data sets go, and what the machine refuses."""

import errno
import os

import pytest
from etils import epath

from ferjax import local_files
from ferjax.data.storage import local, writing
from ferjax.errors import UserError


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"XDG_CACHE_HOME": "cache"}, r"XDG_CACHE_HOME is cache, expected an absolute path"),
        ({"XDG_CACHE_HOME": "~nobody_here"}, r"no home folder ~nobody_here here"),
        (
            {"FERJAX_DATA_DIR": "~nobody_here/x"},
            r"no home folder ~nobody_here here; write \./~nobod",
        ),
    ],
)
def test_a_data_directory_is_not_guessed(names, message, monkeypatch):
    monkeypatch.delenv("FERJAX_DATA_DIR", raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        local.resolve(None)


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FERJAX_DATA_DIR", "~/x")
    assert os.fspath(local.resolve(None)) == f"{tmp_path}/x"
    assert os.fspath(local.resolve("./~y")) == "~y"


class _Builder:
    """Fails as TFDS and ArrayRecord do."""

    def __init__(self, error, cause=None):
        self._error, self._cause = error, cause

    def download_and_prepare(self, **_):
        raise self._error from self._cause


FULL = f"Failed to finalize writing: write() failed: {os.strerror(errno.ENOSPC)}; writing x-0"


@pytest.mark.parametrize(
    "builder",
    [
        _Builder(RuntimeError(FULL)),
        _Builder(RuntimeError("x"), RuntimeError(FULL)),
        _Builder(RuntimeError("x"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
    ],
)
def test_a_full_disk_behind_an_error_of_a_library_is_called_that(builder, tmp_path):
    with pytest.raises(OSError, match="No space left") as caught:
        writing.write(lambda: builder)
    said = str(writing.refused(epath.Path(tmp_path), caught.value))
    assert said.startswith(f"cannot write to {tmp_path}: No space left on device; make room there")


def test_another_error_of_a_library_stays_what_it_is():
    with pytest.raises(RuntimeError, match=r"^x$"):
        writing.write(lambda: _Builder(RuntimeError("x")))


@pytest.mark.parametrize(
    ("target", "said"),
    [("", "nothing"), ("link", "its links lead round"), ("gone", "it is a link to gone, which is")],
)
def test_why_nothing_is_at_a_path(target, said, tmp_path):
    if target:
        (tmp_path / "link").symlink_to(target)
    assert local_files.missing(tmp_path / "link", "nothing").startswith(said)


def test_who_may_not_read_is_advised_of_that():
    denied, damaged = PermissionError(errno.EACCES, "x"), OSError(errno.EIO, "x")
    assert local_files.advice(denied, "restore it") == "check who may read it"
    assert local_files.advice(damaged, "restore it") == "restore it"
