"""A trace of chosen steps, which TensorBoard opens; and what the watchdog hears meanwhile."""

import jax
import pytest

from ferjax.distributed import watchdog
from ferjax.errors import UserError
from ferjax.training import loop, profiling, sweep
from tests.helpers import tiny


@pytest.fixture(scope="module")
def traced(data_dir, tmp_path_factory):
    """(run directory, what the watchdog was told) of a run whose steps 3 and 4 were traced."""
    told = []
    tick = watchdog.Watchdog.tick
    workdir = tmp_path_factory.mktemp("traced") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            watchdog.Watchdog, "tick", lambda dog, doing: (told.append(doing), tick(dog, doing))
        )
        config = tiny.config(data_dir, train__num_epochs=1)
        loop.train(config, str(workdir), profile_steps="3:4")
    return workdir, told


# jaxlib's reader lets Python 3.12 and later warn, and ends the process where a warning is an error.
@pytest.mark.filterwarnings("ignore:builtin type event_stats:DeprecationWarning")
def test_the_trace_lies_where_tensorboard_looks_and_holds_the_steps(traced):
    (file,) = (traced[0] / "tensorboard" / "plugins" / "profile").glob("*/*.xplane.pb")
    steps = [
        dict(event.stats)["step_num"]
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes
        for line in plane.lines
        for event in line.events
        if event.name == "train"
    ]
    assert steps == [3, 4]


def test_the_watchdog_hears_of_every_stage(traced):
    told = traced[1]
    for step in range(1, 6):
        assert told.index(f"sending step {step}") < told.index(f"step {step}")
    assert told[-4:] == [
        "validating epoch 1",
        "saving the best epoch, 1",
        "saving step 5",
        "testing the best epoch",
    ]


@pytest.mark.parametrize("text", ["3", "4:3", "0:2", "a:b", "1:2:3", ""])
def test_other_texts_are_refused(text):
    with pytest.raises(UserError, match=r"--profile_steps is '.*'; expected FIRST:LAST"):
        profiling.parse_steps(text)


def test_steps_that_a_run_does_not_have_are_refused(data_dir, tmp_path):
    config = tiny.config(data_dir, train__num_epochs=1)
    with pytest.raises(UserError, match=r"'4:6', and the run has 5 steps; name some of them"):
        loop.train(config, str(tmp_path), profile_steps="4:6")


def test_steps_that_were_made_before_are_not_traced_and_that_is_said(tmp_path):
    profile = profiling.Profile("3:5", tmp_path)
    assert profile.missed(2) == ""
    assert profile.missed(3) == "--profile_steps=3:5 begins before that: no trace is made."
    assert profiling.Profile(None, tmp_path).missed(3) == ""


def test_a_finished_run_is_not_traced_and_that_is_said(data_dir, traced, capsys):
    config = tiny.config(data_dir, train__num_epochs=1)
    loop.train(config, str(traced[0]), profile_steps="1:2")
    assert capsys.readouterr().err == "The run is finished: no trace is made.\n"
    with pytest.raises(UserError, match="expected FIRST:LAST"):
        loop.train(config, str(traced[0]), profile_steps="2:1")


def test_one_run_is_traced(data_dir, tmp_path):
    with pytest.raises(UserError, match="traces one run"):
        sweep.run(tiny.config(data_dir), str(tmp_path), num_seeds=2, profile_steps="1:2")


def test_a_trace_beyond_the_end_is_written_too(tmp_path):
    profile = profiling.Profile("1:5", tmp_path)
    with profile.step(1):
        pass
    profile.close()
    assert list(tmp_path.rglob("*.xplane.pb"))
