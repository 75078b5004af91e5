"""What the JSON files of a run directory must hold to be read (see `stored_json`).

`training.result` and the README of this folder say what the fields of result.json mean. Those that
are NotRequired here are missing in a result of an older version.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from ferjax.stored_json import Count, Labels, Object, Sha256, Share, Unfit, between, whole

_LOSS = Annotated[float, between(-1, 1e30)]  # rounded probabilities may be a little above 1


class Calibrated(TypedDict):
    """Metrics after a temperature."""

    loss: _LOSS
    calibration_error: Share


class Scores(TypedDict):
    """Metrics of one view of one group of examples."""

    num_examples: Annotated[int, whole(1)]
    accuracy: Share
    balanced_accuracy: NotRequired[Share]
    macro_f1: Share
    macro_f1_present: NotRequired[Share]
    per_class_recall: list[Share]
    per_class_precision: list[Share]
    per_class_f1: list[Share]
    confusion: list[list[Count]]
    loss: _LOSS
    top2_accuracy: NotRequired[Share]
    calibration_error: NotRequired[Share]
    intervals: NotRequired[dict[str, list[_LOSS]]]
    calibrated: NotRequired[Calibrated]


class Selected(TypedDict):
    """The epoch that validation selected."""

    split: str
    view: str
    accuracy: Share
    epoch: Count
    step: Count


class Training(TypedDict):
    """The selected epoch in training."""

    epoch: Count
    loss: float
    accuracy: Share


class Origin(TypedDict):
    """One source of weights that a run started from: a run, or a file with its SHA-256 alone."""

    weights: str
    loaded: NotRequired[str]
    fresh: NotRequired[list[str]]
    sha256: NotRequired[str]
    dataset: NotRequired[str]
    fingerprint: NotRequired[str]
    options: NotRequired[Object]
    protocol: NotRequired[Literal["honest", "optimistic"]]
    departures: NotRequired[list[str]]
    started_from: NotRequired[list[Origin]]


class Failure(TypedDict):
    """What went wrong and was said."""

    kind: str
    message: str


class Cost(TypedDict):
    """What a run took."""

    train_seconds: Annotated[float, between(0, 1e12)]
    images_per_second: Annotated[float, between(0, 1e12)]


class StoredPredictions(TypedDict):
    """Where the predictions for a split are, in the run directory."""

    file: str
    sha256: Sha256


Temperatures = dict[str, Annotated[float, between(1e-3, 1e3)]]


class Last(TypedDict):
    """The last epoch of a run."""

    epoch: Count
    step: Count
    temperature: NotRequired[Temperatures]
    predictions: NotRequired[dict[str, StoredPredictions]]


Tested = dict[str, dict[str, Scores]]


class Made(TypedDict):
    """With what a result was made; a reader shows it and needs none of it."""

    parameters: NotRequired[Count]
    versions: NotRequired[dict[str, str]]
    machine: NotRequired[Object]
    finished: NotRequired[str]


class Result(Made):
    """The result.json of one run."""

    format: Literal[1, 2]
    paper: str
    seed: Annotated[int, whole(0, 2**32 - 1)]
    dataset: str
    options: Object
    fingerprint: str
    labels: Labels
    protocol: Literal["honest", "optimistic"]
    departures: NotRequired[list[str]]
    started_from: NotRequired[list[Origin]]
    selection: Selected
    training: NotRequired[Training | None]
    test: Tested
    temperature: NotRequired[Temperatures]
    predictions: NotRequired[dict[str, StoredPredictions]]
    last: NotRequired[Last]
    test_last: NotRequired[Tested]
    warnings: NotRequired[list[Failure]]
    num_steps: Count
    cost: Cost


class Row(TypedDict):
    """One row of metrics.jsonl; a number that was not finite is null."""

    kind: Literal["train", "epoch"]
    step: Count
    epoch: NotRequired[Annotated[int, whole(0)]]
    loss: NotRequired[float | None]
    accuracy: NotRequired[float | None]
    validation_accuracy: NotRequired[float | None]
    optimistic_accuracy: NotRequired[float | None]


class Meta(TypedDict):
    """The JSON object of a checkpoint in format 4; who reads spec and progress checks them."""

    format: Literal[4]
    spec: Object
    progress: Object
    sha256: dict[str, str]


class Mark(TypedDict):
    """The file .processes."""

    token: str


class Holder(TypedDict):
    """The marker of who works in a remote folder."""

    id: str
    host: str
    pid: int
    started: str
    beat: int


ROUNDING = 1e-4  # of what another machine computed in float32


def check_scores(result: Any) -> None:
    """Checks that the scores of a `Result` are of its classes, and that there are some.

    Raises:
      Unfit: they are not.
    """
    number = len(result["labels"])
    for test in ("test", "test_last"):
        if test not in result:
            continue
        if not result[test] or not all(result[test].values()):
            raise Unfit(f"has {test} without scores, expected those of a view and a group")
        for view, groups in result[test].items():
            for group, scores in groups.items():
                _check_sizes(scores, number, f"{test}.{view}.{group}")


def _check_sizes(scores: Any, number: int, path: str) -> None:
    names = ("per_class_recall", "per_class_precision", "per_class_f1", "confusion")
    for name in names:
        rows = [scores[name], *(scores[name] if name == "confusion" else ())]
        for row in rows:
            if len(row) != number:
                raise Unfit(
                    f"has {len(row)} values in {path}.{name}, expected {number}, one for each of "
                    "its labels"
                )
    counted = sum(map(sum, scores["confusion"]))
    if counted != scores["num_examples"]:
        raise Unfit(
            f"has {counted:,} images in {path}.confusion, expected its num_examples, "
            f"{scores['num_examples']:,}"
        )
    right = sum(row[number] for number, row in enumerate(scores["confusion"]))
    if abs(scores["accuracy"] - right / max(counted, 1)) > ROUNDING:
        raise Unfit(
            f"has {scores['accuracy']} in {path}.accuracy, expected {right / max(counted, 1):.6f}, "
            "the share of its confusion"
        )
