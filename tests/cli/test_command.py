"""A command of the tests.

python -m ferjax.example --config=FILE
"""

import pytest
from absl import flags

from ferjax.cli import command, config_flags
from ferjax.errors import Interrupted, UserError, nearest

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
        config_flags.define("config", "The config.", flag_values=values)
        flags.DEFINE_string("workdir", None, "Where the run goes.", flag_values=values)
        flags.DEFINE_integer("num_seeds", 1, "How many.", lower_bound=1, flag_values=values)
        flags.DEFINE_float("share", 0.5, "A share.", lower_bound=0.0, flag_values=values)
        flags.DEFINE_list("rows", None, "Some rows.", flag_values=values)
        flags.DEFINE_bool("dry", False, "Nothing.", flag_values=values)
        flags.DEFINE_enum("format", "table", ["table", "json"], "How.", flag_values=values)
        flags.mark_flag_as_required("config", flag_values=values)

        def show(argv):
            print(values.config.optimizer.learning_rate, argv[1:])

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
        (
            "--config=island.py --config.optimizer.batch_size=x",
            "--config.optimizer.batch_size is 'x'; expected a whole number.",
        ),
        (
            "--config=island.py --config.optimizer.learning_rate=a:b",
            "--config.optimizer.learning_rate is 'a:b'; expected a number.",
        ),
        ("--config=island.py --num_seeds=1.5", "is '1.5'; expected a whole number of at least 1."),
        ("--config=island.py --num_seeds=0", "--num_seeds is '0'; expected a whole number"),
        ("--config=island.py --share=nan", "--share is nan; expected a number of at least 0."),
        ("--config=island.py --share=inf", "--share is inf; expected a number of at least 0."),
        ("--config=island.py --dry=maybe", "--dry is 'maybe'; expected true or false."),
        ("--config=island.py --format=xml", "--format is 'xml'; expected one of table, json."),
        ("--config=island.py --workdir=", "--workdir is empty; give it a value, or leave it out."),
        ("--config=island.py --rows=", "--rows is empty"),
        ("--config=island.py --config=island.py", "--config is given twice; leave one out."),
        ("--config=island.py --config.seed=2 -config island.py", "--config is given twice"),
        ("--config=island.py --workdir=a --workdir=b", "--workdir is given twice; leave one out."),
        ("--config=island.py --dry --dry", "--dry is given twice"),
        ("--config=island.py --workdr=x", "unknown flag --workdr. Did you mean '--workdir'?"),
        (
            "--config=island.py --config.seed=2 --qqqq=x",
            "There are: --config, --dry, --format, --num_seeds, --rows, --share, --workdir.",
        ),
        ("--config=island.py --workdir", "--workdir has no value; give it as --workdir=VALUE."),
        ("--config.seed=2", "no config is given: add --config=FILE"),
        ("--config.seed=2 --config=island.py", "--config.seed=2 comes before --config"),
        (
            "--config=island.py --config.stages[0]=2",
            "--config.stages[0] names a part of a field; give the field whole, as --config.stages",
        ),
        ("--config=island.py --config.stages[9]=2", "names a part of a field"),
        ("--config=island.py --config.seed[0]=2", "names a part of a field"),
        ("--config=island.py --config.sed[0]=2", "no field 'sed'. Did you mean 'seed'?"),
        ("--config=island.py --config.seed.x=2", "no field 'seed.x'"),
        ("--config=island.py --config.=2", "no field ''. Its fields are"),
        (
            "--config=island.py --config.optimizer=5",
            "--config.optimizer is a group of fields; give",
        ),
        ("--flagfile=island.py", "--flagfile is not taken here; give the flags themselves."),
        ("--config=island.py --undefok=q --q=1", "--undefok is not taken here"),
    ],
)
def test_a_wrong_command_line(run, arguments, expected):
    code, out, err = run(*arguments.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert expected in err
    assert "Traceback" not in err


def test_a_tuple_can_be_set(run):
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


@pytest.mark.parametrize(
    "arguments", ["--config.seed=2", "--config.sed=2", "--config.seed=x", "--sed=2"]
)
def test_a_config_runs_once(run, tmp_path, arguments):
    counts = "print('x', end='')"
    text = CONFIG.replace('    if arg == "refused"', f'    {counts}\n    if arg == "refused"')
    (tmp_path / "counted.py").write_text(f"{counts}\n{text}")
    _, out, _ = run("--config=counted.py", arguments)
    assert out.count("x") == 2


def test_a_frozen_config_can_be_overridden(run, tmp_path):
    text = CONFIG.replace("ConfigDict", "FrozenConfigDict")
    (tmp_path / "frozen.py").write_text(text)
    assert run("--config=frozen.py", "--config.optimizer.learning_rate=3")[:2] == (0, "3.0 []\n")


@pytest.mark.parametrize("error", [MemoryError(), ValueError("RESOURCE_EXHAUSTED: 3 TB\nmore")])
def test_too_little_memory_is_no_defect(run, error):
    def main(argv):
        raise error

    code, _, err = run("--config=island.py", main=main)
    assert code == 2 and err.startswith("error: There is not enough memory (")
    assert "give smaller batches or images" in err and len(err.splitlines()) == 1


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
        "  --[no]dry: Nothing. [default: False]",
        "  --format: <table|json>: How. [default: table]",
        "  --num_seeds: How many. [default: 1]",
        "  --rows: Some rows.",
        "  --share: A share. [default: 0.5]",
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
    [
        ("FER", " Did you mean 'fer'?"),
        ("traim", " Did you mean 'train'?"),
        ("fer+tst", " Did you mean 'fer+test'?"),
        ("train+test", ""),
        ("zzz", ""),
    ],
)
def test_nearest(name, hint):
    assert nearest(name, ["fer", "train", "test", "fer+test"]) == hint
