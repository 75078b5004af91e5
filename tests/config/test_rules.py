"""What a rule says is what it checks."""

import math

import pytest

from ferjax.config.rules import Choice, Field, Flag, Items, NameOrNumbers, Number, Text, like
from ferjax.errors import UserError

SHARES = Items(Number(above=0, below=1), lengths=(2,), ascending=True)
WEIGHTS = NameOrNumbers(("none", "balanced"), Number(least=0, most=10))


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (Number(least=0, below=1), "a number of at least 0 and below 1"),
        (Number(above=0, most=10, whole=True), "a whole number above 0 and at most 10"),
        (Number(), "a number"),
        (Choice((1, 3)), "one of 1, 3"),
        (Choice(lambda: ("", "imagenet")), 'one of "", imagenet'),
        (SHARES, "2 values, each a number above 0 and below 1, the smaller first"),
        (
            Items(Choice(("a", "b")), lengths=(1, 2), distinct=True),
            "1 or 2 values, each one of a, b, none of them twice",
        ),
        (Items(Text()), "any number of values, each a text"),
        (
            WEIGHTS,
            "none, balanced, or numbers joined by +, each a number of at least 0 and at most 10",
        ),
    ],
)
def test_a_rule_in_words(rule, allowed):
    assert rule.allowed == allowed


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (Number(least=0, below=1), (0, 0.0, 0.999)),
        (Number(above=0, most=1), (1e-9, 1, 1.0)),
        (Number(whole=True), (-(10**400), 0)),
        (Choice(("a", 3)), ("a", 3)),
        (SHARES, ((0.1, 0.1), [0.1, 0.2])),
        (WEIGHTS, ("none", "balanced", "1+0+2.5", "3")),
        (Flag(), (True, False)),
        (like(None), ("text",)),
        (like(("a", "b")), (("c",), ())),
    ],
)
def test_what_fits(rule, values):
    for value in values:
        rule.check("it", value)


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        (Number(least=0), math.nan, "it is nan; expected a number of at least 0."),
        (Number(), math.inf, "it is inf; expected a number."),
        (Number(above=0), 0, "it is 0; expected a number above 0."),
        (Number(below=1), 1.0, "it is 1.0; expected a number below 1."),
        (Number(whole=True), 2.0, "it is 2.0; expected a whole number."),
        (Number(), True, "it is True; expected a number."),
        (Choice((1, 3)), True, "it is True; expected one of 1, 3."),
        (Choice((1, 3)), 1.0, "it is 1.0; expected one of 1, 3."),
        (Choice(("sgd", "adam")), "sdg", "it is 'sdg'; expected one of sgd, adam. Did you mean"),
        (SHARES, (0.1, math.nan), "it[1] is nan; expected a number above 0 and below 1."),
        (SHARES, (0.2, 0.1), "it is (0.2, 0.1); expected 2 values, each"),
        (SHARES, (0.2,), "it is (0.2,); expected 2 values, each"),
        (SHARES, 0.2, "it is 0.2; expected 2 values, each"),
        (WEIGHTS, "balance", "it is 'balance'; expected none, balanced, or numbers"),
        (WEIGHTS, "1+nan", "it[1] is nan; expected a number of at least 0"),
        (WEIGHTS, "11+1", "it[0] is 11.0; expected a number of at least 0 and at most 10."),
        (WEIGHTS, "0+0", "it is '0+0'; expected a number above 0 among them."),
        (like(3), 3.5, "it is 3.5; expected a whole number."),
        (like(0.5), math.nan, "it is nan; expected a number."),
        (like(False), 0, "it is 0; expected True or False."),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(rule, value, message):
    with pytest.raises(UserError) as error:
        rule.check("it", value)
    assert str(error.value).startswith(message)


def test_a_field_says_what_it_is():
    field = Field(0.5, Number(least=0, most=1), "the probability of the mirror image")
    with pytest.raises(UserError) as error:
        field.check("augment.flip", 2.0)
    assert str(error.value) == (
        "augment.flip is 2.0; expected a number of at least 0 and at most 1. It is the probability "
        "of the mirror image."
    )
