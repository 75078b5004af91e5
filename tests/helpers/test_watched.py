"""A slow machine fails nothing, and what hangs fails."""

import subprocess
import types

import pytest

from tests.helpers import watched

IDLE, WORK = watched.IDLE_SECONDS, watched.WORK_SECONDS


@pytest.fixture
def machine(monkeypatch):
    """What a process has used and left behind, and the time, which the test moves."""
    state = types.SimpleNamespace(now=0.0, cpu=0.0, sign=0, starved=False)
    monkeypatch.setattr(watched, "time", types.SimpleNamespace(monotonic=lambda: state.now))
    monkeypatch.setattr(watched, "cpu_seconds", lambda processes: state.cpu)
    monkeypatch.setattr(watched, "wants_cpu", lambda processes: state.starved)
    return state


def an_hour(machine, patience, *, share, every=float("inf")):
    """An hour in which a process gets this share of a core, and leaves signs after so many s."""
    for second in range(1, 3601):
        machine.now += 1.0
        machine.cpu += share
        machine.sign += second % every == 0
        patience.check()


def patience(machine):
    return watched.Patience([1], signs=lambda: machine.sign)


def test_one_that_gets_little_of_a_busy_machine_may_take_an_hour(machine):
    an_hour(machine, patience(machine), share=0.02)


def test_one_that_gets_nothing_because_of_others_is_not_idle(machine):
    machine.starved = True
    an_hour(machine, patience(machine), share=0.0)


def test_signs_are_progress_without_cpu_time_and_however_much_of_it_passes(machine):
    an_hour(machine, patience(machine), share=0.0, every=IDLE)
    an_hour(machine, patience(machine), share=2.0, every=WORK / 2)


def test_a_deadlock_is_idle_whatever_its_heartbeats_take(machine):
    with pytest.raises(watched.Stalled, match=f"no progress after 0: idle for {IDLE + 1:.0f} s"):
        an_hour(machine, patience(machine), share=0.004)


def test_one_that_spins_works_for_nothing(machine):
    with pytest.raises(watched.Stalled, match=r"no progress after 0: 30[12] s of CPU time"):
        an_hour(machine, patience(machine), share=2.0)


def test_the_end_of_a_busy_process_is_no_reason_to_wait_longer(machine):
    watch = patience(machine)
    an_hour(machine, watch, share=0.05)
    machine.cpu = 0.0
    with pytest.raises(watched.Stalled, match="idle"):
        an_hour(machine, watch, share=0.0)
    assert machine.now < 3600 + IDLE + 5


def bash(script):
    return subprocess.Popen(
        ["bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_what_hangs_is_ended_and_its_output_shown(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    started = [
        bash(f"echo one >&2; touch {one}; sleep 1000 & wait"),
        bash(f"echo two; touch {two}; exec sleep 1000"),
    ]
    watched.until(lambda: one.exists() and two.exists(), "both say something", *started)
    with pytest.raises(watched.Stalled, match=r"idle.*\none\n\ntwo"):
        watched.finish(*started, idle=0.1)
    assert [process.returncode for process in started] == [-9, -9]


def test_what_spins_is_ended():
    with pytest.raises(watched.Stalled, match="CPU time for nothing"):
        watched.finish(bash("while :; do :; done"), work=0.1)


def test_one_that_spins_wants_the_cpu_and_one_that_sleeps_does_not():
    spinning, sleeping = bash("while :; do :; done"), bash("exec sleep 1000")
    watched.until(lambda: watched.wants_cpu([spinning.pid]), "it spins", spinning)
    watched.until(lambda: not watched.wants_cpu([sleeping.pid]), "it sleeps", sleeping)
    with pytest.raises(watched.Stalled):
        watched.finish(spinning, sleeping, work=0.1)


def test_exit_codes_and_outputs():
    more = "for ((i = 0; i < 20000; i++)); do echo 123456789; done"  # than a pipe holds
    first, second = watched.finish(bash("echo a; echo b >&2; exit 3"), bash(more))
    assert (first.returncode, first.stdout, first.stderr) == (3, "a\n", "b\n")
    assert (second.returncode, len(second.stdout)) == (0, 200_000)


def test_until_notices_that_nobody_can_do_it_any_more():
    process = bash("exit 0")
    with pytest.raises(AssertionError, match="ended without 'a file'"):
        watched.until(lambda: False, "a file", process)
    watched.finish(process)
