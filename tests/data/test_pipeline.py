"""The order of the examples, the two placements, and exact passes."""

import itertools

import jax
import numpy as np
import pytest

from ferjax import sharding
from ferjax.data import pipeline
from ferjax.data.examples import Examples
from ferjax.errors import UserError


def examples(count=23):
    rng = np.random.default_rng(0)
    return Examples(
        images=rng.integers(0, 256, (count, 6, 6, 1)).astype(np.uint8),
        labels=rng.integers(0, 7, count).astype(np.int32),
        keys=tuple(map(str, range(count))),
    )


def training_input(placement="host", seed=0, batch_size=5):
    return pipeline.TrainingInput(
        examples(),
        batch_size=batch_size,
        seed=seed,
        placement=placement,
        mesh=sharding.make_mesh(),
    )


def take(source, count):
    return [np.asarray(next(source).indices) for _ in range(count)]


def test_every_epoch_is_a_new_permutation_without_its_last_partial_batch():
    source = training_input()
    assert source.steps_per_epoch == 4
    epochs = [np.concatenate(take(source, 4)) for _ in range(3)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 20
    assert not np.array_equal(epochs[0], epochs[1])
    assert set(epochs[0].tolist()) != set(epochs[1].tolist()), "the dropped examples change"
    source.close()


def test_order_depends_on_the_seed_alone():
    same = [np.concatenate(take(training_input(seed=3), 6)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], np.concatenate(take(training_input(seed=4), 6)))


def test_batches_know_their_epoch():
    epochs = [int(next_batch.epoch) for next_batch in itertools.islice(training_input(), 9)]
    assert epochs == [0] * 4 + [1] * 4 + [2]


@pytest.mark.parametrize("position", [0, 3, 4, 7])
def test_seek_continues_after_the_batches_delivered(position):
    source, again = training_input(), training_input()
    take(source, position)
    again.seek(source.position)
    first, second = next(source), next(again)
    np.testing.assert_array_equal(first.indices, second.indices)
    assert int(first.epoch) == int(second.epoch) == position // 4


def test_both_placements_give_the_same_batches():
    gather = jax.jit(pipeline.gather)
    device, host = training_input("device"), training_input("host")
    for _ in range(6):
        for one, other in zip(
            gather(device.table, next(device)), gather(host.table, next(host)), strict=True
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("batch_size", [1, 5, 8, 23, 40])
@pytest.mark.parametrize("on_host", [True, False])
def test_evaluation_counts_every_example_once(batch_size, on_host):
    data, seen = examples(), []
    for batch in pipeline.evaluation_batches(
        data,
        batch_size=batch_size,
        on_host=on_host,
        mesh=sharding.make_mesh(),
        groups={"test": np.ones(23, bool), "even": np.arange(23) % 2 == 0},
    ):
        counted = np.asarray(batch.groups["test"])
        seen += np.asarray(batch.indices)[counted].tolist()
        even = np.asarray(batch.indices)[np.asarray(batch.groups["even"])]
        assert (even % 2 == 0).all()
        if on_host:
            np.testing.assert_array_equal(batch.images, data.images[np.asarray(batch.indices)])
    assert seen == list(range(23))


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(UserError, match=r"batch_size is 64, .* only 23 examples"):
        training_input(batch_size=64)


def test_an_unknown_placement_is_refused():
    with pytest.raises(UserError, match=r"placement is 'hots'.*Did you mean 'host'"):
        training_input("hots")


def test_devices_and_processes_split_a_batch_into_contiguous_rows(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    monkeypatch.setattr(jax, "process_index", lambda: 2)
    assert pipeline.process_rows(32) == slice(16, 24)
