"""Checkpoints: what is kept, and what happens to one that is cut short."""

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from ferjax.errors import UserError
from ferjax.workdir import checkpoint_files, checkpoints, digests
from tests.helpers.stored import State


def state(value):
    weights = {"kernel": jnp.full((64, 65), float(value)), "blocks": {0: jnp.arange(4) + value}}
    return State(weights, {"step": jnp.int32(value), "centers": None, "momentum": jnp.ones(65)})


@pytest.fixture
def saved(tmp_path):
    """Steps 1 to 3, of which the last two are kept, and the messages of the reader."""
    messages = []
    store = checkpoints.Checkpoints(tmp_path, report=messages.append)
    for number in (1, 2, 3):
        store.save_last(number, state(number), {"name": "spec"}, {"number": number})
    store.wait()
    yield store, messages, tmp_path / "checkpoints" / "last"
    store.close()


def like():
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0])
        ),
        state(0),
    )


def assert_is(restored, number, value=None):
    tree, about = restored
    assert about.spec == {"name": "spec"} and about.progress == {"number": number}
    jax.tree.map(np.testing.assert_array_equal, tree, state(number if value is None else value))


def test_the_newest_comes_back_and_two_are_kept(saved):
    store, messages, folder = saved
    assert_is(store.restore(like()), 3)
    assert sorted(path.name for path in folder.iterdir() if path.name.isdigit()) == ["2", "3"]
    assert store.latest("last") == 3
    assert messages == []


def test_another_format_is_refused_as_such(saved):
    store, messages, folder = saved
    for step in ("2", "3"):
        (folder / step / "meta" / "metadata").write_text('{"format": 1}')
    message = r"step 3 in .* has format 1, .* reads formats 3 and 4\. Use"
    with pytest.raises(UserError, match=message):
        store.restore(like())
    with pytest.raises(UserError, match=message):
        checkpoint_files.newest(folder.parents[1], "last")
    assert messages == []


def test_none_where_there_is_none(saved):
    store, _, folder = saved
    assert checkpoint_files.newest(folder.parents[1], "best") is None
    store.drop_later("last", 0)
    assert store.restore(like()) is None


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def test_a_checkpoint_cut_short_falls_back_to_the_one_before_and_says_so(saved):
    """Whichever file is cut, either nothing is lost or the checkpoint before it is used."""
    store, messages, folder = saved
    fallen_back = 0
    for path in files_of(folder / "3"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        messages.clear()
        restored = store.restore(like())
        assert_is(restored, 2 if messages else 3)
        if messages:
            fallen_back += 1
            assert "checkpoint of step 3 cannot be read" in messages[0]
            assert "Using the last checkpoint of step 2 instead" in messages[1]
        path.write_bytes(content)
    assert fallen_back >= 3


def test_a_missing_file_falls_back_too(saved):
    store, messages, folder = saved
    for path in files_of(folder / "3" / "weights"):
        path.unlink()
    assert_is(store.restore(like()), 2)
    assert messages


def test_no_readable_checkpoint_is_an_error(saved):
    store, messages, folder = saved
    for number in "23":
        for path in files_of(folder / number / "training"):
            path.write_bytes(b"")
    with pytest.raises(UserError, match=r"No last checkpoint .* can be read: step 3: .*; step 2"):
        store.restore(like())
    (said,) = messages  # there is none before step 2 to try
    assert "step 3 cannot be read (its file training/_METADATA is damaged" in said


def test_a_repeated_step_replaces_what_was_there(saved):
    store, _, _ = saved
    store.save_last(2, state(20), {"name": "spec"}, {"number": 20})
    store.wait()
    assert store.latest("last") == 2
    assert_is(store.restore(like()), 20)


def flipped(path):
    """The file with one bit of its middle changed."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_changed_byte_is_never_taken_for_the_state_that_was_saved(saved):
    """Wherever it is: what comes back is step 3 to the bit, or step 2 with a message."""
    store, messages, folder = saved
    refused = set()
    for path in files_of(folder / "3"):
        content = path.read_bytes()
        flipped(path)
        messages.clear()
        restored = store.restore(like())
        assert_is(restored, 2 if messages else 3)
        if messages:
            refused.add(path.relative_to(folder / "3").parts[0])
        path.write_bytes(content)
    assert refused >= {"weights", "training", "meta"}


def with_changed(checkpoint, item, change):
    """Rewrites the arrays of an item with another value, as a careful hand could."""
    reader = ocp.StandardCheckpointer()
    tree = reader.restore(checkpoint / item)
    reader.save(checkpoint / item, jax.tree.map(change, tree), force=True)
    reader.wait_until_finished()
    reader.close()


def test_other_arrays_than_those_that_were_saved_are_refused(saved):
    store, _, folder = saved
    with_changed(folder / "3", "weights", lambda leaf: leaf + 1)
    with pytest.raises(UserError, match=r"weights do not have the SHA-256 .* restore the folder"):
        checkpoint_files.newest(folder.parents[1], "last").weights(like().weights)
    assert_is(store.restore(like()), 2)
    with_changed(folder / "2", "training", lambda leaf: leaf * 2)
    with pytest.raises(UserError, match=r"step 2: its arrays in training do not have the SHA-256"):
        store.restore(like())


def test_another_description_than_what_was_saved_is_refused(saved):
    _, _, folder = saved
    file = folder / "3" / "meta" / "metadata"
    file.write_text(file.read_text().replace('"spec"}', '"spic"}'))
    with pytest.raises(UserError, match=r"its description does not have the SHA-256"):
        checkpoint_files.newest(folder.parents[1], "last")


def test_a_digest_is_of_values_types_shapes_and_paths():
    tree = {"a": jnp.arange(4.0), "b": jnp.zeros(())}
    same = {"b": np.zeros((), np.float32), "a": np.arange(4, dtype=np.float32)}
    assert digests.of_arrays(tree) == digests.of_arrays(same)
    others = [
        {"a": jnp.arange(4.0), "c": jnp.zeros(())},
        {"a": jnp.arange(4.0).reshape(2, 2), "b": jnp.zeros(())},
        {"a": jnp.arange(4.0), "b": -jnp.zeros(())},
        {"a": jnp.arange(4), "b": jnp.zeros(())},
    ]
    assert len({digests.of_arrays(other) for other in [tree, *others]}) == 5
