"""A command of the tests.

python -m ferjax.example --config=FILE
"""

import pytest
from absl import flags
from ml_collections import config_flags

from ferjax.cli import command
from ferjax.errors import Interrupted, UserError, nearest

# ml_collections loads a config with it.
pytestmark = pytest.mark.filterwarnings(r"ignore:the load_module\(\):DeprecationWarning")

CONFIG = """
from ml_collections import ConfigDict
from ferjax.errors import UserError

def get_config(arg=""):
    if arg == "refused":
        raise UserError("unknown argument 'refused'")
    if arg == "defect":
        return {}["no such key"]
    return ConfigDict(
        {"seed": 1, "stages": (2, 2), "optimizer": {"learning_rate": 0.1, "batch_size": 4}}
    )
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command with the flags config, workdir and num_seeds; -> exit code, stdout, stderr."""
    (tmp_path / "island.py").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)

    def run(*arguments, main=None):
        values = flags.FlagValues()
        config = config_flags.DEFINE_config_file("config", None, "The config.", flag_values=values)
        flags.DEFINE_string("workdir", None, "Where the run goes.", flag_values=values)
        flags.DEFINE_integer("num_seeds", 1, "How many runs.", flag_values=values)
        flags.mark_flag_as_required("config", flag_values=values)

        def show(argv):
            print(config.value.optimizer.learning_rate, argv[1:])

        # ml_collections looks for overrides in sys.argv.
        argv = ["example", *arguments]
        monkeypatch.setattr("sys.argv", argv)
        with pytest.raises(SystemExit) as caught:
            command.run(main or show, flag_values=values)
        return caught.value.code, *capsys.readouterr()

    return run


def test_a_command_that_runs(run):
    code, out, err = run("--config=island.py", "--config.optimizer.learning_rate=3", "more")
    assert (code, out, err) == (0, "3.0 ['more']\n", "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "--config is required"),
        ("--config=iland.py", "there is no file 'iland.py'. Did you mean 'island.py'?"),
        ("--config iland.py --config.seed=2", "there is no file 'iland.py'"),
        ("--config=island.py:refused", "unknown argument 'refused'"),
        (
            "--config=island.py --config.optimizer.lerning_rate=1",
            "no field 'optimizer.lerning_rate'. Did you mean 'optimizer.learning_rate'?",
        ),
        (
            "--config=island.py --config.batch_size=1",
            "no field 'batch_size'. Did you mean 'optimizer.batch_size'?",
        ),
        (
            "--config=island.py --config.optimiser.seed_of.all=1",
            "no field 'optimiser.seed_of.all'. Its fields are: optimizer, optimizer.batch_size,",
        ),
        (
            "--config=island.py --batch_size=1",
            "unknown flag --batch_size. Did you mean '--config.optimizer.batch_size'?",
        ),
        ("--config=island.py --config.optimizer.batch_size=x", "--config.optimizer.batch_size=x"),
        ("--config=island.py --num_seeds=x", "--num_seeds=x"),
        ("--config=island.py --workdr=x", "unknown flag --workdr. Did you mean '--workdir'?"),
        ("--config=island.py --qqqq=x", "There are: --config, --num_seeds, --workdir."),
        ("--config=island.py --workdir", "Missing value for flag --workdir"),
        ("--config.seed=2", "no config is given: add --config=FILE"),
    ],
)
def test_a_wrong_command_line(run, arguments, expected):
    code, out, err = run(*arguments.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert expected in err
    assert "Traceback" not in err


def test_elements_of_a_tuple_can_be_set(run):
    assert run("--config=island.py", "--config.stages=(3, 4)")[0] == 0


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (UserError("labels.csv is missing"), 2, "error: labels.csv is missing\n"),
        (Interrupted("run it again"), 75, "interrupted: run it again\n"),
        (KeyboardInterrupt(), 130, "interrupted from the keyboard\n"),
    ],
)
def test_the_exit_code_says_how_it_ended(run, error, code, expected):
    def main(argv):
        raise error

    assert run("--config=island.py", main=main) == (code, "", expected)


def test_a_defect_shows_its_traceback(run):
    def main(argv):
        return [][1]

    code, out, err = run("--config=island.py", main=main)
    assert (code, out) == (70, "")
    assert "Traceback" in err and "IndexError" in err and "defect of ferjax" in err


def test_a_config_that_fails_is_named_with_its_line(run):
    code, _, err = run("--config=island.py:defect")
    assert code == 2 and len(err.splitlines()) == 1
    assert "the config island.py, line 9 cannot be run (KeyError: 'no such key')" in err


def test_the_code_of_main_is_passed_on(run):
    assert run("--config=island.py", main=lambda argv: 3)[0] == 3


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help_is_the_docstring_and_the_flags_of_the_command_alone(run, flag):
    code, out, _ = run(flag)
    assert code == 0
    assert out.splitlines() == [
        "A command of the tests.",
        "",
        "python -m ferjax.example --config=FILE",
        "",
        "Flags:",
        "  --config: The config.",
        "  --num_seeds: How many runs. [default: 1]",
        "  --workdir: Where the run goes.",
    ]


def test_help_loads_nothing_heavy(run_python):
    done = run_python(["-X", "importtime", "-m", "ferjax.data.prepare", "--help"])
    assert "python -m ferjax.data.prepare --dataset=fer2013 --source=" in done.stdout
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "absl.flags" in loaded
    assert not loaded & {"jax", "numpy", "tensorflow_datasets", "PIL", "rich"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [("FER", " Did you mean 'fer'?"), ("traim", " Did you mean 'train'?"), ("zzz", "")],
)
def test_nearest(name, hint):
    assert nearest(name, ["fer", "train", "test"]) == hint
