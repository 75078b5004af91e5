"""The command that compiles for absent hardware, with this machine's compiler in its place."""

import dataclasses
import json
import sys

import jax
import pytest

from ferjax import aot
from ferjax.performance import ahead_of_time, ahead_of_time_tables
from ferjax.performance.hardware import targets
from tests.helpers import tiny

SMALL = [
    f"--config={tiny.CONFIG}:dataset=synthetic,attention=none,loss=softmax",
    "--config.model.name=resnet10",
    "--config.model.width=8",
    "--config.model.image_size=16",
    "--config.model.stem=half",
    "--config.dataset.options.image_size=16",
    "--config.dataset.options.num_train=84",
]


@pytest.fixture
def here(monkeypatch):
    """The one CPU of this process stands for an H100."""
    monkeypatch.setattr(targets.Target, "devices", lambda self: jax.devices())


@pytest.fixture
def run(here, run_main, monkeypatch):
    """The command; config flags find what overrides them in sys.argv alone."""

    def command(*arguments):
        for flag in [name for name in aot.FLAGS if "." in name]:
            delattr(aot.FLAGS, flag)  # overrides of the last call
        monkeypatch.setattr(sys, "argv", ["aot", *arguments])
        return run_main(aot, *arguments)

    return command


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Figures of the training and the evaluation step of a small network, 16 images each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets.Target, "devices", lambda self: jax.devices())
        config = tiny.config(tmp_path_factory.mktemp("none"), "attention=none,loss=softmax")
        target = targets.find("h100")
        return [
            ahead_of_time.figures(config, target, per_device_batch=16, evaluate=evaluate)
            for evaluate in (False, True)
        ]


def test_figures_are_json_and_say_what_they_are_of(steps):
    train, evaluation = steps
    assert json.loads(json.dumps(steps)) == steps
    assert (train["step"], evaluation["step"]) == ("train", "evaluation")
    assert train["origin"].startswith("the compiler's estimates")
    assert train["global_batch"] == train["per_device_batch"] == 16
    assert train["target"]["devices"] == 1 and train["placement"] == "device"


def test_memory_is_the_sum_of_its_parts(steps):
    for figures in steps:
        memory = figures["memory"]
        parts = ("arguments", "outputs", "temporaries", "code")
        assert memory["total"] == sum(memory[part] for part in parts) > 0
        assert memory["fits"] and len(memory["largest"]) == 5
    # The training split of 84 images of 16 x 16 is an argument of both.
    assert 84 * 16 * 16 < steps[1]["memory"]["arguments"] < steps[0]["memory"]["arguments"]


def test_training_costs_about_three_times_a_forward_pass(steps):
    train, evaluation = (figures["per_image"] for figures in steps)
    assert 3.0 < train["flops"] / evaluation["flops"] < 4.0  # with augmentation and update
    assert train["main_memory_bytes"] > 2 * evaluation["main_memory_bytes"]


def test_a_gpu_has_a_roofline_time_and_kernels(steps):
    time = steps[0]["time"]
    assert time["basis"] == "roofline"
    assert max(time["share_of_peak_flops"], time["share_of_peak_bandwidth"]) == pytest.approx(1)
    assert time["images_per_second_per_chip"] == pytest.approx(16 / time["seconds"])
    assert steps[0]["kernels"]["fusions"] > 10
    layers = [cost["layer"] for cost in steps[0]["most_expensive"]]
    assert len(layers) == 10 and any(name.startswith("layer") for name in layers)


def test_the_table_says_what_the_figures_are(steps):
    rows = ahead_of_time_tables.rows(steps[0])
    assert rows["these are"] == "estimates of the compiler"
    assert rows["memory"].startswith("fits: 0.00 of 79.10 GiB")
    assert rows["throughput (roofline)"].endswith("images/s per chip")
    table = ahead_of_time_tables.comparison(*steps)
    names, values = (map(str, table.columns[number].cells) for number in (0, 3))
    ratios = dict(zip(names, values, strict=True))
    assert ratios["parameters"] == "1.00" and float(ratios["operations per image"]) < 0.4


def test_micro_batches_take_as_many_operations(steps, here):
    config = tiny.config("", "attention=none,loss=softmax", optimizer__accumulation_steps=4)
    figures = ahead_of_time.figures(config, targets.find("h100"), per_device_batch=16)
    expected = steps[0]["per_image"]["flops"]
    assert figures["per_image"]["flops"] == pytest.approx(expected, rel=1e-3)


def test_what_compiles_and_does_not_fit_has_no_time(here, monkeypatch):
    small = targets.find("h100")
    small = dataclasses.replace(small, chip=dataclasses.replace(small.chip, memory=1 << 16))
    figures = ahead_of_time.figures(
        tiny.config("", "attention=none,loss=softmax"), small, per_device_batch=16, evaluate=True
    )
    assert figures["memory"]["fits"] is False and figures["time"] is None
    assert ahead_of_time_tables.rows(figures)["memory"].startswith("DOES NOT FIT")


def test_parameters_split_over_the_devices_take_less_of_each(run_python):
    source = """
import sys, jax
from ferjax.performance import ahead_of_time
from ferjax.performance.hardware import targets
from tests.helpers import tiny
targets.Target.devices = lambda self: jax.devices()
for placement in ("replicated", "sharded"):
    config = tiny.config("", "attention=none,loss=softmax", train__parameter_placement=placement)
    config.model.width = 16
    figures = ahead_of_time.figures(config, targets.find("h100"), per_device_batch=4)
    print(figures["memory"]["arguments"])
"""
    whole, split = map(int, run_python(source, devices=4).stdout.split()[-2:])
    assert split < 0.5 * whole


def test_what_does_not_fit_says_by_how_much(here, monkeypatch):
    message = (
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (63.26G) exceeds available HBM (15.75G)."
    )

    def refuse(self):
        raise jax.errors.JaxRuntimeError(message)

    monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)
    config = tiny.config("", "attention=none,loss=softmax")
    figures = ahead_of_time.figures(config, targets.find("h100"), per_device_batch=16)
    assert figures["time"] is None
    rows = ahead_of_time_tables.rows(figures)
    assert rows["memory"] == "DOES NOT FIT: 63.26 of 15.75 GiB per device"
    assert len(ahead_of_time_tables.report(figures)) == 1


def test_the_command_prints_json_and_writes_it(run, tmp_path):
    code, out, err = run(
        *SMALL,
        *(argument.replace("--config", "--compare") for argument in SMALL),
        "--compare.model.width=4",
        "--target=h100",
        "--per_device_batch=4",
        "--eval",
        "--format=json",
        f"--json={tmp_path / 'out.json'}",
    )
    assert code == 0, err
    first, second = (json.loads(out)[name] for name in ("first", "second"))
    assert json.loads((tmp_path / "out.json").read_text())["second"] == second
    assert first["global_batch"] == 4 and first["step"] == "evaluation"
    assert first["parameters"] > 3 * second["parameters"]
    assert err.count("Compiling for h100") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target=v7:2x2"], "there is no 'v7'"),
        ([], "--target is required"),
        (["--target=h100", "--image_shape=48,48"], "expected HEIGHT,WIDTH,CHANNELS"),
        (["--target=h100", "--config.model.attention=abc"], "attention is 'abc'"),
        (
            ["--target=h100", "--config.optimizer.accumulation_steps=3"],
            "train.batch_size is 64, which does not divide evenly by optimizer.accumulation_steps",
        ),
        (["--target=h100", "--compare=nowhere.py"], "nowhere.py"),
        (["--target=h100", "--image_shape=48,48,2"], "--image_shape has 2 channels; images have"),
        (
            ["--target=h100", "--config.train.batch_size=0"],
            "train.batch_size is 0; expected a whole number",
        ),
        (
            ["--target=h100", "--config.optimizer.accumulation_steps=0"],
            "optimizer.accumulation_steps is 0; expected a whole number",
        ),
        (
            ["--target=h100", "--config.train.parameter_placement=shard"],
            "train.parameter_placement is 'shard'",
        ),
        (["--target=h100", "--config.model.colour=1"], "colour"),
    ],
)
def test_errors_are_of_the_user(run, arguments, message):
    code, out, err = run(*SMALL, *arguments)
    assert (code, out) == (2, ""), err
    assert message in err


def test_what_is_not_trained_has_an_evaluation_only(run):
    late = tiny.CONFIG.with_name("attention_fusion.py")
    code, _, err = run(f"--config={late}:dataset=synthetic,fusion=late", "--target=h100")
    assert code == 2 and "compile its evaluation with --eval" in err


def test_a_batch_is_shared_by_the_devices_of_the_target(run_python):
    source = f"""
import sys, jax
from ferjax import aot
from ferjax.cli import command
from ferjax.performance.hardware import targets
targets.Target.devices = lambda self: jax.devices()
sys.argv = ["aot", "--target=v5e:2x2", *{SMALL}, "--config.train.batch_size=18"]
command.run(aot.main, flag_values=aot.FLAGS)
"""
    done = run_python(source, devices=4, check=False)
    assert done.returncode == 2
    expected = "train.batch_size is 18, which does not divide evenly over 4 devices; use 16 or 20"
    assert expected in done.stderr
