"""A forked process predicts, or says at once why it cannot; it never waits for ever."""

import copy
import pickle

import numpy as np
import pytest

import ferjax
from ferjax.errors import UserError

# Every process that a test forks ends after this time at the latest, when it waits for what never
# comes.
BEGIN = """
import os, signal, sys, threading
import numpy as np

FACE = np.zeros((16, 16), np.uint8)

def forked(work):
    sys.stdout.flush()
    child = os.fork()
    if not child:
        signal.alarm(120)
        try:
            print(work())
        except Exception as error:
            print(type(error).__name__, str(error)[:26], "spawn" in str(error))
        sys.exit(5)
    print("left with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
REFUSED = "UserError This process was forked af True\nleft with 5\n"
PREDICTED = "[1.0]\nleft with 5\n"


@pytest.fixture
def forking(finished, run_python, tmp_path):
    """Runs source text that may fork, with `load` for a small model; returns what it prints."""

    def run(source):
        path = tmp_path / "forking.py"
        load = f"def load():\n    import ferjax\n    return ferjax.load({str(finished[0])!r})\n"
        seen = "def seen(model):\n    return model(FACE).probabilities.sum(1).round(4).tolist()\n"
        path.write_text(BEGIN + load + seen + source)
        return run_python(["-W", "ignore::RuntimeWarning", path]).stdout

    return run


def test_a_fork_before_jax_starts_can_predict_and_so_can_its_parent(forking):
    printed = forking(
        "import ferjax\n"
        "def work():\n"
        "    first = seen(load())\n"
        "    forked(lambda: seen(load()))\n"  # of a child that has started JAX itself
        "    return first\n"
        "forked(work)\n"
        "print(seen(load()))\n"
    )
    assert printed == REFUSED + PREDICTED + "[1.0]\n"


def test_a_fork_after_a_prediction_is_refused_and_ends_by_itself(forking):
    printed = forking(
        "model = load()\n"
        "forked(lambda: seen(model))\n"  # loaded, and nothing predicted yet
        "print(seen(model))\n"
        "busy = threading.Thread(target=lambda: [seen(model) for _ in range(20)])\n"
        "busy.start()\n"
        "forked(lambda: seen(model))\n"
        "forked(lambda: forked(lambda: seen(load())))\n"
        "busy.join()\n"
        "print(seen(model))\n"
    )
    lines = [REFUSED, "[1.0]\n", REFUSED, REFUSED, "None\nleft with 5\n", "[1.0]\n"]
    assert printed == "".join(lines)


def test_jax_alone_started_or_just_starting_is_enough(forking):
    printed = forking(
        "import ferjax, jax\n"
        "from jax._src import xla_bridge\n"
        "with xla_bridge._backend_lock:\n"  # as a thread does
        "    forked(lambda: seen(load()))\n"
        "jax.devices()\n"
        "forked(lambda: seen(load()))\n"
        "from ferjax.distributed import sharding\n"
        "forked(sharding.make_mesh)\n"
    )
    assert printed == REFUSED * 3


def test_pools_of_workers(forking):
    printed = forking(
        "import multiprocessing\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "def work(face):\n"
        "    return seen(MODEL)\n"
        "def prepare():\n"
        "    global MODEL\n"
        "    MODEL = load()\n"
        "def asked(workers, work):\n"
        "    try:\n"
        "        print(list(workers.map(work, [FACE])))\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, str(error)[:26])\n"
        "if __name__ == '__main__':\n"
        "    prepare()\n"
        "    fork, spawn = map(multiprocessing.get_context, ('fork', 'spawn'))\n"
        "    with fork.Pool(1, initializer=signal.alarm, initargs=(120,)) as workers:\n"
        "        asked(workers, work)\n"
        "        asked(workers, MODEL)\n"
        "    with ProcessPoolExecutor(\n"
        "        1, mp_context=fork, initializer=signal.alarm, initargs=(120,)\n"
        "    ) as workers:\n"
        "        asked(workers, work)\n"
        "    with spawn.Pool(1, initializer=prepare) as workers:\n"
        "        asked(workers, work)\n"
    )
    refused = "UserError This process was forked af\n"
    assert printed == f"{refused}UserError A classifier cannot be sen\n{refused}[[1.0]]\n"


def test_a_classifier_is_copied_and_not_pickled(finished):
    model = ferjax.load(finished[0])
    face = np.zeros((16, 16, 1), np.uint8)
    again = copy.deepcopy(model)(face).probabilities
    np.testing.assert_array_equal(again, model(face).probabilities)
    with pytest.raises(UserError, match=r"once in each process") as raised:
        pickle.dumps(model)
    assert repr(str(finished[0])) in str(raised.value)
