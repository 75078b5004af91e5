"""Checkpoints: what is kept, and what happens to one that is cut short."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.workdir import checkpoints

# A read that fails leaves callbacks of orbax's reading threads behind, which find its event loop
# closed; pytest would report them as the failure of whatever test runs next.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state(value):
    return {
        "kernel": jnp.full((64, 65), float(value)),
        "blocks": {0: jnp.arange(4) + value, 1: jnp.zeros((), jnp.int32)},
        "centers": None,
    }


@pytest.fixture
def saved(tmp_path):
    """Steps 1 to 3, of which the last two are kept, and the messages of the reader."""
    messages = []
    store = checkpoints.Checkpoints(tmp_path, report=messages.append)
    for number in (1, 2, 3):
        store.save("last", number, state(number), {"number": number})
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


def assert_is(restored, number):
    tree, meta = restored
    assert meta["number"] == number
    jax.tree.map(np.testing.assert_array_equal, tree, state(number))


def test_the_newest_comes_back_and_two_are_kept(saved):
    store, messages, folder = saved
    assert_is(store.restore("last", like()), 3)
    assert sorted(path.name for path in folder.iterdir() if path.name.isdigit()) == ["2", "3"]
    assert store.latest("last") == 3 and store.meta("last")["number"] == 3
    assert messages == []


def test_another_format_is_refused_as_such(saved):
    store, messages, folder = saved
    for step in ("2", "3"):
        (folder / step / "meta" / "metadata").write_text('{"format": 1}')
    for read in (lambda: store.meta("last"), lambda: store.restore("last", like())):
        with pytest.raises(UserError, match=r"step 3 in .* has format 1, .* reads format 3\. Use"):
            read()
    assert messages == []


def test_none_where_there_is_none(saved):
    assert saved[0].restore("best", like()) is None
    assert saved[0].meta("best") is None


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
        restored = store.restore("last", like())
        assert_is(restored, 2 if messages else 3)
        if messages:
            fallen_back += 1
            assert "checkpoint of step 3 cannot be read" in messages[0]
            assert "Using the last checkpoint of step 2 instead" in messages[1]
        path.write_bytes(content)
    assert fallen_back >= 3


def test_a_missing_file_falls_back_too(saved):
    store, messages, folder = saved
    for path in files_of(folder / "3" / "state"):
        path.unlink()
    assert_is(store.restore("last", like()), 2)
    assert messages


def test_no_readable_checkpoint_is_an_error(saved):
    store, _, folder = saved
    for number in "23":
        for path in files_of(folder / number / "state"):
            path.write_bytes(b"")
    with pytest.raises(UserError, match=r"No last checkpoint .* can be read: step 3: .*; step 2"):
        store.restore("last", like())


def test_a_repeated_step_replaces_what_was_there(saved):
    store, _, _ = saved
    store.save("last", 2, state(20), {"number": 20})
    store.wait()
    assert store.latest("last") == 2
    assert_is(store.restore("last", like()), 20)
