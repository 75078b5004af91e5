"""What every test shares: shape annotations are checked, and silent broadcasting is an error."""

import atexit
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

# Before jax is imported anywhere. Another platform can be asked for from outside.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The tests compile hundreds of small programs and run each for moments: machine code that is not
# optimised is ready three times sooner, and that of XLA's older way of fusing sooner again by half.
# The second flag is an experiment of XLA's, and a flag that it does not know ends the process. The
# third is for busy machines: XLA ends a process of several virtual devices if one of them comes 40
# seconds after another to a collective. A deadlock is found by tests/helpers/watched.py.
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    if metadata.version("jaxlib").startswith("0.10."):
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
        os.environ["XLA_FLAGS"] += " --xla_cpu_collective_call_terminate_timeout_seconds=3600"
# Tests that build the same program compile it once between them; worker processes inherit this.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="ferjax-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"

import jax
import pytest
from jaxtyping import install_import_hook
from ml_collections import ConfigDict
from xdist.scheduler import LoadScopeScheduling

from tests.helpers import watched

# Tracing makes millions of objects that stay; looking through them for garbage again and again took
# a seventh of the time.
gc.freeze()
gc.set_threshold(200_000, 20, 20)
# Holds for the whole session: each module of ferjax imported from here on checks the shapes and
# types of its annotated functions when they are called.
install_import_hook("ferjax", "beartype.beartype")
jax.config.update("jax_numpy_rank_promotion", "raise")

REPOSITORY = Path(__file__).resolve().parent.parent

RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """Runs Python in a process of its own; the way to get several (virtual) devices.

    `run_python(source)` runs source text, `run_python(["-m", "ferjax.main", "--help"])` a command.
    Keywords: `devices` (virtual CPU devices, default 1), `env` (added to the environment),
    `work`, seconds of CPU time that end it (default 600; see tests/helpers/watched.py), `check`
    (default True: fail with the output of a process that does not exit with 0), `optimize` (default
    False: machine code as quick to make as that of this process). The process starts in the
    repository.
    """

    def run(
        code: str | Sequence[str],
        *,
        devices: int = 1,
        env: dict[str, str] | None = None,
        work: float = 600,
        check: bool = True,
        optimize: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        arguments = ["-c", code] if isinstance(code, str) else [str(part) for part in code]
        level = "" if optimize else os.environ["XLA_FLAGS"]
        flags = f"{level} --xla_force_host_platform_device_count={devices}"
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "JAX_NUMPY_RANK_PROMOTION": "raise",
            "XLA_FLAGS": flags,
            "PYTHONPATH": str(REPOSITORY),
        }
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env=environment | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        (done,) = watched.finish(process, work=work)
        if check and done.returncode != 0:
            pytest.fail(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return run


@pytest.fixture
def run_main(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`run_main(module, *arguments)` runs a command in this process.

    Returns its exit code, stdout and stderr. `module` has FLAGS and main, as ferjax.data.prepare.
    """
    from ferjax.cli import command

    def run(module: ModuleType, *arguments: str) -> tuple[int, str, str]:
        for flag in module.FLAGS:
            module.FLAGS[flag].unparse()
        name = module.__name__.rsplit(".", 1)[-1]
        with pytest.raises(SystemExit) as caught:
            command.run(module.main, flag_values=module.FLAGS, argv=[name, *arguments])
        return caught.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the synthetic faces of the shrunk runs are prepared."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def finished(
    data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ConfigDict, dict[str, Any]]:
    """(workdir, config, result) of one shrunk run that tests may read and must not change."""
    from ferjax.training import loop
    from tests.helpers import tiny

    workdir = tmp_path_factory.mktemp("runs") / "run"
    config = tiny.config(data_dir)
    return workdir, config, loop.train(config, str(workdir))


# Files whose tests share nothing that is dear to make: any worker takes any of their tests.
LONG = ("test_learning",)  # the longest single tests: first
INDEPENDENT = ("test_pairs", "test_golden_papers", "test_configs", "test_datasets")


class FilesAndSingleTests(LoadScopeScheduling):
    """Keeps a file with one worker, so that its costly fixtures are made once; spreads the rest."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return nodeid if Path(file).stem in (*INDEPENDENT, *LONG) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesAndSingleTests:
    """Gives out the tests; `--dist loadgroup`, made for this, does nothing under pytest 9.2."""
    return FilesAndSingleTests(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts the longest files first, so that no worker is left with one at the end."""
    longest = (
        *LONG,
        "test_several_processes",
        "test_golden_training",
        "test_real_fer2013",
        "test_loop",
        "test_trunks",
        "test_own_data",
        "test_sweep",
        "test_raf_db",
    )
    rank = {name: position for position, name in enumerate(longest)}
    rank |= dict.fromkeys(INDEPENDENT, len(longest) + 1)  # last: they fill what is left
    items.sort(key=lambda item: rank.get(item.path.stem, len(longest)))
