"""What strangers send harms nothing, hangs nothing, and is answered by one sentence.

The tables of this folder name an input, what is done with it, and words of the answer.
"""

import functools
import os
import signal

import numpy as np
import pytest

import ferjax
from ferjax.inference.classifier import Classifier
from tests.helpers import watched


@pytest.fixture(autouse=True)
def no_hang():
    """What would wait, or compute, for ever fails instead."""
    patience = watched.Patience([os.getpid()], work=60)
    before = signal.signal(signal.SIGALRM, lambda *_: patience.check())
    # Most tests are over before the first signal, which no system call of theirs then has to bear.
    signal.setitimer(signal.ITIMER_REAL, 20, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def refused(run_main):
    """Runs a command that has to end with one line of error, and returns it."""

    def run(module, *arguments):
        code, _, err = run_main(module, *map(str, arguments))
        last = err.splitlines()[-1]
        assert code == 2 and last.startswith("error: ") and err.count("error: ") == 1, err
        assert "Traceback" not in err
        return last

    return run


@pytest.fixture
def classifies(monkeypatch):
    """`predict` has a model that thinks every face happy."""
    same = functools.partial(np.tile, np.float32([0.75, 0.25]))
    model = Classifier(
        lambda images: same((len(images), 1)), labels=("happy", "sad"), native_shape=(8, 8, 1)
    )
    monkeypatch.setattr(ferjax, "load", lambda *_, **__: model)
