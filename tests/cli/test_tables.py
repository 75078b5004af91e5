"""Result tables hold the numbers and fit a pipe of 80 columns."""

import io

import pytest
from rich.console import Console

from ferjax.cli.tables import class_table, confusion_table, print_tables, score_table, seed_table
from ferjax.metrics import Metrics, mean_sd_ci

NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def metrics(accuracy=0.6725, present=0.6512):
    return Metrics(
        num_examples=49231,
        accuracy=accuracy,
        loss=1.0342,
        macro_f1=0.6512,
        macro_f1_present=present,
        per_class_recall=[0.1 * i for i in range(7)],
        per_class_precision=[0.4321] * 7,
        per_class_f1=[0.3] * 7,
        confusion=[[1000 + 10 * i + j for j in range(7)] for i in range(7)],
    )


def printed(*tables):
    out = io.StringIO()
    print_tables(*tables, console=Console(file=out, width=80))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    return text


def line_of(text, start, number=0):
    """The words of a line that starts with this one."""
    return [line.split() for line in text.splitlines() if line.split()[:1] == [start]][number]


def test_macro_f1_of_the_classes_present_stands_where_it_is_another():
    scores = {"single": {"test": metrics(), "ck_plus": metrics(present=0.7597)}}
    text = " ".join(printed(score_table(scores)).split())
    assert "Over the classes that have examples it is: single, ck_plus 75.97 %" in text
    assert "single, test" not in text
    assert "examples" not in printed(score_table({"single": {"test": metrics()}}))


def test_a_score_of_each_view_and_split_has_a_row():
    scores = {
        "single": {"test": metrics(0.6725), "test_clean_near": metrics(0.6611)},
        "ten_crop": {"test": metrics(1.0)},
    }
    scores["ten_crop"]["test"]["confusion"] = [
        [49231 * (i == j == 0) for j in range(7)] for i in range(7)
    ]
    text = printed(score_table(scores))
    # Wilson's interval of the counts on the diagonal, 7231 of 49231.
    shown = ["49231", "67.25", "%", "14.4", "to", "15.0", "%", "65.12", "%", "1.0342"]
    assert line_of(text, "single", 0) == ["single", "test", *shown]
    shown[1] = "66.11"
    assert line_of(text, "single", 1) == ["single", "test_clean_near", *shown]
    shown[1:6] = ["100.00", "%", "100.0", "to", "100.0"]
    assert line_of(text, "ten_crop") == ["ten_crop", "test", *shown]


def test_classes():
    text = printed(class_table(NAMES, metrics()))
    # Wilson's interval of the counts: 1022 of 7161.
    row = ["fear", "7161", "20.00", "%", "13.5", "to", "15.1", "%", "43.21", "%", "30.00", "%"]
    assert line_of(text, "fear") == row


def test_intervals_of_few_examples():
    confusion = [[3, 0], [0, 0]]
    one = metrics() | {"confusion": confusion, "num_examples": 3, "accuracy": 1.0}
    rates = {f"per_class_{name}": [1.0, 0.0] for name in ("recall", "precision", "f1")}
    text = printed(class_table(("[b]happy[/b]", "sad"), one | rates))
    # The lower end is n / (n + 1.96^2) where all n are hits.
    assert line_of(text, "[b]happy[/b]")[2:8] == ["100.00", "%", "43.9", "to", "100.0", "%"]
    assert line_of(text, "sad") == ["sad", "0", "-", "-", "-", "-"]
    assert "accuracy 100.00 % of 3, 95 % interval 43.9 to 100.0 %" in text


@pytest.mark.parametrize(
    "confusion, shown",
    [
        ([[2, 0], [3, 0]], ["-", "0.00", "%"]),  # never predicted
        ([[2, 3], [0, 0]], ["0.00", "%", "-"]),  # no examples, but predicted
    ],
)
def test_a_rate_that_is_not_defined_is_a_dash(confusion, shown):
    one = metrics() | {"confusion": confusion, "num_examples": 5}
    rates = {f"per_class_{name}": [0.5, 0.0] for name in ("recall", "precision", "f1")}
    text = printed(class_table(("happy", "sad"), one | rates))
    assert line_of(text, "sad")[-3:] == shown
    assert line_of(text, "happy")[-4:] == ["50.00", "%", "50.00", "%"]


EIGHT = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


@pytest.mark.parametrize("names", [NAMES, EIGHT])
def test_confusion_matrix_holds_every_count(names):
    confusion = [[1000 * i + j for j in range(len(names))] for i in range(len(names))]
    text = printed(confusion_table(names, confusion))
    row = names.index("surprise")
    expected = ["surprise", *(str(1000 * row + j) for j in range(len(names)))]
    assert line_of(text, "surprise") == expected


def test_seeds():
    text = printed(seed_table({"accuracy": mean_sd_ci([0.66, 0.67, 0.68])}, "test"))
    assert line_of(text, "accuracy") == [
        "accuracy",
        "3",
        "67.00",
        "%",
        "1.00",
        "%",
        "64.52",
        "%",
        "to",
        "69.48",
        "%",
    ]


def test_an_interval_of_a_fraction_ends_at_one():
    text = printed(seed_table({"accuracy": mean_sd_ci([0.99, 0.92])}, "test"))
    assert "51.03 % to 100.00 %" in text
