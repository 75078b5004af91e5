"""Several runs together: numbers that can be checked by hand."""

import json

import pytest

from ferjax.evaluation import summaries


def result(confusion, seed=0):
    hits, total = sum(confusion[i][i] for i in range(2)), sum(map(sum, confusion))
    numbers = {
        "accuracy": hits / total,
        "macro_f1": 0.5,
        "macro_f1_present": 0.25 + seed,
        "loss": 1.0 + seed,
        "confusion": confusion,
    }
    return {
        "paper": "sun2021",
        "dataset": "ck_plus",
        "fingerprint": "f",
        "protocol": "honest",
        "seed": seed,
        "test": {"single": {"test": numbers}},
    }


def test_macro_f1_of_the_classes_present(capsys):
    # Two of three classes; nobody is taken for the third. F1 of 2/3 and 4/5.
    confusion = [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    runs = [result(confusion, 0), result(confusion, 1)]
    summary = summaries.summarise("fold", [0, 1], runs)
    assert summary["test"]["single"]["test"]["macro_f1_present"]["mean"] == pytest.approx(0.75)
    pooled = summary["pooled"]["single"]["test"]
    assert pooled["macro_f1_present"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert pooled["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 3)
    summaries.print_summary(summary)
    assert "48.89 % macro-F1 (73.33 % of the classes present)" in " ".join(
        capsys.readouterr().out.split()
    )
    del runs[0]["test"]["single"]["test"]["macro_f1_present"]  # a run of an older version
    older = summaries.summarise("fold", [0, 1], runs)["test"]["single"]["test"]
    assert "macro_f1_present" not in older and older["macro_f1"]["mean"] == 0.5


FOLDS = [result([[3, 1], [0, 0]]), result([[1, 0], [4, 3]])]


def test_folds_have_a_mean_and_what_they_say_together():
    summary = summaries.summarise("fold", [0, 1], FOLDS)
    accuracy = summary["test"]["single"]["test"]["accuracy"]
    assert accuracy["mean"] == pytest.approx((0.75 + 0.5) / 2)
    assert accuracy["sd"] == pytest.approx(0.25 / 2**0.5)
    assert accuracy["ci95"] is None, "folds share their training images"
    pooled = summary["pooled"]["single"]["test"]
    assert pooled["confusion"] == [[4, 1], [4, 3]] and pooled["num_examples"] == 12
    assert pooled["accuracy"] == pytest.approx(7 / 12)
    assert json.loads(json.dumps(summary)) == summary


def test_seeds_of_folds_are_means_of_means(capsys):
    folds = [summaries.summarise("fold", [0, 1], FOLDS) for _ in range(3)]
    folds[1]["test"]["single"]["test"]["accuracy"]["mean"] = 0.725
    summary = summaries.summarise("seed", [0, 1, 2], folds)
    accuracy = summary["test"]["single"]["test"]["accuracy"]
    assert accuracy["mean"] == pytest.approx((0.625 + 0.725 + 0.625) / 3)
    assert accuracy["n"] == 3 and accuracy["ci95"] is not None and "pooled" not in summary
    summaries.print_summary(summary)
    assert "over seeds 0, 1, 2" in capsys.readouterr().out


def test_folds_are_printed_with_all_images_together(capsys):
    summaries.print_summary(summaries.summarise("fold", [0, 1], FOLDS))
    text = capsys.readouterr().out
    assert "62.50 %" in text and "17.68 %" in text
    assert "58.33 % accuracy" in text and "of 12 images" in text


def test_last_epochs_are_summed_up_apart(capsys):
    folds = [
        {**fold, "test_last": result(confusion)["test"]}
        for fold, confusion in zip(FOLDS, ([[2, 2], [0, 0]], [[1, 0], [0, 7]]), strict=True)
    ]
    summary = summaries.summarise("fold", [0, 1], folds)
    assert summary["test"] == summaries.summarise("fold", [0, 1], FOLDS)["test"]
    last = summary["test_last"]["single"]["test"]["accuracy"]
    assert last["mean"] == pytest.approx(0.75) and last["ci95"] is None
    assert summary["pooled_last"]["single"]["test"]["accuracy"] == pytest.approx(10 / 12)
    summaries.print_summary(summary)
    text = capsys.readouterr().out
    assert "folds 0, 1, last epochs" in text and "together, last epochs" in text
    # Not of a part of the runs.
    assert "test_last" not in summaries.summarise("fold", [0, 1], [folds[0], FOLDS[1]])


def test_optimistic_folds_say_so(capsys):
    folds = [{**fold, "protocol": "optimistic"} for fold in FOLDS]
    summaries.print_summary(summaries.summarise("fold", [0, 1], folds))
    assert capsys.readouterr().out.count("OPTIMISTIC") == 2


def test_a_group_that_one_run_lacks_is_not_summed_up():
    folds = [result([[3, 1], [0, 0]]), result([[1, 0], [4, 3]])]
    folds[0]["test"]["single"]["test_clean"] = folds[0]["test"]["single"]["test"]
    summary = summaries.summarise("fold", [0, 1], folds)
    assert list(summary["test"]["single"]) == list(summary["pooled"]["single"]) == ["test"]
