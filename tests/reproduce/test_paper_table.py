"""A paper's table by one command: planned, trained, stopped, resumed, compared and written."""

import json
import re

import numpy as np
import pytest

from ferjax.config import papers
from ferjax.errors import Interrupted, UserError
from ferjax.evaluation import finished_runs, intervals
from ferjax.metrics import mean_sd_ci
from ferjax.reproduce import __main__ as command
from ferjax.reproduce import cost, paper_report, paper_results, paper_runs, paper_training
from ferjax.reproduce.paper_runs import Settings
from ferjax.training import loop
from ferjax.workdir.directory import RunDirectory
from ferjax.workdir.predictions import Predictions
from tests.helpers import tiny

TABLE5 = papers.table("sun2021/table5")
SMALL = (
    "model.name=resnet10",
    "model.width=8",
    "model.image_size=16",
    "model.attention=none",
    "dataset.options.image_size=16",
    "dataset.options.num_train=42",
    "dataset.options.num_validation=21",
    "dataset.options.num_test=35",
    "optimizer.warmup_epochs=0.0",
    "train.num_epochs=1",
    "train.batch_size=14",
    "evaluation.batch_size=14",
    "evaluation.test_views=['single', 'flip']",
)


@pytest.fixture(autouse=True)
def in_repository(repository, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(repository)  # configs are found from there
    monkeypatch.setenv("FERJAX_DATA_DIR", str(tmp_path_factory.getbasetemp() / "data"))


def small(workdir, **fields):
    return Settings(str(workdir), ("synthetic",), num_seeds=2, assignments=SMALL, **fields)


def names(planned, role="row"):
    return [one.row.name for one in planned if one.role == role]


@pytest.mark.parametrize("key", papers.tables())
def test_every_table_can_be_planned_without_data_or_weights(key, capsys, tmp_path):
    flags = command.FLAGS
    given = ["reproduce", f"--table={key}", f"--workdir={tmp_path / 'w'}", "--dry_run"]
    run(flags, given)
    text = capsys.readouterr().out
    table = papers.table(key)
    for row in table.rows:
        assert row.title in text and (row.is_context or row.name in text)
        for one in row.printed:
            assert f"{one.value:g}" in text
    assert re.search(r"\d+ runs, 0 min to come without tests, and \d+ runs whose time is not", text)
    assert not (tmp_path / "w").exists()


def run(flags, given):
    """The command with these flags, which are taken back."""
    try:
        command.main(flags(given))
    finally:
        flags.unparse_flags()
        for name in flags:
            flags[name].unparse()


def test_a_rate_gives_the_time(capsys, tmp_path):
    given = ["reproduce", "--table=sun2021/table1", "--dataset=fer2013", "--seeds=2"]
    given += ["--budget=cpu", "--images_per_second=100", f"--workdir={tmp_path}", "--dry_run"]
    run(command.FLAGS, given)
    seconds = 6 * 36 * (28709 // 128 * 128) / 100
    assert f"6 runs, {seconds / 3600:.1f} h to come without tests." in capsys.readouterr().out


def test_seeds_folds_trunks_and_folders(tmp_path):
    folds = paper_runs.plan(TABLE5, Settings(str(tmp_path), ("ck_plus",), num_seeds=2))
    runs = [run for one in folds if one.row.name == "center" for run in one.runs]
    assert len(runs) == 20
    assert runs[13].folder == tmp_path / "sun2021/ck_plus/center/seed_1/fold_3"
    assert (runs[13].config.seed, runs[13].config.dataset.options.fold) == (1, 3)
    fusion = papers.table("tran2023/table2")
    settings = Settings(str(tmp_path), num_seeds=2, arguments="from_scratch")
    planned = paper_runs.plan(fusion, settings)
    assert names(planned, "needed") == ["resnet18", "resnet34", "vgg13"]
    assert "joint_vgg13_resnet34" in names(planned, "compared")
    (one,) = (each for each in planned if each.row.name == "attention_vgg13_resnet34")
    where = tmp_path / "tran2023/raf_db"
    expected = tuple(str(where / name / "seed_1") for name in ("vgg13", "resnet34"))
    assert one.runs[1].config.trunks_from == expected and not one.lacks
    assert one.runs[1].config.optimizer.learning_rate == 1e-3  # as trunks from scratch have it
    order = [each.row.name for each in planned]
    assert order.index("vgg13") < order.index("attention_vgg13_resnet34")
    (fewer,) = (
        paper_runs.plan(fusion, Settings(str(tmp_path), rows=("attention_vgg13_resnet34",))),
    )
    assert names(fewer) == ["attention_vgg13_resnet34"]
    assert sorted(names(fewer, "needed")) == ["resnet34", "vgg13"]


def test_weights_are_taken_from_a_folder_or_named(tmp_path):
    table = papers.table("tran2023/table1")
    rows = ("late_vgg11_resnet34",)
    with pytest.raises(UserError, match="--weights is nothing, and no folder is there"):
        paper_runs.plan(table, Settings(str(tmp_path / "w"), weights="nothing"))
    (tmp_path / "vgg11-8a719046.safetensors").touch()
    settings = Settings(str(tmp_path / "w"), rows=rows, weights=str(tmp_path))
    found = {
        one.row.name: one for one in paper_runs.plan(table, settings) if one.role != "compared"
    }
    config = found["vgg11"].runs[0].config
    assert config.init_from == str(tmp_path / "vgg11-8a719046.safetensors")
    assert config.optimizer.learning_rate == 1e-4 and not found["vgg11"].lacks
    assert "resnet34-b627a593.pth: name their folder with --weights" in found["resnet34"].lacks
    assert found["late_vgg11_resnet34"].lacks == "its trunk resnet34 cannot be trained"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"arguments": "seed=3"}, "--arguments names seed, which differs between the runs"),
        ({"arguments": "lss=center"}, "lss"),
        ({"arguments": "loss=center"}, "gives 'loss' twice"),
        ({"datasets": ("fer",)}, "--dataset is 'fer'; expected"),
        ({"datasets": ("fer2013", "fer2013")}, "--dataset names fer2013 twice"),
        ({"rows": ("islands",)}, "--rows is 'islands'; expected.*Did you mean 'island'"),
        ({"view": "flop"}, "--view is 'flop'; expected"),
        ({"assignments": ("train.num_epochs=0",)}, r"^Row 'cbam' of sun2021/table5: train.num_ep"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, said):
    with pytest.raises(UserError, match=said):
        paper_runs.plan(TABLE5, Settings(str(tmp_path), **settings))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "Give --table=PAPER/TABLE"),
        (["--table=sun2021/table5", "--study=x.toml"], "one of them"),
        (["--table=sun2021/table9"], "The paper's table is 'sun2021/table9'.*Did you mean"),
        (["--study=x.toml", "--workdir=w", "--seeds=2"], "--seeds is about --table"),
        (["--study=x.toml"], "--study needs --workdir"),
        (["--table=sun2021/table5", "--images_per_second=9"], "add --dry_run"),
    ],
)
def test_flags_that_cannot_be_are_refused(given, said):
    with pytest.raises(UserError, match=said):
        run(command.FLAGS, ["reproduce", *given])


def test_a_table_is_trained_stopped_resumed_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    settings = small(tmp_path / "w")
    planned = paper_runs.plan(TABLE5, settings)
    with tiny.stopped_while_writing(1), pytest.raises(Interrupted):
        paper_training.train(planned)
    begun = []
    train = loop.train

    def counted(config, workdir):
        begun.append(workdir)
        return train(config, workdir)

    monkeypatch.setattr(paper_training, "train_run", counted)
    left_out = []
    reasons = paper_training.train(planned)
    assert reasons == {} and len(begun) == 6
    (found,) = paper_results.collect(
        TABLE5, planned, view="flip", reasons=reasons, on_left_out=left_out.append
    )
    results = {
        one.row.name: [RunDirectory(run.folder).result() for run in one.runs] for one in planned
    }
    for row in found.rows:
        scores = [one["test"]["flip"]["test"] for one in results[row.planned.row.name]]
        mean = sum(one["accuracy"] for one in scores) / 2
        assert row.measured["accuracy"]["mean"] == pytest.approx(mean)
        assert row.confusion.sum(axis=1) == pytest.approx(1.0)
        assert not row.reason and row.runs.seeds == (0, 1) and row.printed == ()
    pairs = [(one.lower, one.higher) for one in found.orderings]
    assert pairs == [("cbam", "center"), ("center", "island"), ("cbam", "island")]
    gain = found.rows[2].measured["accuracy"]["mean"] - found.rows[0].measured["accuracy"]["mean"]
    assert found.orderings[2].compared.accuracy == pytest.approx(gain)
    assert all(one.holds in ("holds", "reversed", "open") for one in found.orderings)
    places = paper_report.write(TABLE5, [found], settings)
    fields, text = json.loads(places[0].read_text()), places[1].read_text()
    assert fields["datasets"][0]["rows"][1]["measured"]["accuracy"]["n"] == 2
    assert (
        "| Res18 + CBAM, center loss |" in text and "Not as in the paper: dataset=synthetic" in text
    )
    assert "Set for every row: model.name=resnet10, model.width=8" in text
    paper_report.show(TABLE5, [found], settings)
    assert "What the paper orders (synthetic, flip)" in capsys.readouterr().out
    # The rates of these runs are those of the next ones, and nothing is left to come.
    costs = cost.expected(planned)
    assert all(one.is_done and one.seconds == 0.0 for one in costs)
    assert left_out == []
    changed = paper_runs.plan(
        TABLE5, Settings(settings.workdir, ("synthetic",), 1, assignments=(*SMALL[:-1],))
    )
    (other,) = paper_results.collect(
        TABLE5, changed, view="flip", reasons={}, on_left_out=left_out.append
    )
    assert all(row.runs is None and row.reason == "not run" for row in other.rows)
    assert "holds the run of another config (evaluation.test_views" in left_out[0]


def test_what_cannot_run_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    settings = Settings(str(tmp_path / "w"), ("synthetic", "raf_db"), 1, assignments=SMALL[:4])
    planned = paper_runs.plan(TABLE5, settings)
    trained = []

    def train(config, workdir):
        trained.append(config.loss.name)
        if config.loss.name == "center":
            raise UserError("Loss, gradient or parameters are not finite after step 3.")

    monkeypatch.setattr(paper_training, "train_run", train)
    monkeypatch.setattr(
        paper_training, "open_dataset", lambda name, *_, **__: _absent() if name == "raf_db" else 1
    )
    reasons = paper_training.train(planned)
    assert trained == ["softmax", "center", "island"]
    assert reasons["synthetic", "center"].endswith(
        "center/seed_0: Loss, gradient or parameters are not finite after step 3."
    )
    assert all("not there: RAF-DB is" in reasons["raf_db", one] for one in ("cbam", "island"))


def _absent():
    raise UserError("RAF-DB is not prepared.")


LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def test_confusion_in_row_percent_with_the_gain_of_each_class(tmp_path):
    """Table 4 has the printed recalls of island, and our gain over softmax."""
    table = papers.table("sun2021/table4")
    planned = paper_runs.plan(table, Settings(str(tmp_path), ("fer2013",), 1))
    assert names(planned) == ["island"] and names(planned, "needed") == ["cbam"]
    shares = {"island": 0.6, "cbam": 0.5}
    rows = tuple(result_of(one, shares[one.row.name]) for one in planned)
    found = paper_results.DatasetResult(table, "fer2013", "single", rows, ())
    (island,) = (row for row in rows if row.planned.role == "row")
    made = paper_report.confusion_table(found, island)
    assert made.columns[-2:] == ["printed recall", "gain over cbam"]
    assert made.rows[0] == ("angry", "60.0", *["6.7"] * 6, "66.57", "+10.0")
    tables = paper_report.text_tables(found)
    assert len(tables) == 2 and tables[1].title == made.title


def result_of(planned, recall):
    """A row whose classes all have this recall."""
    tested = Predictions(
        split="test",
        labels=LABELS,
        fingerprint="",
        images="",
        subjects=(),
        index=np.arange(1, dtype=np.int32),
        label=np.zeros(1, np.int32),
        probabilities={"single": np.full((1, 7), 1 / 7, np.float32)},
        groups={"test": np.ones(1, bool)},
    )
    run = finished_runs.Run(planned.runs[0].config, {"cost": {"train_seconds": 60.0}}, tested)
    runs = finished_runs.FinishedRuns(planned.row.name, (0,), ((run,),))
    shares = np.full((7, 7), (1 - recall) / 6)
    np.fill_diagonal(shares, recall)
    measured = {name: mean_sd_ci([recall]) for name in paper_results.ALWAYS}
    printed = planned.row.printed
    return paper_results.RowResult(planned, printed, runs, measured, None, None, shares, 0, "")
