"""The argument of a config."""

import pytest

from ferjax.config.arguments import Argument, check_count, parse
from ferjax.errors import UserError

ARGUMENTS = {
    "loss": Argument("island", ("softmax", "center", "island")),
    "lambda": Argument(None, type=float, only={"loss": ("center", "island")}),
    "preset": Argument(None, type=str, only={"lambda": (None,)}),
    "seed": Argument(0),
    "literal": Argument(False),
    "pairs": Argument(False, only={"loss": ("island",)}),
    "trunks": Argument(("resnet18", "resnet34"), ("resnet18", "resnet34", "vgg11")),
}


def test_defaults_and_values():
    assert parse(None, ARGUMENTS)["loss"] == "island"
    values = parse("loss=center, lambda=0.1,seed=3,literal,trunks=vgg11+resnet18", ARGUMENTS)
    assert values == {
        "loss": "center",
        "lambda": 0.1,
        "preset": None,
        "seed": 3,
        "literal": True,
        "pairs": False,
        "trunks": ("vgg11", "resnet18"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("los=softmax", "Unknown config argument 'los'; the arguments are loss, .*'loss'"),
        ("loss=sofmax", "loss is 'sofmax'; expected one of .* Did you mean 'softmax'"),
        ("trunks=vgg11+vgg12", "trunks is 'vgg12'; expected .*'vgg11'"),
        ("seed=x", "seed is 'x'; expected a whole number"),
        ("lambda=x", "lambda is 'x'; expected a number"),
        ("literal=maybe", "literal is 'maybe'; expected true or false"),
        ("seed=1,seed=2", "gives 'seed' twice"),
        ("seed", "'seed' needs a value"),
        ("seed=", "seed= has an empty value; leave it out"),
        ("trunks=vgg11+", r"trunks=vgg11\+ has an empty value"),
        ("lambda=1,loss=softmax", "'lambda' would do nothing beside loss=softmax: it needs loss=c"),
        ("pairs,loss=center", "'pairs' would do nothing beside loss=center: it needs loss=island"),
        ("preset=a,lambda=1", "'preset' would do .* lambda=1.0: give 'preset' or 'lambda', not b"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(text, message):
    with pytest.raises(UserError, match=message):
        parse(text, ARGUMENTS)


def test_a_list_of_another_length_is_refused():
    check_count("trunks", ("a", "b"), 2)
    with pytest.raises(UserError, match=r"trunks='a' has 1 entries; expected 2 here, as in trunks"):
        check_count("trunks", ("a",), 2)
