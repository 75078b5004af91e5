"""No two purposes draw from the same key, and no two seeds from the same keys."""

import jax
import jax.numpy as jnp
import pytest

from ferjax import models
from ferjax.data.pipeline.augment import example_keys
from ferjax.errors import UserError
from ferjax.random_streams import ExampleStream, Stream
from ferjax.training import experiment, sweep
from tests.helpers import tiny


def test_weights_centers_and_epochs_have_keys_of_their_own(data_dir, monkeypatch):
    """The keys that are drawn from, and those of which the keys of examples are made."""
    used = {}
    fold_in, normal = jax.random.fold_in, jax.random.normal

    def keep(name, key):
        if not isinstance(key, jax.core.Tracer):  # of a shape alone
            used[name] = key
        return key

    def drawn(key, *arguments):
        return normal(keep("centers", key), *arguments)

    def folded(key, number):
        return keep(f"fold {len(used)}", fold_in(key, number))

    run = experiment.build(tiny.config(data_dir, seed=3))
    with monkeypatch.context() as patched:
        patched.setattr(models, "initialize", lambda _, key: keep("weights", key))
        patched.setattr(jax.random, "normal", drawn)
        run.states.of(run.model(3))
        patched.setattr(jax.random, "fold_in", folded)
        for epoch in range(4):
            example_keys(3, jnp.int32(epoch), jnp.arange(2))
    assert {"weights", "centers"} < set(used)
    data = {name: tuple(jax.random.key_data(key).tolist()) for name, key in used.items()}
    drawn_from = {data.pop("weights"), data.pop("centers")}
    assert len(drawn_from) == 2 and not drawn_from & set(data.values())
    assert len(set(data.values())) >= 4


def test_the_streams_are_what_they_were():
    """A number that moved would give every run other random numbers."""
    assert {one.name: one.value for one in Stream} == {
        "INITIALIZATION": 0,
        "CENTERS": 1,
        "EXAMPLES": 2,
    }
    assert [one.name for one in ExampleStream] == [
        *("MOVE", "ERASE", "MODEL", "DESATURATE", "LABEL", "ZOOM", "JITTER", "MIXUP")
    ]
    assert [one.value for one in ExampleStream] == list(range(8))


@pytest.mark.parametrize("seed", [-1, 2**32, 2**32 + 5])
def test_seeds_that_would_repeat_others_are_refused(data_dir, seed):
    with pytest.raises(UserError, match=rf"^seed is {seed}; expected .* below 4294967296"):
        experiment.build(tiny.config(data_dir, f"attention=none,seed={seed}"))
    experiment.build(tiny.config(data_dir, f"attention=none,seed={2**32 - 1}"))


def test_several_seeds_are_refused_before_the_first_trains(data_dir, tmp_path):
    config = tiny.config(data_dir, seed=2**32 - 2)
    with pytest.raises(UserError, match=r"last seed of --seeds=3 is 4294967296"):
        sweep.run(config, str(tmp_path), num_seeds=3)
    assert not list(tmp_path.iterdir())
