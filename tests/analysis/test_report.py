"""The page about finished runs: its numbers are the files', and it leaves the test split alone."""

import dataclasses
import html.parser
import importlib.util
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import filesystem, main, models
from ferjax.analysis import damage
from ferjax.analysis.report import faces, facts, seen, write
from ferjax.analysis.saliency import Saliency
from ferjax.data import dataset
from ferjax.errors import UserError
from ferjax.inference.trained_model import TrainedModel
from ferjax.models import functional
from ferjax.training import loop
from tests.helpers import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with CBAM and centres."""
    made = tmp_path_factory.mktemp("report")
    fields = {"evaluation__test_views": ("single", "flip"), "train__num_epochs": 2}
    loop.train(tiny.config(made / "data", "", **fields), str(made / "island"))
    return made / "island"


@pytest.fixture(scope="module")
def page(run):
    """The text of its page, made without the test split."""
    load = dataset.Source.load

    def guarded(opened, split, **keywords):
        assert "test" not in split.split("+"), "the report read the test split"
        return load(opened, split, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset.Source, "load", guarded)
        return write.report([str(run)]).read_text()


class Reader(html.parser.HTMLParser):
    """Tables by caption, sections, and what the page would load."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.sources, self.tags = {}, [], []
        self._rows, self._cell, self._caption = [], None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.sources += [given[name] for name in ("src", "href", "xlink:href") if name in given]
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th", "caption"):
            self._cell = ""

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._rows[-1].append(self._cell)
        if tag == "caption":
            self._caption = self._cell
        if tag in ("td", "th", "caption"):
            self._cell = None
        if tag == "table":
            self.tables[self._caption] = self._rows


def percent(value):
    return f"{100 * value:.2f} %"


def test_every_score_is_that_of_result_json(run, page):
    result = json.loads((run / "result.json").read_text())
    found = Reader(page).tables
    rows = found["Test scores"][1:]
    assert len(rows) == 4
    for row in rows:
        _, view, group = row[0].split(", ")
        scores = result["test"][view][group]
        low, high = scores["intervals"]["accuracy"]
        assert row[1:] == [
            str(scores["num_examples"]),
            percent(scores["accuracy"]),
            f"{100 * low:.1f} to {100 * high:.1f} %",
            percent(scores["balanced_accuracy"]),
            percent(scores["macro_f1"]),
            percent(scores["top2_accuracy"]),
            f"{scores['loss']:.4f}",
            percent(scores["calibration_error"]),
            percent(scores["calibrated"]["calibration_error"]),
        ]
    scores = result["test"]["flip"]["test"]
    assert f"<b>{percent(scores['accuracy'])}</b>" in page
    for key in ("macro_f1", "balanced_accuracy"):
        low, high = scores["intervals"][key]
        assert f"<b>{percent(scores[key])}</b>" in page
        assert f"95 % interval {100 * low:.1f} to {100 * high:.1f} %" in page
    classes = found["island, flip, test"][1:]
    columns = zip(
        result["labels"],
        (str(sum(row)) for row in scores["confusion"]),
        *(map(percent, scores[f"per_class_{name}"]) for name in ("recall", "precision", "f1")),
        strict=True,
    )
    assert [tuple(row) for row in classes] == list(columns)
    matrix = found["island: confusion matrix in numbers"]
    assert matrix[0][1:] == result["labels"]
    assert [[int(cell) for cell in row[1:]] for row in matrix[1:]] == scores["confusion"]
    about = dict(row for row in found["island"][1:])
    assert about["fingerprint of the data"] == result["fingerprint"]
    assert about["selected epoch"].startswith(f"{result['selection']['epoch']} by validation")
    damaged = {row[0]: row[1:] for row in found["Accuracy on damaged images"][1:]}
    assert set(damaged) == {f"island, {kind.name}" for kind in damage.KINDS}
    # At most 700 images are damaged: here all of the split, in the view `single`.
    for values in damaged.values():
        assert values[0] == percent(result["selection"]["accuracy"])


def test_pictured_mistakes_are_those_of_the_kept_predictions(run, page):
    found = facts.read(str(run), "island")
    rows, labels = found.selected.probabilities["flip"], found.selected.label
    names = found.result["labels"]
    wrong = [at for at, row in enumerate(rows) if row.argmax() != labels[at]]
    wrong.sort(key=lambda at: -rows[at].max())
    start, end = page.index("surest mistakes"), page.index("closest calls")
    shown = re.findall(r'alt="([^"]*)"', page[start:end])
    assert len(shown) == min(12, len(wrong))
    for text, at in zip(shown, wrong, strict=False):
        first, second, *_ = np.argsort(-rows[at])
        assert text == (
            f"{names[labels[at]]}: {names[first]} {100 * rows[at, first]:.0f} %, "
            f"{names[second]} {100 * rows[at, second]:.0f} %"
        )


def test_the_page_loads_nothing_and_is_small(run, page):
    read = Reader(page)
    assert "script" not in read.tags and "link" not in read.tags
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in read.sources)
    assert "default-src 'none'" in page and len(page) < 3_000_000
    assert not re.search(r"url\((?!#)", page)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert "#123456" not in page and "currentColor" in page
    for name in ("curves", "confusion", "reliability", "embedding", "robustness", "gates"):
        assert (run / "report" / f"{name}.png").stat().st_size > 1000
        assert "<svg" in (run / "report" / f"{name}.svg").read_text()
    for section in ("scores", "curves", "classes", "calibration", "features", "mistakes"):
        assert f'<h2 id="{section}">' in page
    for section in ("looked", "robustness", "data", "made"):
        assert f'<h2 id="{section}">' in page


def copied(run, target):
    shutil.copytree(run, target, ignore=shutil.ignore_patterns("report"))
    return target


def test_a_collapsed_or_optimistic_run_says_so_first(run, tmp_path, monkeypatch):
    one = copied(run, tmp_path / "one")
    fields = json.loads((one / "result.json").read_text())
    fields["warnings"] = [
        {"kind": "collapsed", "epochs": [2], "message": "No better than <chance>."}
    ]
    fields["protocol"] = "optimistic"
    (one / "result.json").write_text(json.dumps(fields))
    shutil.rmtree(one / "checkpoints")  # so that it shows no images
    text = write.report([str(one), str(run)], str(tmp_path / "out")).read_text()
    first = text.index("one collapsed")
    assert first < text.index("one is optimistic") < text.index("balanced accuracy")
    assert "No better than &lt;chance&gt;." in text
    assert "one is not shown any images: " in text and '<h2 id="looked">' in text


def test_a_bucket_that_only_a_run_names_is_not_asked(run, tmp_path):
    one = copied(run, tmp_path / "one")
    config = json.loads((one / "config.json").read_text())
    own = config["dataset"]["data_dir"]
    config["dataset"]["data_dir"] = "gs://a-strangers-bucket/data"
    (one / "config.json").write_text(json.dumps(config))
    text = write.report([str(one)], str(tmp_path / "out")).read_text()
    assert "is not shown any images" in text and "in a bucket that you did not name" in text
    again = write.report([str(one)], str(tmp_path / "out"), data_dir=own).read_text()
    assert "is not shown any images" not in again


def test_two_runs_are_compared_and_their_disagreements_shown(run, tmp_path):
    """The same run twice has no differences."""
    again = copied(run, tmp_path / "again")
    text = write.report([str(run), str(again)], str(tmp_path / "out")).read_text()
    found = Reader(text).tables
    (row,) = found["Differences (flip, 35 images of test)"][1:]
    assert row[:3] == ["again", "open", "+0.00"]
    gains = found["Gain in recall against island"][1:]
    assert len(gains) == 7 and all(gain == "+0.00" for _, gain in gains)
    assert "island right, again wrong" in text


def test_what_is_missing_is_one_sentence(run, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="is not a run directory"):
        write.report([str(tmp_path / "nothing")])
    with pytest.raises(UserError, match="named twice"):
        write.report([str(run), str(run)])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--output"):
        write._write(filesystem.of(tmp_path / "file" / "x"), "index.html", b"")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    with pytest.raises(UserError, match=r"needs matplotlib: pip install -e '\.\[analysis\]'"):
        write.report([str(run)])


def test_a_disagreement_is_shown_under_who_is_right(run):
    found = facts.read(str(run), "one")
    labels, names = found.selected.label, found.result["labels"]
    right = np.eye(7, dtype=np.float32)[labels]
    wrong = right.copy()
    wrong[3] = np.roll(right[3], 1) * 0.75 + 0.25 * right[3]
    both = [
        dataclasses.replace(
            found,
            name=name,
            selected=dataclasses.replace(found.selected, probabilities={"flip": rows}),
        )
        for name, rows in (("one", right), ("other", wrong))
    ]
    shown, _ = seen.opened(both, None)
    (tile,) = faces.disagreements(shown["one"], shown["other"])
    assert tile["title"] == names[labels[3]]
    assert tile["said"] == f"one 100 %, other {names[(labels[3] + 1) % 7]} 75 %"
    assert faces.disagreements(shown["other"], shown["one"]) == []


def test_images_that_are_reported_are_not_shown(run):
    found = facts.read(str(run), "island")
    selected = dataclasses.replace(found.selected, split="validation+test")
    shown, said = seen.opened([dataclasses.replace(found, selected=selected)], None)
    assert not shown and "a page does not read the test split" in said[0]


def test_runs_with_other_classes_have_pages_of_their_own(run, tmp_path, monkeypatch):
    again = copied(run, tmp_path / "again")
    read = facts.read

    def renamed(workdir, name, *asked):
        found = read(workdir, name, *asked)
        if name == "island":
            return found
        labels = [label.upper() for label in found.result["labels"]]
        return dataclasses.replace(found, result={**found.result, "labels": labels})

    monkeypatch.setattr(facts, "read", renamed)
    with pytest.raises(UserError, match=r"again has the classes ANGRY.*island angry.*write one"):
        write.report([str(run), str(again)])


def test_a_split_of_two_images_has_a_page(data_dir, tmp_path):
    config = tiny.config(data_dir, train__num_epochs=1)
    config.dataset.options.update(num_validation=2, num_test=2)
    loop.train(config, str(tmp_path / "run"))
    shutil.rmtree(tmp_path / "run" / "tensorboard")  # of which a page needs nothing
    found = Reader(write.report([str(tmp_path / "run")], embedding="tsne").read_text())
    assert next(table for name, table in found.tables.items() if name.startswith("Images of"))[
        -1
    ] == ["all", "84", "2"]


def test_main_writes_the_page_once_and_never_fails_for_it(run, tmp_path, monkeypatch, capsys):
    one = copied(run, tmp_path / "one")
    made = []
    monkeypatch.setattr(
        write, "report", lambda folders, data_dir: made.append((folders, data_dir)) or "there"
    )
    main._write_report(str(tmp_path), None)  # a folder of runs
    assert "For a page about one of these runs" in capsys.readouterr().out
    main._write_report(str(one), "gs://mine")
    assert made == [([str(one)], "gs://mine")]
    assert "A page about this run: there" in capsys.readouterr().out
    (one / "report").mkdir()
    (one / "report" / "index.html").touch()
    main._write_report(str(one), None)
    assert len(made) == 1
    (one / "report" / "index.html").unlink()

    def failed(folders, data_dir):
        raise reason

    monkeypatch.setattr(write, "report", failed)
    for error, said in ((UserError("No room."), "No room."), (KeyError("x"), "KeyError: 'x'")):
        reason = error
        main._write_report(str(one), None)
        assert f"There is no page about this run: {said}" in capsys.readouterr().err
    monkeypatch.setattr(write, "missing", lambda: ["matplotlib"])
    main._write_report(str(one), None)
    assert "pip install -e '.[analysis]', then" in capsys.readouterr().out


def test_names_tell_runs_apart():
    assert facts.names(["runs/a", "runs/b/"]) == ["a", "b"]
    assert facts.names(["x/a/seed_0"]) == ["a/seed_0"]
    assert facts.names(["seed_0"]) == ["seed_0"]
    assert facts.names(["x/a/seed_0", "x/b/seed_0"]) == ["a/seed_0", "b/seed_0"]


def passed(trained, images):
    """Logits, features and intermediates of a forward pass."""

    @jax.jit
    def run(weights, images):
        with models.recording() as values:
            logits, features = functional.forward(
                trained.graphdef, weights, trained.spec.preprocessing(images)
            )
        return logits, features, values

    return run(trained.weights, jnp.asarray(images, jnp.float32))


def test_grad_cam_of_a_pooled_map_is_the_classifiers_weights(run):
    """Behind a mean over places and one layer, the gradient is the class's row of weights / h w."""
    trained = TrainedModel.load(run, config=None)
    saliency = Saliency(trained, trained.spec.native_shape)
    assert saliency.layer == "layer1"  # 8x8; the later ones have fewer places than a face needs
    images = np.random.default_rng(0).uniform(0, 255, (3, *trained.spec.native_shape))
    images = images.astype(np.float32)
    found = saliency(images)
    logits, features, values = passed(trained, images)
    np.testing.assert_array_equal(found.predicted, logits.argmax(axis=1))
    head = functional.merge_model(trained.graphdef, trained.weights).fc
    maps = np.asarray(values["layer4"])
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), features, rtol=1e-4, atol=1e-5)
    saliency = Saliency(trained, trained.spec.native_shape)
    saliency.layer = "layer4"
    cam = saliency(images).cam
    kernel = np.asarray(head.kernel[...])
    expected = np.maximum(np.einsum("bhwc,cb->bhw", maps, kernel[:, found.predicted]), 0)
    largest = expected.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(cam, expected / np.maximum(largest, 1e-12), rtol=1e-3, atol=1e-4)


def test_attention_is_that_of_the_forward_pass(run):
    trained = TrainedModel.load(run, config=None)
    images = np.random.default_rng(1).uniform(0, 255, (2, *trained.spec.native_shape))
    saliency = Saliency(trained, trained.spec.native_shape)
    found = saliency(images.astype(np.float32))
    gates = jax.jit(lambda weights, shown: saliency.gates(weights, shown, saliency.gated))(
        trained.weights, jnp.asarray(images, jnp.float32)
    )
    _, _, values = passed(trained, images)
    assert "layer1.0.cbam.spatial.gate" in found.attention
    assert "layer1.0.cbam.channel.gate" in saliency.gated
    gated = dict(zip(saliency.gated, gates, strict=True))
    for name, value in {**found.attention, **gated}.items():
        np.testing.assert_allclose(value, values[name], rtol=1e-4, atol=1e-5, err_msg=name)
