"""A run that does no better than class frequencies says so, once, and its result keeps it."""

import json
import math

import pytest

from ferjax.training import collapse, loop
from tests.helpers import tiny

COUNTS = (467, 56, 496, 895, 653, 415, 607)  # PublicTest of FER2013


def test_entropy():
    assert collapse.entropy([5, 5, 0]) == pytest.approx(math.log(2))
    assert collapse.entropy([3]) == 0.0
    expected = -sum(n / 3589 * math.log(n / 3589) for n in COUNTS)
    assert collapse.entropy(COUNTS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("epoch", "loss", "expected"),
    [
        (2, 1.79, True),  # the literal preset on FER2013, whose frequencies have 1.80
        (1, 1.79, False),  # every run is there at its start
        (2, 1.60, False),
        (9, math.nan, True),
    ],
)
def test_from_the_second_epoch_on(epoch, loss, expected):
    assert collapse.collapsed(epoch, loss, COUNTS) is expected


def test_one_class_alone_is_no_collapse():
    assert not collapse.collapsed(5, 0.0, [7])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"loss__center_reduction": "mean"}, "loss.weight=0.5 (lambda)"),
        ({"loss__name": "softmax"}, "optimizer.learning_rate=0.02"),
        ({"loss__center_reduction": "element"}, "optimizer.learning_rate"),
        ({"optimizer__weight_decay": 0.05}, "optimizer.weight_decay=0.05"),
    ],
)
def test_the_likely_cause_is_a_field(tmp_path, fields, named):
    said = collapse.explain(1.79, COUNTS, tiny.config(tmp_path, **fields))
    assert named in said and "\n" not in said


def test_a_run_that_does_not_learn_says_so_also_after_a_resume(data_dir, tmp_path, capsys):
    config = tiny.config(data_dir, "attention=none,loss=softmax", optimizer__learning_rate=0.0)
    workdir = tmp_path / "run"
    with tiny.stopped_while_writing(11), pytest.raises(loop.Interrupted):
        loop.train(config, str(workdir))
    assert capsys.readouterr().err.count("no better than class frequencies") == 1
    result = loop.train(config, str(workdir))
    assert "no better than class frequencies" not in capsys.readouterr().err
    (warning,) = json.loads((workdir / "result.json").read_text())["warnings"]
    assert warning == result["warnings"][0]
    assert warning["kind"] == "collapsed" and warning["epochs"] == [2, 3]
    assert "optimizer.learning_rate=0" in warning["message"]


def test_each_epoch_records_where_class_means_and_centres_lie(finished):
    workdir, _, _ = finished
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["kind"] == "epoch"][-1]
    assert 0.0 < last["validation_mean_pairwise_cosine"] <= 42.0 * 2
    assert 0.0 < last["validation_center_pairwise_cosine"] <= 42.0 * 2
    assert last["validation_between_within_variance"] > 0.0
    assert last["validation_center_offset"] > 0.0
