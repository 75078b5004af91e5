"""Where data sets go, and what the machine refuses."""

import errno
import os

import pytest
from etils import epath

from ferjax import local_files, refusals
from ferjax.data.storage import local, writing
from ferjax.errors import UserError


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"XDG_CACHE_HOME": "cache"}, r"XDG_CACHE_HOME is cache, expected an absolute path"),
        ({"XDG_CACHE_HOME": "~nobody_here"}, r"no home folder ~nobody_here here"),
        (
            {"FERJAX_DATA_DIR": "~nobody_here/x"},
            r"FERJAX_DATA_DIR is ~nobody_here/x, and .* ~nobody_here here; write \./~nobod",
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
    monkeypatch.chdir(tmp_path)
    once = local.resolve("./~y")
    assert os.fspath(once) == os.fspath(local.resolve(once)) == f"{tmp_path}/~y"


def test_a_machine_without_home_folders(monkeypatch):
    for name in ("FERJAX_DATA_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(UserError, match=r"There is no home folder here.*by FERJAX_DATA_DIR"):
        local.resolve(None)


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


def test_another_place_than_the_data_directory_is_named(tmp_path):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/elsewhere/x")
    said = str(writing.refused(epath.Path(tmp_path), error))
    assert said.startswith(f"cannot write to {tmp_path}: /elsewhere/x: No space left on device; ")
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{tmp_path}/x")
    assert "/x" not in str(writing.refused(epath.Path(tmp_path), error))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NOT_FOUND: array w is missing", None),
        (f"zarr: {os.strerror(errno.EIO)} (5)", errno.EIO),
        (f"zarr: {os.strerror(errno.ESTALE)}", errno.ESTALE),
    ],
)
def test_what_the_machine_refused_is_found_behind_an_error_and_nothing_else(text, said):
    found = refusals.behind(ValueError(text))
    assert (found and found.errno) == said
    try:
        try:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        except OSError as cause:
            raise ValueError(text) from cause
    except ValueError as error:
        found = refusals.behind(error)
        assert (found and found.errno) == said


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
    assert refusals.advice(denied, "restore it") == "check who may read it"
    assert refusals.advice(damaged, "restore it") == "restore it"
