"""Flags given to `audit`, `benchmark` and `aot`."""

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage
from tests.measure.bad_inputs.shared import TINY

_LABELS = "data/image_folder/mine/2.0.0/label.labels.txt"


def _audit(*more, dataset="image_folder"):
    return lambda stage: ("audit", f"--dataset={dataset}", "--options=name=mine", *more)


def _into_a_file(stage: Stage):
    made.text(stage.here / "x")
    return _audit("--output=x")(stage)


def _escapes(stage: Stage):
    stage.data()
    made.text(stage.here / _LABELS, "\x1b]0;x\x07[/b]\nsad\n")
    return _audit("--data_dir=data")(stage)


def _tiny(command, *more):
    return lambda stage: (command, TINY[0], *more)


CASES = [
    Case("audit.good", "a good data set", _audit("--output=made"), code=0, says=["audit.html"]),
    Case("audit.1", "no such data set", _audit(dataset="evil"), says=["there is no data set"]),
    Case(
        "audit.2",
        "--min_contrast=nan",
        _audit("--min_contrast=nan"),
        says=["--min_contrast is nan; expected a number of at least 0 and at most 255"],
    ),
    Case(
        "audit.3", "--min_contrast=-1", _audit("--min_contrast=-1"), says=["--min_contrast is '-1'"]
    ),
    Case("audit.4", "--output is a file", _into_a_file, says=["x (it is a file", "with --output"]),
    Case("audit.8", "--max_groups=-1", _audit("--max_groups=-1"), says=["--max_groups is '-1'"]),
    Case(
        "tfds.audit_esc",
        "an audit of classes with escapes of a terminal",
        _escapes,
        code=0,
        says=[r"\x1b]0;x\x07[/b]", "audit.html"],
    ),
    Case(
        "bench.2",
        "an unknown placement",
        _tiny("benchmark", "--placements=evil"),
        says=["placement", "expected one of device, host, stream"],
    ),
    Case(
        "bench.1",
        "--steps=0",
        _tiny("benchmark", "--steps=0"),
        says=["--steps is '0'", "of at least 1"],
    ),
    Case(
        "aot.1",
        "an unknown target",
        _tiny("aot", "--target=evil"),
        says=["--target: there is no 'evil'", "v5e:2x2"],
    ),
    Case(
        "aot.7",
        "--num_classes=0",
        _tiny("aot", "--target=v5e:2x2", "--num_classes=0"),
        says=["--num_classes is '0'", "of at least 2"],
    ),
]
