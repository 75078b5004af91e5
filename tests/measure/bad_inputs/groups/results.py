"""result.json and metrics.jsonl of a run folder, damaged, then the command of the run."""

from tests.helpers import strangers as made
from tests.helpers.edited import GONE
from tests.measure.bad_inputs import damaged_runs
from tests.measure.bad_inputs.case import Case

_FIX = "restore it from a copy, or remove it: the command of the run makes it again"
_RESULTS = {
    "r_list": ("[1, 2]", "holds [1, 2], expected an object"),
    "r_int": ("5", "holds 5, expected an object"),
    "r_trunc": ('{"format": ', "is damaged (Expecting value"),
    "r_empty": ("{}", "has no field 'format', expected 1"),
    "r_null": ("null", "holds null, expected an object"),
    "r_deep": (damaged_runs.DEEP_LIST, "is damaged (nested deeper than 64 levels)"),
}
_FIELDS = {
    "r_confusion": (
        "test/single/test/confusion",
        [["x", "y"], [0, 0]],
        'has test.single.test.confusion[0][0] = "x", expected a whole number',
    ),
    "r_no_test": ("test", GONE, "has no field 'test', expected an object"),
    "r_labels": ("labels", ["x", "x"], 'has labels = ["x", "x"], expected class names'),
}
_FIX_LINE = "the file is damaged: remove that line, or start in a new workdir"
_GOOD = damaged_runs.line(kind="train", step=1, loss=1.0)
_LINES = {
    "j_garbage": ("garbage\n", 1, "found 'garbage', which is damaged"),
    "j_bin": (bytes(range(9)) + b"\n", 1, "which is damaged"),
    "j_kindlist": (
        damaged_runs.line(kind=["a"], step=1),
        1,
        'has kind = ["a"], expected "train" or "epoch"',
    ),
    "j_nan": (_GOOD + '{"kind": "train", "step": NaN}\n', 2, "NaN is no number of JSON"),
    "j_nan_loss": (_GOOD + '{"kind": "train", "step": 2, "loss": NaN}\n', 2, "NaN is no number"),
    "j_list": ("[1,2]\n", 1, "found '[1,2]', which holds [1, 2], expected an object"),
    "j_deep": (damaged_runs.DEEP_LIST + "\n", 1, "nested deeper than 64 levels"),
    "j_back": (
        damaged_runs.line(kind="train", step=5) + _GOOD,
        2,
        "has step = 1, expected more than 5",
    ),
    "j_long": ("x" * (2 << 20) + "\n", 1, "which is damaged"),
    "j_epoch": (
        damaged_runs.line(kind="epoch", step=8, loss=1.0),
        1,
        "has no field 'epoch', expected a whole number",
    ),
    "j_true": (
        damaged_runs.line(kind="epoch", step=True),
        1,
        "has step = true, expected a whole number",
    ),
}
_OTHERS = {"j_dir": made.folder, "j_fifo": made.fifo, "j_socket": made.a_socket}
_KINDS = {"j_dir": "it is a folder", "j_fifo": "it is a FIFO", "j_socket": "it is a socket"}

CASES = [
    *(
        Case(
            f"res.{name}",
            f"result.json holds {content[:20]}",
            damaged_runs.train(damaged_runs.file("result.json", content)),
            says=["run/result.json", said, _FIX],
        )
        for name, (content, said) in _RESULTS.items()
    ),
    *(
        Case(
            f"res.{name}",
            f"result.json: {path} is {'missing' if value is GONE else value}",
            damaged_runs.train(damaged_runs.fields("result.json", (path, value))),
            says=["run/result.json", said, _FIX],
        )
        for name, (path, value, said) in _FIELDS.items()
    ),
    Case(
        "res.r_over",
        "result.json is that of several runs",
        damaged_runs.train(damaged_runs.file("result.json", '{"over": "seed"}')),
        says=["run is a folder of several runs", "name one of them, or another workdir"],
    ),
    *(
        Case(
            f"res.{name}",
            f"metrics.jsonl: {said}; no result.json",
            damaged_runs.train(damaged_runs.file("metrics.jsonl", content), finished=False),
            says=[f"run/metrics.jsonl, line {number}: found", said, _FIX_LINE],
        )
        for name, (content, number, said) in _LINES.items()
    ),
    *(
        Case(
            f"res.{name}",
            f"metrics.jsonl: {_KINDS[name]}; no result.json",
            damaged_runs.train(damaged_runs.replaced("metrics.jsonl", make), finished=False),
            says=[f"run/metrics.jsonl cannot be read ({_KINDS[name]}", "restore it from a copy"],
        )
        for name, make in _OTHERS.items()
    ),
    Case(
        "res.j_missing",
        "no row in metrics.jsonl, no result.json: it is written without, and this is said",
        damaged_runs.train(damaged_runs.file("metrics.jsonl", ""), finished=False),
        code=0,
        says=["run/metrics.jsonl lacks the rows of 16 steps and 2 epochs: they are lost"],
    ),
    Case(
        "res.j_no_epochs",
        "only rows of steps in metrics.jsonl, no result.json: it is written without, and said so",
        damaged_runs.train(
            damaged_runs.file(
                "metrics.jsonl",
                "".join(damaged_runs.line(kind="train", step=step) for step in range(1, 17)),
            ),
            finished=False,
        ),
        code=0,
        says=["run/metrics.jsonl lacks the rows of 2 epochs: they are lost"],
    ),
]
