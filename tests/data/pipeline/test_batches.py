"""The order of the examples, the three placements, and exact passes."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from ferjax.data.examples import Examples
from ferjax.data.pipeline import batches, order
from ferjax.distributed import sharding
from ferjax.errors import UserError


def examples(count=23):
    rng = np.random.default_rng(0)
    return Examples(
        images=rng.integers(0, 256, (count, 6, 6, 1)).astype(np.uint8),
        labels=rng.integers(0, 7, count).astype(np.int32),
        keys=tuple(map(str, range(count))),
    )


def training_input(placement="host", seed=0, batch_size=5, sampling="uniform", data=None):
    return batches.TrainingInput(
        data or examples(),
        batch_size=batch_size,
        seed=seed,
        placement=placement,
        mesh=sharding.make_mesh(),
        sampling=sampling,
    )


def take(source, count):
    return [np.asarray(next(source).indices) for _ in range(count)]


def test_every_epoch_is_a_new_permutation_without_its_last_partial_batch():
    source = training_input()
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


@pytest.mark.parametrize("placement", ["host", "stream"])
@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_all_placements_give_the_same_batches(placement, sampling):
    gather = jax.jit(batches.gather)
    device = training_input("device", sampling=sampling)
    other = training_input(placement, sampling=sampling)
    for _ in range(6):
        one, two = next(device), next(other)
        for left, right in zip(gather(device.table, one), gather(None, two), strict=True):
            np.testing.assert_array_equal(left, right)
        np.testing.assert_array_equal(one.visits, two.visits)
        assert int(one.epoch) == int(two.epoch)
    device.close()
    other.close()


def test_streaming_goes_on_where_it_was_while_threads_are_ahead():
    source, again = training_input("stream"), training_input("stream")
    take(source, 6)
    again.seek(source.position)
    for _ in range(3):
        np.testing.assert_array_equal(next(source).indices, next(again).indices)
    source.close()
    again.close()


def test_targets_travel_with_their_examples():
    data = dataclasses.replace(examples(), targets=np.eye(7, dtype=np.float32)[examples().labels])
    for placement in batches.PLACEMENTS:
        source = training_input(placement, data=data)
        _, labels, targets = batches.gather(source.table, next(source))
        np.testing.assert_array_equal(np.argmax(targets, axis=1), labels)
        source.close()


def test_auto_streams_what_is_larger_than_the_limit():
    assert batches.choose_placement("auto", 3 << 20, 3) == "device"
    assert batches.choose_placement("auto", (3 << 20) + 1, 3) == "stream"
    assert batches.choose_placement("host", 9 << 20, 3) == "host"


@pytest.mark.parametrize("batch_size", [1, 5, 8, 23, 40])
@pytest.mark.parametrize("placement", batches.PLACEMENTS)
def test_evaluation_counts_every_example_once(batch_size, placement):
    data, seen = examples(), []
    for batch in batches.evaluation_batches(
        data,
        batch_size=batch_size,
        placement=placement,
        mesh=sharding.make_mesh(),
        groups={"test": np.ones(23, bool), "even": np.arange(23) % 2 == 0},
    ):
        counted = np.asarray(batch.groups["test"])
        seen += np.asarray(batch.indices)[counted].tolist()
        even = np.asarray(batch.indices)[np.asarray(batch.groups["even"])]
        assert (even % 2 == 0).all()
        if placement != "device":
            np.testing.assert_array_equal(batch.images, data.images[np.asarray(batch.indices)])
    assert seen == list(range(23))


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(UserError, match=r"batch_size is 64, .* only 23 examples"):
        training_input(batch_size=64)


def test_an_unknown_placement_is_refused():
    with pytest.raises(ValueError, match=r"placement is 'hots'"):
        training_input("hots")


def test_devices_and_processes_split_a_batch_into_contiguous_rows(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    monkeypatch.setattr(jax, "process_index", lambda: 2)
    assert batches.process_rows(32) == slice(16, 24)


def test_balanced_epochs_have_every_class_alike_and_repeat_as_late_as_they_can():
    labels = np.array([0] * 17 + [1] * 5 + [3] * 1, np.int32)
    leftovers = []
    for epoch in range(3):
        indices, visits = order.balanced_epoch(labels, 7, epoch)
        counts = np.bincount(labels[indices], minlength=4)
        assert sorted(counts.tolist()) == [0, 7, 8, 8] and counts[2] == 0
        leftovers.append(int(np.flatnonzero(counts == 7)[0]))
        assert len({*zip(indices.tolist(), visits.tolist(), strict=True)}) == 23
        seen = np.bincount(indices, minlength=23)
        assert set(seen[:17]) <= {0, 1} and set(seen[17:22]) <= {1, 2}
        assert visits[indices == 22].tolist() != [] and sorted(visits[indices == 22]) == list(
            range(seen[22])
        )
    assert len(set(leftovers)) == 3, "another class is short in each epoch"
    again, _ = order.balanced_epoch(labels, 7, 0)
    np.testing.assert_array_equal(again, order.balanced_epoch(labels, 7, 0)[0])
    assert not np.array_equal(again, order.balanced_epoch(labels, 7, 1)[0])


def test_an_unknown_sampling_is_refused():
    with pytest.raises(ValueError, match=r"sampling is 'balance'"):
        order.training_order(np.zeros(23, np.int32), 5, seed=0, sampling="balance")
