"""metrics.jsonl has each step once, also after a kill; progress suits a terminal or a pipe."""

import io
import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.cli.progress import Progress
from ferjax.errors import UserError
from ferjax.workdir.metrics_log import JsonlLog, read_rows
from ferjax.workdir.writer import Writer
from tests.helpers import tensorboard


def rows_of(path):
    return [row for _, row in read_rows(path)]


def train_rows(log, steps):
    for step in steps:
        log.write({"kind": "train", "step": step, "loss": 1 / step})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_resume_drops_what_came_after_the_checkpoint(path):
    log = JsonlLog(path)
    train_rows(log, range(1, 5))
    log.write({"kind": "epoch", "step": 4, "epoch": 1, "validation_accuracy": 0.5})
    train_rows(log, range(5, 9))
    log.write({"kind": "epoch", "step": 8, "epoch": 2, "validation_accuracy": 0.6})
    first_run = path.read_text()  # before the close, as a kill would leave it
    log.close()

    log = JsonlLog(path, resume_step=6)
    assert [row["step"] for row in log.rows("train")] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in log.rows("train", after_step=4)] == [5, 6]
    assert [row["epoch"] for row in log.rows("epoch")] == [1]
    train_rows(log, range(7, 9))
    log.write({"kind": "epoch", "step": 8, "epoch": 2, "validation_accuracy": 0.6})
    log.close()
    assert path.read_text() == first_run
    assert not path.with_name("metrics.jsonl.new").exists()


def test_a_line_cut_short_by_a_kill_is_dropped(path):
    log = JsonlLog(path)
    train_rows(log, [1, 2, 3])
    log.close()
    path.write_bytes(path.read_bytes()[:-4])
    log = JsonlLog(path, resume_step=3)
    assert [row["step"] for row in rows_of(path)] == [1, 2]
    train_rows(log, [3])
    log.close()
    assert [row["step"] for row in rows_of(path)] == [1, 2, 3]


def test_starting_afresh_forgets_a_run_without_a_checkpoint(path):
    log = JsonlLog(path)
    train_rows(log, [1, 2])
    log.close()
    JsonlLog(path).close()
    assert path.read_text() == ""


def test_a_step_is_written_once(path):
    log = JsonlLog(path)
    train_rows(log, [1, 2])
    log.write({"kind": "epoch", "step": 2, "epoch": 1})
    with pytest.raises(ValueError, match="train row of step 2 after step 2"):
        train_rows(log, [2])
    log.close()
    log = JsonlLog(path, resume_step=2)
    with pytest.raises(ValueError, match="epoch row of step 2 after step 2"):
        log.write({"kind": "epoch", "step": 2, "epoch": 1})
    log.close()


@pytest.mark.parametrize("line", ["garbage", "[1, 2]", '{"step": 2}', '{"kind": "train"}', "7"])
def test_a_damaged_line_is_named(path, line):
    path.write_text(f'{{"kind": "train", "step": 1}}\n{line}\n{{"kind": "train", "step": 3}}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2: found .* the file is damaged"):
        JsonlLog(path, resume_step=3)


def test_rows_are_strict_json_of_any_scalar(path):
    log = JsonlLog(path)
    log.write(
        {
            "kind": "train",
            "step": np.int64(1),
            "loss": jnp.float32(0.1),
            "rate": np.float64("inf"),
            "norm": float("nan"),
            "recall": np.array([0.5, np.nan]),
            "nested": {"a": jnp.int32(3), "flag": np.bool_(True)},
            "text": "fine",
            "none": None,
        }
    )
    log.close()

    def refuse(constant):
        raise AssertionError(constant)

    row = json.loads(path.read_text(), parse_constant=refuse)
    assert row == {
        "kind": "train",
        "step": 1,
        "loss": float(np.float32(0.1)),
        "rate": None,
        "norm": None,
        "recall": [0.5, None],
        "nested": {"a": 3, "flag": True},
        "text": "fine",
        "none": None,
        "nonfinite": ["rate", "norm", "recall"],
    }
    log = JsonlLog(path, resume_step=1)
    log.close()
    assert json.loads(path.read_text()) == row


class Stream(io.StringIO):
    """Text in memory that passes for an open file."""

    name, mode = "stream", "w"


def open_writer(folder, stream, resume_step=0, is_main=True):
    return Writer(
        folder,
        resume_step=resume_step,
        steps_per_epoch=2,
        num_epochs=3,
        batch_size=128,
        is_main=is_main,
        stream=stream,
    )


def test_writer_resumes_with_the_best_epoch_so_far(tmp_path):
    out = Stream()
    with open_writer(tmp_path, out) as writer:
        for step in (1, 2):
            writer.write_step(step, {"loss": 2.0 / step})
        writer.write_epoch(2, 1, {"loss": 1.5, "validation_accuracy": 0.625})
        writer.flush()
    assert "epoch 1/3" in out.getvalue()
    assert "val 62.5%" in out.getvalue()

    out = Stream()
    with open_writer(tmp_path, out, resume_step=2) as writer:
        assert writer.rows("train", after_step=2) == []
        writer.note("resumed at step 2")
        for step in (3, 4):
            writer.write_step(step, {"loss": 2.0 / step})
        writer.write_epoch(4, 2, {"loss": 0.5, "validation_accuracy": 0.5})
    lines = out.getvalue().splitlines()
    assert lines[0] == "resumed at step 2"
    assert "epoch 2/3" in lines[1]
    assert "val 50.0%" in lines[1]
    assert "best 62.5%" in lines[1]
    steps = [row["step"] for row in rows_of(tmp_path / "metrics.jsonl") if row["kind"] == "train"]
    assert steps == [1, 2, 3, 4]
    assert len(list((tmp_path / "tensorboard").glob("events*"))) == 2


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ([], "lacks the rows of 4 steps and 2 epochs: they are lost, and the run goes on"),
        ([("train", 1), ("train", 2), ("epoch", 2), ("train", 4)], "of 1 steps and 1 epochs"),
        ([("train", step) for step in (1, 2, 3, 4)], "lacks the rows of 2 epochs: they"),
    ],
)
def test_rows_that_are_lost_are_counted(tmp_path, kept, said):
    rows = [{"kind": kind, "step": step, "epoch": step // 2} for kind, step in kept]
    lines = [json.dumps(row) + "\n" for row in rows]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    out = Stream()
    with open_writer(tmp_path, out, resume_step=4):
        pass
    assert said in out.getvalue()


def test_tensorboard_holds_the_scalars_and_the_purge(tmp_path):
    with open_writer(tmp_path, Stream(), resume_step=6) as writer:
        writer.write_step(7, {"loss": 0.25, "loss_bad": float("nan"), "note": "text"})
    found = tensorboard.events(tmp_path / "tensorboard")
    scalars = {}
    for event in found:
        for value in event.summary.value:
            scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    purges = [event.step for event in found if event.HasField("session_log")]
    assert scalars["train/loss"] == [(7, 0.25)]
    assert math.isnan(scalars["train/loss_bad"][0][1])
    assert set(scalars) == {"train/loss", "train/loss_bad"}
    assert purges == [7]


def test_only_the_main_process_writes(tmp_path):
    out = Stream()
    with open_writer(tmp_path, out, is_main=False) as writer:
        writer.write_step(1, {"loss": 1.0})
        writer.write_epoch(2, 1, {"loss": 1.0})
        writer.note("quiet")
        writer.status("quiet")
        writer.flush()
        assert writer.rows("train") == []
    assert out.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def make_progress(stream, clock, start_step=0):
    return Progress(
        steps_per_epoch=100,
        num_epochs=4,
        batch_size=128,
        start_step=start_step,
        stream=stream,
        clock=clock,
    )


def test_a_pipe_gets_a_line_each_half_minute_with_rate_and_time_left():
    out, clock = Stream(), Clock()
    progress = make_progress(out, clock)
    clock.now += 20  # compiling counts neither in the rate nor in the time left
    for step in range(1, 101):
        progress.step(step, {"loss": 3.0})
        clock.now += 0.5
    lines = out.getvalue().splitlines()
    assert lines == [
        "epoch 1/4  step 21/100  256 images/s  loss 3.000  ETA 3:10",
        "epoch 1/4  step 81/100  256 images/s  loss 3.000  ETA 2:40",
    ]
    clock.now += 100  # a slow validation counts in the time left alone
    progress.epoch(1, {"loss": 2.0, "validation_accuracy": 0.4})
    assert out.getvalue().splitlines()[2] == (
        "epoch 1/4  256 images/s  loss 2.000  val 40.0%  best 40.0%  ETA 7:35"
    )
    for step in range(101, 132):  # at half the speed; the rate forgets the epoch before
        progress.step(step, {"loss": 2.0})
        clock.now += 1
    assert "epoch 2/4  step 31/100  128 images/s" in out.getvalue().splitlines()[3]


class Terminal(Stream):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_a_terminal_gets_one_live_line(terminal):
    clock = Clock()
    progress = make_progress(terminal, clock, start_step=200)
    progress.restore(2, {"validation_accuracy": 0.4321})
    progress.status("compiling")
    assert "compiling" in terminal.getvalue()
    for step in range(201, 300):
        progress.step(step, {"loss": 1.25})
        clock.now += 0.125
    for part in ("epoch 3/4", "1,024 images/s", "loss 1.250", "best 43.2%", "ETA 0:13"):
        assert part in terminal.getvalue()
    progress.note("saved [step 300]")
    assert "saved [step 300]" in terminal.getvalue()
    progress.close()
    # 12.4 s at most four redraws a second, and not one a step.
    assert terminal.getvalue().count("images/s") < 60
    last = terminal.getvalue().splitlines()[-1]
    assert "epoch 3/4  1,024 images/s" in last


def test_a_dumb_terminal_gets_plain_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    progress = make_progress(terminal, Clock())
    progress.step(1, {"loss": 1.0})
    progress.epoch(1, {"validation_accuracy": 0.5})
    assert terminal.getvalue() == "epoch 1/4  loss 1.000  val 50.0%  best 50.0%\n"
    progress.close()
