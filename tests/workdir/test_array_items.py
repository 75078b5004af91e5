"""What orbax raises over damaged arrays becomes a sentence; what else is raised stays itself."""

import pytest

from ferjax.workdir.array_items import Damaged, reading


def wrapped(cause):
    """An error as orbax 0.12 raises it for what it cannot read."""
    error = Exception("Encountered error while reading array index: ...")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("wrap", [lambda error: error, wrapped])
def test_what_damage_raises_is_told_by_its_first_line(wrap):
    said = r"arrays in weights cannot be read: ZSTD failed$"
    with pytest.raises(Damaged, match=said), reading("weights"):
        raise wrap(ValueError("ZSTD failed\nat byte 0"))


@pytest.mark.parametrize("error", [wrapped(None), wrapped(MemoryError()), MemoryError()])
def test_what_damage_does_not_raise_stays_as_it_is(error):
    with pytest.raises(type(error)) as raised, reading("weights"):
        raise error
    assert raised.value is error
