"""What commands write: files, and the streams that they print to."""

import io
import os
import subprocess
import sys

import pytest

from ferjax import local_files, predict
from ferjax.cli import command
from ferjax.data.audit import __main__ as audit
from tests.helpers import strangers as made

OUTPUTS = {
    "a FIFO": (made.fifo, "it is a FIFO"),
    "a device": (made.device, "out.json, which cannot be written (it is a device"),
    "a link": (made.linked, "it is a link"),
    "a folder": (made.folder, "it is a folder"),
    "the image": (lambda path: path.with_name("face.png"), "what this command reads"),
    "the config of the run": (
        lambda path: made.text(made.folder(path.parent / "run") / "config.json", "{}"),
        "what this command reads",
    ),
    "a file in no folder": (lambda path: path / "x.json", "there is no folder"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs(name, classifies, refused, tmp_path):
    make, phrase = OUTPUTS[name]
    face, target = made.image(tmp_path / "face.png"), make(tmp_path / "out.json")
    kinds = [path.lstat().st_mode for path in sorted(tmp_path.iterdir())]
    before = face.read_bytes()
    assert phrase in refused(predict, f"--workdir={tmp_path}/run", face, f"--json={target}")
    assert face.read_bytes() == before
    assert kinds == [path.lstat().st_mode for path in sorted(tmp_path.iterdir())]


def test_an_audit_goes_into_a_folder(refused, tmp_path):
    path = made.text(tmp_path / "file")
    assert "(it is a file, and a folder is expected)" in refused(
        audit, "--dataset=synthetic", f"--output={path}"
    )
    made.fifo(tmp_path / "audit.json")
    assert "it is a FIFO" in refused(audit, "--dataset=synthetic", f"--output={tmp_path}")


@pytest.mark.parametrize("number", [13, 24, 28, 30, 36, 40])
def test_what_the_machine_refuses_is_no_defect(number, run_main, monkeypatch):
    def fails(_):
        raise OSError(number, os.strerror(number), "some file")

    monkeypatch.setattr(predict, "main", fails)
    code, _, err = run_main(predict, "--workdir=run")
    assert code == 2 and "error: some file cannot be read or written (" in err


@pytest.mark.parametrize(
    ("closed", "code", "out"), [("<&- 2>&-", 0, "''2\n"), (">&-", 1, ""), ("<&- >&- 2>&-", 1, "")]
)
def test_a_closed_standard_output_is_refused_and_other_streams_are_not_missed(
    closed, code, out, repository
):
    program = (
        "import sys\nfrom ferjax.cli import output\noutput.prepare_streams()\n"
        "print(repr(sys.stdin.read()), sys.stderr.fileno(), sep='')"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(repository)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, out)
    assert ("Standard output is closed; redirect it" in done.stderr) == (closed == ">&-")


@pytest.mark.parametrize("main_", [lambda _: None, lambda _: command.output.say("x")])
def test_a_full_standard_output_is_said(main_, monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    # What silences the descriptor of a real one gives this one a buffer that takes it.
    monkeypatch.setattr(
        command.output, "silence", lambda: monkeypatch.setattr(sys, "stdout", io.StringIO())
    )
    with pytest.raises(SystemExit) as caught:
        command.run(main_, flag_values=predict.FLAGS, argv=["x", "--workdir=run"])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err == "error: Standard output cannot be written (No space left on device).\n"


def test_what_fails_halfway_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        local_files.write(tmp_path / "x.json", b"1")
    assert os.listdir(tmp_path) == []
