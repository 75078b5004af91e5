"""Names that commands print, and what is no config."""

import io
import signal
import sys
import warnings

import pytest

import ferjax
from ferjax import errors, main, predict
from ferjax.cli import command
from tests.helpers import strangers as made

NAMES = {
    "markup": ("[bold red]x", "[bold red]x"),
    "a tag that is not open": ("x[/b]", "x[/b]"),
    "a link": ("[link=x:y]click", "[link=x:y]click"),
    "an emoji's name": (":smile:", ":smile:"),
    "an escape": ("\x1b]0;x\x07\x1b[31m", r"\x1b]0;x\x07\x1b[31m"),
    "an escape of one byte": ("\x9b31m", r"\x9b31m"),
    "a bidi override": ("a\u202egnp", r"a\u202egnp"),
    "a line": ("a\nb\rc\td", r"a\nb\rc\td"),
    "a line of Unicode": ("a\u2028b", r"a\u2028b"),
    "bytes that are no text": ("caf\udce9", r"caf\xe9"),
    "letters": ("顔é", "顔é"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_and_classes_are_shown_literally(
    name, classifies, run_main, tmp_path, monkeypatch
):
    given, shown = NAMES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ferjax.load(""), "labels", (given, "sad"))
    (tmp_path / f"{given}.png").parent.mkdir(exist_ok=True)
    made.image(tmp_path / f"{given}.png")
    code, out, _ = run_main(predict, "--workdir=run", f"{given}.png")
    assert code == 0 and f"{shown}.png" in out.replace("\n", "") and out.count(shown) >= 2
    assert not set(out) - {"\n"} & {chr(number) for number in (*range(32), *range(127, 160))}
    made.text(tmp_path / f"{given}.png")
    code, _, err = run_main(predict, "--workdir=run", f"{given}.png")
    assert code == 2 and f"{shown}.png is not an image" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_encoding_of_the_terminal_ends_a_command(encoding, classifies, tmp_path, monkeypatch):
    path = made.image(tmp_path / "顔\udce9.png")
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as caught:
        argv = ["predict", "--workdir=run", str(path)]
        command.run(predict.main, flag_values=predict.FLAGS, argv=argv)
    stream.seek(0)
    assert caught.value.code == 0 and "happy" in stream.read()


def test_a_warning_of_a_library_is_one_plain_line(capsys, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    command.output.prepare_streams()
    assert warnings.formatwarning("x\x1b", UserWarning, "/a/path.py", 3) == "warning: x\\x1b\n"


def test_a_defect_prints_no_escapes(capsys):
    errors.explain(ValueError("\x1b[2J"))
    assert "\x1b" not in capsys.readouterr().err


CONFIGS = {
    "JSON": ('{"seed": 1, "x": null}', "is no config; expected a Python file with a function"),
    "a text": ("The quick brown fox", "is no Python file (line 1)"),
    "bytes": ("\0\1", "is no Python file"),
    "deep": ("(" * 1000, "is no Python file"),
    "no get_config": ("open('ran', 'w')", "is no config"),
    "raises": ("def get_config(): return\n1 / 0", "line 2 cannot be run (ZeroDivisionError"),
    "get_config raises": (
        "def get_config():\n  return {}[1]",
        "line 2 cannot be run (KeyError: 1)",
    ),
    "an unknown name": ("get_config = nothing", "NameError: name 'nothing' is not defined"),
    "a wrong type": ("def get_config(): return int('x')", "ValueError: invalid literal"),
    "exits": ("def get_config(): raise SystemExit(0)", "cannot be run (SystemExit"),
    "raises what is no Exception": (
        "def get_config(): raise type('Odd', (BaseException,), {})('x')",
        "cannot be run (Odd: x)",
    ),
    "returns nothing": ("def get_config(): pass", "returns NoneType; expected ConfigDict"),
    "a FIFO": (made.fifo, "it is a FIFO"),
    "a folder": (made.folder, "it is a folder"),
    "a loop": (made.loop, "its links lead round"),
    "a link to nothing": (made.dangling, "it is a link to"),
    "a long name": (made.too_long, "the name is too long"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(name, refused, tmp_path, monkeypatch):
    make, phrase = CONFIGS[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "some.py"
    path = made.text(path, make) if isinstance(make, str) else make(path)
    assert phrase in refused(main, f"--config={path}", "--workdir=run")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_called_that(run_python):
    code = (
        "from absl import flags\nfrom ferjax.cli import command\n"
        "def main(argv):\n    import jax\n    jax.devices()\n"
        "command.run(main, flag_values=flags.FlagValues(), argv=['x'])"
    )
    done = run_python(code, env={"JAX_PLATFORMS": "rocm"}, check=False)
    assert done.returncode == 2 and "error: JAX_PLATFORMS is rocm, and JAX finds no" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_a_command_imports_is_no_traceback(run_python, repository, tmp_path):
    made.text(made.folder(tmp_path / "absl") / "__init__.py", "raise KeyboardInterrupt")
    path = f"{tmp_path}:{repository}"
    done = run_python(["-m", "ferjax.predict"], env={"PYTHONPATH": path}, check=False)
    assert done.returncode in (-signal.SIGINT, 130)
    assert done.stderr == "interrupted from the keyboard\n"


def test_ctrl_c_within_a_callback_is_not_lost(run_python, repository, tmp_path):
    stop = (
        "import gc, os, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def stop(*_):\n    gc.callbacks.remove(stop)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "gc.callbacks.append(stop)\ngc.collect()\ntime.sleep(60)\n"
    )
    made.text(made.folder(tmp_path / "absl") / "__init__.py", stop)
    path = f"{tmp_path}:{repository}"
    done = run_python(["-m", "ferjax.predict"], env={"PYTHONPATH": path}, check=False)
    assert done.returncode in (-signal.SIGINT, 130)
    assert done.stderr == "interrupted from the keyboard\n"
