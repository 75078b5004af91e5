"""A command that computes starts itself anew with malloc on huge pages, once and unchanged."""

import os

import pytest

from ferjax.cli import huge_pages

STARTS = """
import os, sys
from ferjax.cli import huge_pages
with open({path!r}, "a") as file:
    print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), *sys.argv[1:], file=file)
huge_pages.restart_with_huge_pages()
print("computes")
"""

glibc = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="only glibc has these settings"
)


@glibc
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.check=0", "glibc.malloc.check=0:glibc.malloc.hugetlb=1"),
    ],
)
def test_a_process_starts_anew_once(run_python, tmp_path, monkeypatch, before, after):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    path = tmp_path / "starts"
    env = {} if before is None else {"GLIBC_TUNABLES": before}
    command = ["-X", "dev", "-c", STARTS.format(path=str(path)), "--flag=a b", ""]
    done = run_python(command, env=env)
    assert done.stdout == "computes\n"
    first, second = path.read_text().splitlines()
    number, _, rest = first.partition(" ")
    assert rest == f"{before} --flag=a b "
    assert second == f"{number} {after} --flag=a b "


@glibc
def test_the_users_own_setting_stands(run_python, tmp_path):
    path = tmp_path / "starts"
    run_python(STARTS.format(path=str(path)), env={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"})
    assert len(path.read_text().splitlines()) == 1


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(huge_pages.os, "confstr_names", {})
    monkeypatch.setattr(huge_pages.os, "execv", lambda *arguments: pytest.fail("started anew"))
    huge_pages.restart_with_huge_pages()
    assert "GLIBC_TUNABLES" not in os.environ


@glibc
@pytest.mark.parametrize("module", ["main", "evaluate", "benchmark"])
def test_the_commands_that_compute_ask_for_them(run_python, monkeypatch, module):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    code = (
        "import os, runpy, sys\n"
        "os.execv = lambda path, command: sys.exit(os.environ['GLIBC_TUNABLES'])\n"
        f"runpy.run_module('ferjax.{module}', run_name='__main__')"
    )
    done = run_python([*["-c", code], "--help"], check=False)
    assert (done.returncode, done.stderr) == (1, "glibc.malloc.hugetlb=1\n")
