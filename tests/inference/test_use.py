"""Using a finished run: load, evaluate, predict, and what they refuse."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ferjax
from ferjax import evaluate, predict
from ferjax.data.images import files
from ferjax.errors import UserError
from ferjax.training import experiment


def test_the_loaded_classifier_agrees_with_the_evaluation(finished):
    """Predicting every test image, through files, gives the confusion matrix of result.json."""
    workdir, config, result = finished
    model = ferjax.load(workdir)
    test = experiment.build(config).data.examples("test")
    probabilities, names = model(test.images)
    assert probabilities.shape == (35, 7) and names == tuple(result["labels"])
    np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-5)
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (test.labels, probabilities.argmax(1)), 1)
    assert confusion.tolist() == result["test"]["single"]["test"]["confusion"]


def test_files_arrays_and_batch_sizes_give_the_same_probabilities(finished, tmp_path):
    workdir, config, _ = finished
    model = ferjax.load(workdir)
    images = experiment.build(config).data.examples("test").images[:5]
    for index, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{index}.png")
    whole = model(images).probabilities
    np.testing.assert_allclose(model(files.find([tmp_path])).probabilities, whole, atol=1e-5)
    for image, row in zip(images, whole, strict=True):
        for one in (image[..., 0], image, np.repeat(image, 3, axis=-1)):
            np.testing.assert_allclose(model(one).probabilities, [row], atol=1e-5)


def test_the_last_checkpoint_can_be_used_too(finished):
    workdir, _, _ = finished
    last = ferjax.load(workdir, checkpoint="last")
    assert last.labels == ferjax.load(workdir).labels
    with pytest.raises(UserError, match=r"checkpoint is 'bets'.*Did you mean 'best'"):
        ferjax.load(workdir, checkpoint="bets")


def test_loading_needs_no_data_set(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    config = json.loads((workdir / "config.json").read_text())
    config["dataset"]["data_dir"] = str(tmp_path / "nowhere")
    (workdir / "config.json").write_text(json.dumps(config))
    assert ferjax.load(workdir).native_shape == (16, 16, 1)


def test_a_run_without_a_checkpoint_is_refused(finished, tmp_path):
    (tmp_path / "config.json").write_text((finished[0] / "config.json").read_text())
    with pytest.raises(UserError, match=r"has no 'best' checkpoint yet"):
        ferjax.load(tmp_path)


@pytest.fixture
def faces(finished, tmp_path):
    """A folder with three test images as files."""
    _, config, _ = finished
    folder = tmp_path / "faces"
    folder.mkdir()
    for index, image in enumerate(experiment.build(config).data.examples("test").images[:3]):
        Image.fromarray(image[..., 0]).save(folder / f"{index}.png")
    return folder


def test_predict_prints_a_table_and_writes_json(finished, faces, tmp_path, run_main):
    out = tmp_path / "out.json"
    code, printed, _ = run_main(predict, f"--workdir={finished[0]}", str(faces), f"--json={out}")
    assert code == 0
    images = json.loads(out.read_text())["images"]
    assert [image["file"] for image in images] == [str(faces / f"{n}.png") for n in range(3)]
    expected = ferjax.load(finished[0])(files.find([faces]))
    for image, row in zip(images, expected.probabilities, strict=True):
        np.testing.assert_allclose(list(image["probabilities"].values()), row, atol=1e-5)
        assert image["label"] == expected.names[row.argmax()]
        assert any(
            line.startswith(image["label"]) and line.endswith(image["file"])
            for line in printed.splitlines()
        )


def test_evaluate_repeats_the_numbers_of_the_run(finished, tmp_path, run_python):
    out = tmp_path / "out.json"
    command = ["-m", "ferjax.evaluate", f"--workdir={finished[0]}", "--split=test"]
    done = run_python([*command, "--tta=single,flip,ten_crop", f"--json={out}", "--batch_size=7"])
    found = json.loads(out.read_text())
    for view in ("single", "flip"):
        for group, scores in finished[2]["test"][view].items():
            assert found["scores"][view][group]["confusion"] == scores["confusion"]
            assert found["scores"][view][group]["loss"] == pytest.approx(scores["loss"], rel=1e-5)
    assert "ten_crop" in done.stdout and "test_clean" in done.stdout


def test_evaluate_refuses_other_data(finished, tmp_path, run_main):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    config = json.loads((workdir / "config.json").read_text())
    config["dataset"]["options"]["seed"] = 1
    (workdir / "config.json").write_text(json.dumps(config))
    code, _, error = run_main(evaluate, f"--workdir={workdir}")
    assert code == 2
    assert "holds files of two runs: options is" in error


def test_evaluate_writes_nothing_into_the_data_that_it_reads(finished, run_main):
    config = json.loads((finished[0] / "config.json").read_text())["dataset"]
    file = min((Path(config["data_dir"]) / config["name"]).rglob("features.json"))
    before = file.read_bytes()
    for target in (file, file.with_name("new.json")):
        code, _, error = run_main(evaluate, f"--workdir={finished[0]}", f"--json={target}")
        assert code == 2 and "lies in what this command reads; name another file" in error
    assert file.read_bytes() == before and not file.with_name("new.json").exists()


def test_evaluate_calls_a_split_that_the_model_has_seen_optimistic(finished, tmp_path, run_main):
    for split, label in (("test", "honest"), ("validation+test", "optimistic")):
        out = tmp_path / "out.json"
        code, said, error = run_main(
            evaluate, f"--workdir={finished[0]}", f"--split={split}", f"--json={out}"
        )
        assert code == 0, error
        assert json.loads(out.read_text())["protocol"] == label
        assert ("OPTIMISTIC:" in said) == (label == "optimistic")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tta="], "--tta is empty; give it a value"),
        (["--split=tests"], "--split is 'tests'; expected one of train, validation, test, valid"),
        (["--split=train+test"], "--split is 'train+test'; expected one of"),
        (["--dataset=fer2013", "--clean_index=a.json"], "--clean_index knows near duplicates wit"),
    ],
)
def test_evaluate_refuses_flags_before_any_work(finished, run_main, flags, message):
    code, _, error = run_main(evaluate, f"--workdir={finished[0]}", *flags)
    assert code == 2 and message in error
