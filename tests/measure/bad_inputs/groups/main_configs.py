"""Files and arguments given to `main --config`."""

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage
from tests.measure.bad_inputs.shared import CONFIG, training

_NO_CONFIG = "expected a Python file with a function get_config, as those in configs/"


def _file(make, name="some.py"):
    """A maker of a command with a config that `make` makes, or that has this text."""

    def command(stage: Stage):
        path = stage.here / name
        made.text(path, make) if isinstance(make, str) else make(path)
        return "main", f"--config={name}", "--workdir=run"

    return command


def _argument(text):
    """A maker of a command with an argument of a config."""
    return lambda stage: ("main", f"--config={CONFIG}:{text}", "--workdir=run")


def _of_a_run(stage: Stage):
    return "main", f"--config={stage.shared}/tiny/config.json", "--workdir=run"


def _once(stage: Stage) -> None:
    runs = (stage.here / "runs").read_text()
    assert runs == "xx", f"the file or its get_config ran more than once: {runs!r}"


_COUNTED = "open('runs', 'a').write('x')"
# id, what, the file, what is said
_FILES = [
    (84, "a folder", made.folder, ["it is a folder", _NO_CONFIG]),
    (85, "no file", lambda path: path, ["there is no file 'some.py'"]),
    (87, "no get_config", "x = 1\n", ["some.py is no config", _NO_CONFIG]),
    (88, "no Python", "def get_config(:\n", ["is no Python file (line 1)", _NO_CONFIG]),
    (
        89,
        "get_config raises",
        "def get_config():\n  raise ValueError('not today')\n",
        ["some.py, line 2 cannot be run (ValueError: not today)", "mend the file"],
    ),
    (
        90,
        "get_config returns None",
        "def get_config():\n  return None\n",
        ["get_config of some.py returns NoneType", "expected ConfigDict"],
    ),
    (
        91,
        "get_config returns a dict",
        "def get_config():\n  return {'seed': 1}\n",
        ["get_config of some.py returns dict", "expected ConfigDict"],
    ),
    (
        92,
        "get_config returns an empty ConfigDict",
        "from ml_collections import ConfigDict\ndef get_config():\n  return ConfigDict()\n",
        ["The config has no ", "make it by fields.defaults"],
    ),
    (
        93,
        "bytes",
        lambda path: path.write_bytes(bytes(range(256))),
        ["is no Python file", _NO_CONFIG],
    ),
]
# id, what, the argument of the config, what is said
_ARGUMENTS = [
    (95, "an unknown argument", "attnetion=se", ["Unknown config argument", "Did you mean 'atte"]),
    (96, "an unknown value", "attention=evil", ["attention", "expected one of none, se, cbam"]),
    (
        97,
        "lambda=nan",
        "dataset=synthetic,lambda=nan",
        ["loss.weight is nan; expected a number of at least 0", "lambda"],
    ),
    (98, "lambda=abc", "lambda=abc", ["lambda is 'abc'; expected a number"]),
    (99, "seed=1e3", "seed=1e3", ["seed is '1e3'; expected a whole number"]),
]

CASES = [
    *(
        Case(f"cli.{number}", what, _file(file), says=said, never=["Error whilst"])
        for number, what, file, said in _FILES
    ),
    *(
        Case(f"cli.{number}", what, _argument(text), says=said)
        for number, what, text, said in _ARGUMENTS
    ),
    Case(
        "cli.94",
        "--config twice",
        training(f"--config={CONFIG.with_name('se_cnn.py')}"),
        says=["--config is given twice", "leave one out"],
        never=["defined twice"],
    ),
    Case(
        "cli.cfgjson",
        "config.json of a run",
        _of_a_run,
        says=["config.json is no config", _NO_CONFIG, "To go on with a run, repeat its command."],
    ),
    Case(
        "cli.once",
        "a config that counts how often it is run",
        _file(
            f"from ferjax.config import fields\n{_COUNTED}\ndef get_config():\n  {_COUNTED}\n"
            "  config = fields.defaults()\n  config.seed = -1\n  return config\n"
        ),
        says=["seed is -1"],
        check=_once,
    ),
]
