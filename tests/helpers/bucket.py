"""The fixture `store`: an empty fake Google Cloud Storage behind gs://, and a cache folder."""

import fsspec
import pytest
from etils.epath import backend

from ferjax import filesystem
from tests.helpers import fake_gcs


def _forget():
    """The libraries keep what they connected to."""
    filesystem.of("gs://bucket/")  # chooses how gcsfs is imported
    backend.fsspec_backend._get_filesystem.cache_clear()
    fsspec.get_filesystem_class("gcs").clear_instance_cache()


@pytest.fixture(scope="module")
def _server():
    with pytest.MonkeyPatch.context() as patch, fake_gcs.server() as (store, environment):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setitem(fsspec.config.conf, "gcs", {"token": "anon"})
        _forget()
        yield store
        _forget()


@pytest.fixture
def store(_server, tmp_path, monkeypatch):
    """Empty; the working directory is empty too, and has to be so in the end."""
    _server.clear()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield _server
    # Path("gs://x") is a local folder named "gs:".
    assert list((tmp_path / "cwd").iterdir()) == []
