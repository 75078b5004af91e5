""".ci/pythons, with Pythons that only pretend to install and to test."""

import os
import subprocess

import pytest

# Makes an environment whose programs answer like this one's.
PYTHON = """#!/bin/bash
case "$*" in
  "-m venv "*)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    printf '#!/bin/bash\\nexit {pip}\\n' >"$3/bin/pip"
    chmod +x "$3/bin/pip" ;;
  "-m pytest") echo "{last}"; exit {code} ;;
  *print*) echo "Python {version} jax 1.2" ;;
esac
"""


@pytest.fixture
def run(repository, tmp_path):
    def add(name: str, *, last: str = "9 passed", code: int = 0, pip: int = 0) -> None:
        path = tmp_path / name
        path.write_text(PYTHON.format(last=last, code=code, pip=pip, version=name))
        path.chmod(0o755)

    def run(*pythons: str) -> subprocess.CompletedProcess:
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [repository / ".ci" / "pythons", *pythons],
            env=os.environ | {"PATH": path}, capture_output=True, text=True,
        )  # fmt: skip

    run.add = add
    return run


def test_every_python_has_its_line(run):
    run.add("one")
    run.add("two", last="8 passed, 1 skipped")
    done = run("one", "two")
    assert done.returncode == 0, done.stderr
    expected = "Python one jax 1.2\n    9 passed\nPython two jax 1.2\n    8 passed, 1 skipped\n"
    assert done.stdout.endswith(expected)


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ({"code": 1, "last": "1 failed"}, "    1 failed"),
        ({"pip": 1}, "one: ferjax could not be installed"),
    ],
)
def test_a_failure_is_the_result_and_the_others_run(run, broken, line):
    run.add("one", **broken)
    run.add("two")
    done = run("one", "two")
    assert done.returncode == 1
    assert line in done.stdout.splitlines()
    assert done.stdout.endswith("Python two jax 1.2\n    9 passed\n")


def test_a_python_that_is_missing_is_named_before_anything_runs(run):
    run.add("one")
    done = run("one", "none-such")
    assert done.returncode == 2
    assert "none-such does not run here" in done.stderr
    assert done.stdout == ""
