"""What commands do when nobody reads their standard output any more."""

import subprocess
import sys

import pytest

COMMANDS = ("main", "evaluate", "predict", "benchmark", "aot", "data.prepare", "data.audit")


def unread(*arguments, cwd):
    """Exit code and standard error of Python with a standard output that nobody reads."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )
    process.stdout.close()
    with process.stderr as errors:
        said = errors.read()
    return process.wait(), said


@pytest.mark.parametrize("name", COMMANDS)
def test_help_that_nobody_reads_ends_quietly(repository, name):
    assert unread("-m", f"ferjax.{name}", "--help", cwd=repository) == (0, "")


SCRIPT = """
import sys
from pathlib import Path
from ferjax.cli import command, output, tables

def tables_only(argv):
    tables.print_tables(tables.figure_table({"a": "1"}, "Title"))
    Path("after").touch()

def goes_on(argv):
    for number in range(3):
        with output.optional():
            tables.print_tables(tables.figure_table({"a": "1"}, "Title"))
            print(number)
    Path("after").touch()

def another_pipe(argv):
    raise BrokenPipeError(32, "Broken pipe")

def both_streams(argv):
    output.say("left out", file=sys.stderr)
    output.say("a table")

command.run(globals()[sys.argv[1]], argv=["script"])
"""


@pytest.mark.parametrize(
    ("name", "code", "after"), [("tables_only", 0, False), ("goes_on", 0, True)]
)
def test_a_table_ends_the_command_and_a_training_goes_on(repository, tmp_path, name, code, after):
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(repository)!r})\n{SCRIPT}")
    assert unread(str(script), name, cwd=tmp_path) == (code, "")
    assert (tmp_path / "after").exists() == after


def test_an_error_stream_that_is_full_ends_nothing(repository, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(repository)!r})\n{SCRIPT}")
    with open("/dev/full", "w") as full:
        for arguments, code, said in (
            ([str(script), "both_streams"], 0, "a table\n"),
            (["-m", "ferjax.predict"], 2, ""),
        ):
            done = subprocess.run(
                [sys.executable, *arguments],
                stdout=subprocess.PIPE,
                stderr=full,
                text=True,
                cwd=repository,
            )
            assert (done.returncode, done.stdout) == (code, said)


def test_another_pipe_that_breaks_is_a_defect(repository, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(repository)!r})\n{SCRIPT}")
    done = subprocess.run(
        [sys.executable, str(script), "another_pipe"], capture_output=True, text=True
    )
    assert done.returncode == 70 and "BrokenPipeError" in done.stderr
