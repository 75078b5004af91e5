"""What the main command does before it trains."""

import contextlib
import sys

import jax
import pytest

from ferjax import main
from ferjax.distributed import cluster, processes
from ferjax.training import sweep

CONFIG = "configs/cbam_island.py:dataset=synthetic"


@pytest.fixture
def order(monkeypatch):
    """What happened, in order, with nothing joined and nothing trained."""
    happened = []

    @contextlib.contextmanager
    def joined(where):
        happened.append(("joined", where, jax.config.jax_compilation_cache_dir))
        yield

    monkeypatch.setattr(processes, "joined", joined)
    monkeypatch.setattr(
        sweep,
        "run",
        lambda config, workdir, **options: happened.append((config.paper, workdir, options)),
    )
    before = jax.config.jax_compilation_cache_dir
    yield happened
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.fixture
def run(run_main, monkeypatch):
    """The command; config flags find what overrides them in sys.argv alone."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["main", *arguments])
        return run_main(main, *arguments)

    return command


def test_one_process_without_more(run, order, tmp_path):
    before = jax.config.jax_compilation_cache_dir
    code, _, err = run(f"--config={CONFIG}", f"--workdir={tmp_path}")
    assert (code, err) == (0, "")
    options = {"num_seeds": 1, "profile_steps": None, "report_last": False, "draws": True}
    assert order == [("joined", None, before), ("sun2021", str(tmp_path), options)]


def test_compiled_programs_are_kept_from_the_first_one_on(run, order, tmp_path):
    """Joining compiles a program already, and JAX decides at the first one."""
    code, _, err = run(
        f"--config={CONFIG}",
        f"--workdir={tmp_path}",
        f"--config.compilation_cache={tmp_path}/cache",
        "--distributed=flags",
        "--coordinator=localhost:1234",
        "--num_processes=2",
        "--process_id=1",
        "--profile_steps=2:4",
        "--report_last",
    )
    assert (code, err) == (0, "")
    place = cluster.Place("localhost:1234", 2, 1)
    assert order[0] == ("joined", place, f"{tmp_path}/cache")
    assert order[1][2] == {
        "num_seeds": 1,
        "profile_steps": "2:4",
        "report_last": True,
        "draws": True,
    }


def test_a_cache_that_cannot_be_written_is_refused(run, order, tmp_path):
    (tmp_path / "own.py").write_text(
        "from ferjax.config import fields\n"
        "def get_config():\n"
        "  config = fields.defaults()\n"
        "  config.compilation_cache = __file__\n"
        "  return config\n"
    )
    code, _, err = run(f"--config={tmp_path}/own.py", f"--workdir={tmp_path}/run")
    assert code == 2 and order == []
    assert "which cannot be used (it is a file, and a folder is expected); name a folder" in err


def test_an_empty_config_is_refused(run, order, tmp_path):
    text = "from ml_collections import ConfigDict\ndef get_config(): return ConfigDict()"
    (tmp_path / "empty.py").write_text(text)
    code, _, err = run(f"--config={tmp_path}/empty.py", f"--workdir={tmp_path}/run")
    assert code == 2 and "The config has no paper; make it by fields.defaults" in err


def test_a_mode_that_does_not_exist_is_refused(run, order, tmp_path):
    code, _, err = run(f"--config={CONFIG}", f"--workdir={tmp_path}", "--distributed=slurn")
    assert code == 2, err
    assert "Did you mean 'slurm'?" in err and order == []
