"""The one reader of `name=value` pairs."""

import pytest

from ferjax.cli.pairs import parse_pairs
from ferjax.errors import UserError


@pytest.mark.parametrize("pairs", [" a = 1,b,,c=", ["a=1", "b", "", "c="]])
def test_pairs_joined_or_one_by_one(pairs):
    assert parse_pairs("--set", pairs) == {"a": "1", "b": None, "c": ""}


def test_only_what_is_joined_is_split_and_only_at_the_first_equals_sign():
    assert parse_pairs("--set", ["a=[1, 2]", "b=c=d"]) == {"a": "[1, 2]", "b": "c=d"}


def test_a_name_that_is_given_twice_is_refused():
    with pytest.raises(UserError, match=r"^--set gives 'a' twice; give it once\.$"):
        parse_pairs("--set", "a=1,b=2,a=1")
