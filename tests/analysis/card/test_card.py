"""Model cards: their figures are those of an evaluation, and their text tells them."""

import copy
import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest

import ferjax
from ferjax import evaluate
from ferjax.analysis.card import figures as measured
from ferjax.analysis.card import tables, text, write
from ferjax.data import catalog
from ferjax.data.dataset import open_dataset
from ferjax.evaluation.checkpoint_scores import FinishedRun
from ferjax.inference import packed
from ferjax.inference.shipped import manifest
from ferjax.models import __main__ as listing
from ferjax.models import pack
from ferjax.workdir.directory import RunDirectory


@pytest.fixture(scope="module")
def written(finished, tmp_path_factory):
    """(file, figures, card) of the shrunk run."""
    file = tmp_path_factory.mktemp("packed") / "mine.safetensors"
    places = write.pack(str(finished[0]), str(file), dtype="float32")
    assert [place.name for place in places] == ["mine.safetensors", "mine.json", "mine.md"]
    return file, json.loads(places[1].read_text()), places[2].read_text()


def test_the_figures_are_those_of_an_evaluation_of_the_run(written, finished, run_main):
    _, figures, _ = written
    code, out, _ = run_main(evaluate, f"--workdir={finished[0]}", "--tta=single,flip", "--json=-")
    expected = json.loads(out)["scores"]
    assert code == 0 and list(figures["scores"]) == list(expected) == ["single", "flip"]
    for view, groups in expected.items():
        assert set(figures["scores"][view]) == set(groups) == {"test", "test_clean"}
        for group, metrics in groups.items():
            found = figures["scores"][view][group]
            assert found["confusion"] == metrics["confusion"], (view, group)
            for name in ("accuracy", "calibration_error", "loss"):
                assert found[name] == pytest.approx(metrics[name], abs=1e-5), (view, group, name)
            assert found["calibrated"]["loss"] == pytest.approx(
                metrics["calibrated"]["loss"], abs=1e-4
            )


def test_the_kept_predictions_and_the_parts_are_of_the_packed_file(written, data_dir, finished):
    file, figures, _ = written
    options = finished[1].dataset.options.to_dict()
    test = open_dataset("synthetic", data_dir, **options).load("test")
    kept = np.array(figures["predictions"]["single"].split(), int)
    shown = ferjax.load(file).predict_arrays(np.asarray(test.images[:])).probabilities
    np.testing.assert_array_equal(shown.argmax(axis=1), kept)
    right = kept == test.labels
    assert right.mean() == pytest.approx(figures["scores"]["single"]["test"]["accuracy"])
    found, lost, dark, light = figures["parts"]
    assert found["images"] + lost["images"] == len(kept)
    assert found["hits"] + lost["hits"] == right.sum()
    grey = np.asarray(test.images[:], np.float64).mean(axis=(1, 2, 3))
    assert dark["hits"] == right[grey <= np.quantile(grey, 0.25)].sum()
    assert light["hits"] == right[grey >= np.quantile(grey, 0.75)].sum()
    assert figures["damage"]["noise"]["accuracy"][0] == pytest.approx(right.mean())
    assert figures["file"]["bytes"] == file.stat().st_size


def test_the_weights_that_are_tested_are_the_packed_ones(finished, tmp_path, monkeypatch):
    tested = []

    def measured(run, *_):
        tested.append(run.trained)
        raise InterruptedError

    monkeypatch.setattr(write.figures, "measure", measured)
    with pytest.raises(InterruptedError):
        write.pack(str(finished[0]), str(tmp_path / "mine.safetensors"))
    for weight in jax.tree.leaves(tested[0].weights.params):
        np.testing.assert_array_equal(weight, weight.astype("bfloat16").astype("float32"))


def test_the_card_tells_the_figures_and_where_nothing_lies(written, finished, data_dir):
    file, figures, card = written
    metrics = figures["scores"]["flip"]["test_clean"]
    low, high = (100 * end for end in metrics["intervals"]["accuracy"])
    told = f"| `flip` | `test_clean` | {metrics['num_examples']} | {100 * metrics['accuracy']:.1f} "
    assert f"{told}({low:.1f} to {high:.1f})" in card
    for title in (
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ):
        assert f"\n## {title}\n" in card, title
    assert figures["file"]["sha256"] in card and "must not be used" in card
    for place in (finished[0], data_dir, file.parent):  # folders of this machine
        assert str(place) not in card and str(place) not in json.dumps(figures)


def test_a_run_without_its_framing_is_measured(finished):
    """As those of older versions: it is packed all the same, and its faces are measured now."""
    run = FinishedRun.open(RunDirectory(finished[0]), finished[1], "best")
    spec = run.trained.spec
    trained = dataclasses.replace(run.trained, spec=dataclasses.replace(spec, framing=None))
    made = write._framed(dataclasses.replace(run, trained=trained), None)
    assert made.trained.spec.framing == spec.framing


def test_weak_classes_optimism_and_names_of_users_are_told(written):
    _, figures, card = written
    assert "OPTIMISTIC" not in card and "trained on drawn faces" in card
    labels = ["a|b", "c*d", *figures["labels"][2:]]
    metrics = dict(figures["scores"]["single"]["test"])
    number = len(labels)
    metrics["confusion"] = (5 * np.eye(number, dtype=int)).tolist()
    metrics["confusion"][0] = [2, 0, 8, *[0] * (number - 3)]
    metrics["per_class_recall"] = [0.2, *[1.0] * (number - 1)]
    scores = {**figures["scores"], "single": {"test": metrics}}
    changed = {**figures, "labels": labels, "scores": scores}
    changed |= {"protocol": "optimistic", "remark": "OPTIMISTIC: for a test"}
    made = text.markdown("my_model", changed)
    assert "It finds less than six in ten of a\\|b (20.0 %)." in made
    row = next(line for line in made.splitlines() if line.startswith("| a\\|b | 10 |"))
    assert row.endswith(f"{labels[2]} (80.0) |")
    assert made.startswith("# Model card: my\\_model\n\n**OPTIMISTIC: for a test**\n")
    assert "`my_model.json` has them all" in " ".join(made.split())


def test_what_a_run_started_from_is_told_without_its_folder(written, finished):
    _, figures, _ = written
    inner = {"weights": "/home/me/r50.pth", "sha256": "ab" * 32, "loaded": "/home/me/r50.pth: 3"}
    origin = {
        "weights": "/home/me/runs/first",
        "dataset": "raf_db",
        "loaded": "The weights of /home/me/runs/first: 3 arrays.",
        "departures": ["/home/me/r50.pth: x"],
        "started_from": [inner],
    }
    result = {
        **{name: figures["training"][name] for name in ("paper", "seed", "selection", "finished")},
        "departures": ["/home/me/runs/first: budget=cpu", "own"],
        "started_from": [origin],
    }
    run = FinishedRun.open(RunDirectory(finished[0]), finished[1], "best")
    found = measured._training(run, result)
    assert "/home" not in json.dumps(found)
    assert found["departures"] == ["first: budget=cpu", "own"]
    changed = {**figures, "training": {**figures["training"], **found}}
    card = " ".join(text.markdown("mine", changed).split())
    assert "it started from the run `first`, trained on RAF-DB (licence: For research" in card
    assert f"; which started from the file `r50.pth`, SHA-256 `{'ab' * 32}`, whose terms" in card


def test_a_model_that_trains_nothing_says_so(written):
    _, figures, card = written
    assert "of 3 was selected on the validation split" in " ".join(card.split())
    selection = {**figures["training"]["selection"], "epoch": 0}
    changed = {**figures, "training": {**figures["training"], "selection": selection}}
    made = " ".join(text.markdown("mine", changed).split())
    assert "It trains nothing of its own." in made and "Epoch 0" not in made


def test_a_config_and_those_of_its_trunks_name_no_folder(finished):
    inner, outer = (copy.deepcopy(finished[1].to_dict()) for _ in range(2))
    inner["trunks_from"], outer["stages"] = ("/home/me/r18",), {"resnet18": inner}
    found = measured._placeless(outer)
    assert finished[1].dataset.data_dir not in json.dumps(found)
    assert "/home" not in json.dumps(found)
    assert found["stages"]["resnet18"]["model"] == found["model"]


def test_the_images_that_selected_are_those_of_the_protocol(written):
    _, figures, card = written
    assert "21 images of the validation split selected its epoch" in " ".join(card.split())
    selection = {**figures["training"]["selection"], "split": "test"}
    changed = {**figures, "training": {**figures["training"], "selection": selection}}
    made = " ".join(text.markdown("mine", changed).split())
    assert "35 images of the test split selected its epoch" in made


def test_a_card_that_was_changed_is_not_replaced(finished, tmp_path, run_main, written):
    for name in ("mine.json", "mine.md"):
        shutil.copy(written[0].with_name(name), tmp_path)
    flags = (f"--workdir={finished[0]}", f"--output={tmp_path}/mine.safetensors")
    code, _, err = run_main(pack, *flags, "--nocard")
    assert code == 2 and "Beside --output lies mine.json and mine.md, which would be of" in err
    code, _, _ = run_main(pack, *flags)  # as the command made them
    assert code == 0 and json.loads((tmp_path / "mine.json").read_text())["file"]["dtype"]
    with open(tmp_path / "mine.md", "a") as file:
        file.write("My own words.\n")
    code, _, err = run_main(pack, *flags)
    assert code == 2 and "or one that was changed since" in err
    (tmp_path / "mine.json").write_text("{}")
    assert run_main(pack, *flags)[0] == 2
    assert (tmp_path / "mine.md").read_text().endswith("My own words.\n")


@pytest.mark.parametrize("name", ["a", "a`b", "``", "a_b*"])
def test_names_stand_in_code_as_they_are(name):
    made = tables.code(name)
    fence = re.match("`+", made)[0]
    assert made.endswith(fence) and fence not in made[len(fence) : -len(fence)].strip(" ") + " "
    assert made[len(fence) : -len(fence)].strip() == name


def test_every_data_set_is_described():
    assert set(text.about_data()) == set(catalog.DATASETS)
    for one in text.about_data().values():
        assert set(one) == {"shows", "labels", "people", "licence"}


def test_what_cannot_be_packed_is_refused_before_any_work(finished, tmp_path, run_main):
    (tmp_path / "mine.md").mkdir()
    unfinished = tmp_path / "run"
    shutil.copytree(finished[0], unfinished)
    (unfinished / "result.json").unlink()
    for run, file, said in (
        (finished[0], "mine.bin", "expected the name of a file ending in .safetensors"),
        (finished[0], "mine.safetensors", "mine.md"),
        (unfinished, "a.safetensors", "the run has not ended"),
    ):
        code, _, err = run_main(pack, f"--workdir={run}", f"--output={tmp_path}/{file}")
        assert code == 2 and said in err, err
    flags = (f"--workdir={finished[0]}", f"--output={tmp_path}/a.safetensors", "--dtype=int8")
    code, _, err = run_main(pack, *flags)
    assert code == 2 and "--dtype is 'int8'; expected one of bfloat16, float32" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.md", "run"]


def test_without_a_card_the_model_comes_alone(finished, tmp_path, run_main):
    file = tmp_path / "mine.safetensors"
    code, out, _ = run_main(pack, f"--workdir={finished[0]}", f"--output={file}", "--nocard")
    assert code == 0 and f"--model={file}" in out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]
    assert packed.unpack(file.read_bytes(), file).spec.labels == tuple(finished[2]["labels"])


def test_the_models_that_ferjax_carries_have_cards_of_their_figures(run_main):
    for one in manifest.entries().values():
        if one.kind != "model":
            continue
        figures = json.loads(one.card.with_suffix(".json").read_text())
        assert text.markdown(one.name, figures) == one.card.read_text()
        assert figures["file"]["sha256"] == one.sha256
        code, out, _ = run_main(listing, f"--card={one.name}")
        assert code == 0 and out.strip() == one.card.read_text().strip()
    code, _, err = run_main(listing, "--card=yunet")
    assert code == 2 and "There is no model 'yunet'" in err
    code, out, _ = run_main(listing)
    assert code == 0 and re.search(r"fer2013-small.*carried", out)
