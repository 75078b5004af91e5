"""A score on a user's own labelled images is that of predicting them one by one."""

import json

import numpy as np
import pytest
from PIL import Image

import ferjax
from ferjax import evaluate
from ferjax.evaluation import labelled_images
from ferjax.training import experiment


@pytest.fixture(scope="module")
def test_split(finished):
    return experiment.build(finished[1]).data.examples("test")


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path)


@pytest.fixture
def score(finished, run_main, tmp_path):
    """Runs the command; returns its exit code, outputs, and the JSON that it wrote or None."""

    def run(folder, *flags):
        out = tmp_path / "out.json"
        out.unlink(missing_ok=True)
        code, printed, said = run_main(
            evaluate, f"--workdir={finished[0]}", f"--images={folder}", f"--json={out}", *flags
        )
        return code, printed, said, json.loads(out.read_text()) if out.exists() else None

    return run


WILD = {"angry": "Anger", "disgust": "disgusted", "fear": "fearful", "surprise": "0_suprised"}


def test_all_images_are_scored_as_prediction_names_them(finished, test_split, score, tmp_path):
    classifier = ferjax.load(finished[0])
    confusion, loss = np.zeros((7, 7), int), 0.0
    for index, (image, label) in enumerate(zip(test_split.images, test_split.labels, strict=True)):
        ours = classifier.labels[label]
        file = tmp_path / "faces" / WILD.get(ours, ours) / f"{index}.png"
        # Other sizes and colours, as photographs have.
        shown = Image.fromarray(image[..., 0]).resize((20 + index, 30)).convert("RGB")
        save(np.asarray(shown), file)
        probabilities = classifier([file]).probabilities[0]
        confusion[label, probabilities.argmax()] += 1
        loss -= np.log(probabilities[label])
    code, printed, said, found = score(tmp_path / "faces", "--tta=single,flip")
    scores = found["scores"]["single"]["all"]
    assert code == 0 and scores["confusion"] == confusion.tolist()
    assert scores["loss"] == pytest.approx(loss / 35, rel=1e-4)
    assert list(found["scores"]["flip"]) == ["all", "all_clean"] and found["note"] == ""
    assert found["counts"]["0_suprised"] == found["scored"] / 7 == 5
    assert found["unreadable"] == {} and found["dropped"] == {} and "split" not in found
    assert "Anger=angry" in found["label_map"] and found["trained_on"] == "synthetic"
    assert "35 of 35 images of" in printed and "scoring images: 35 of 35" in said


def test_what_cannot_be_read_is_listed_and_the_rest_is_scored(test_split, score, tmp_path):
    for index in range(20):
        save(test_split.images[index], tmp_path / "faces" / "happy" / f"{index:02}.png")
    for index in (0, 7, 19):  # the padding of the last batch repeats the first
        (tmp_path / "faces" / "happy" / f"{index:02}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    code, printed, said, found = score(tmp_path / "faces", "--batch_size=8")
    assert code == 2 and "17 of 20 images" in printed
    assert "3 of 20 files could not be read; the others were scored" in said
    assert [path[-6:-4] for path in found["unreadable"]] == ["00", "07", "19"]
    assert found["scores"]["single"]["all"]["num_examples"] == 17
    assert found["scores"]["single"]["all_clean"]["num_examples"] == 17
    for file in (tmp_path / "faces" / "happy").iterdir():
        file.write_bytes(b"\x89PNG\r\n\x1a\n")
    save(np.zeros((4, 4), np.uint8), tmp_path / "faces" / "happy" / "20.png")
    (tmp_path / "faces" / "happy" / "20.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    code, printed, said, found = score(tmp_path / "faces")
    assert (code, printed, found) == (2, "", None)
    assert "21 of 21 files could not be read:" in said and "and 1 more" in said


def test_images_that_the_model_has_seen(finished, test_split, score, tmp_path):
    train = experiment.build(finished[1]).data.examples("train")
    for index in range(3):
        save(train.images[index], tmp_path / "faces" / "happy" / f"{index}.png")
    save(test_split.images[0], tmp_path / "faces" / "happy" / "new.png")
    code, printed, said, found = score(tmp_path / "faces")
    groups = found["scores"]["single"]
    assert code == 0 and groups["all"]["num_examples"] == 4
    assert groups["all_clean"]["num_examples"] == 1
    text = "3 of 4 images trained or selected the model"
    assert f"{text}; all_clean leaves them out." in printed and "repeat" not in found["note"]
    assert printed.count(f"OPTIMISTIC: {text}") == 3 and "warning" not in said
    assert (found["protocol"], found["remark"]) == ("optimistic", f"OPTIMISTIC: {text}")


def test_images_that_repeat_others(test_split, score, tmp_path):
    for name in ("happy/a", "happy/b", "joy/c", "sad/d"):
        save(test_split.images[0], tmp_path / "faces" / f"{name}.png")
    save(test_split.images[1], tmp_path / "faces" / "sad" / "other.png")
    code, printed, said, found = score(
        tmp_path / "faces", "--label_map=happy=happy,joy=happy,sad=sad"
    )
    assert code == 0 and "3 of 5 images repeat an earlier one; all_clean" in printed
    assert "trained" not in found["note"]
    assert (found["protocol"], found["remark"]) == ("honest", "")
    (warning,) = [one for one in found["warnings"] if "stand" in one]
    assert "1 image stands in several class folders (happy/a.png and sad/d.png)" in warning
    assert f"warning: {warning}" in said


def test_a_long_list_of_unreadable_images_says_where_it_is_whole():
    unread = {f"{number}.png": f"{number}.png is broken" for number in range(22)}
    said = str(labelled_images.unreadable(unread, 30))
    assert said.endswith("and 2 more; --json=FILE lists all")
    # Without a single image that can be read, no file is written.
    assert str(labelled_images.unreadable(unread, 22)).endswith("and 2 more")


def test_a_shuffled_order_is_told(finished, test_split, score, tmp_path):
    classifier = ferjax.load(finished[0])
    called = classifier(test_split.images[:]).probabilities.argmax(axis=1)
    kinds = np.unique(called)
    assert len(kinds) > 2
    after = dict(zip(kinds.tolist(), np.roll(kinds, 1).tolist(), strict=True))
    for index, number in enumerate(called.tolist()):
        name = classifier.labels[after[number]]
        save(test_split.images[index], tmp_path / "faces" / name / f"{index}.png")
    code, _, said, found = score(tmp_path / "faces")
    assert code == 0 and found["scores"]["single"]["all"]["accuracy"] == 0
    (warning,) = found["warnings"]
    assert f"warning: {warning}" in said and "label map may be wrong" in warning
    assert not any(group.startswith("class") for group in found["scores"]["single"])


def test_names_that_are_not_known_and_classes_that_the_model_lacks(test_split, score, tmp_path):
    faces = tmp_path / "faces"
    save(test_split.images[0], faces / "contempt" / "a.png")
    save(test_split.images[1], faces / "grin [x]" / "a.png")
    (faces / "sad").mkdir()
    code, _, said, found = score(faces)
    assert (code, found) == (2, None)
    assert "--label_map='contempt=,grin [x]=?'" in said
    mapped = "--label_map=contempt=,grin [x]=happy,sad=sad"
    code, _, said, _ = score(faces, mapped)
    assert code == 2 and "no class for contempt (1 images)" in said
    code, printed, _, found = score(faces, mapped, "--unmapped=drop")
    assert code == 0 and found["dropped"] == {"contempt": 1} and found["scored"] == 1
    assert "1 of 2 images of" in printed and "1 images of contempt" in printed
    assert "The class folder sad has no image." in printed
    assert found["label_map"] == "contempt=,grin [x]=happy,sad=sad"


def test_flags_that_contradict_a_folder(finished, run_main, tmp_path):
    workdir, folder = f"--workdir={finished[0]}", f"--images={tmp_path}"
    for flag in ("dataset=raf_db", "split=test", "options=fold=1", "data_dir=x", "clean_index=x"):
        code, printed, said = run_main(evaluate, workdir, folder, f"--{flag}")
        assert (code, printed) == (2, "") and f"--{flag.partition('=')[0]} is about" in said
    code, _, said = run_main(evaluate, workdir, folder, f"--json={tmp_path / 'out.json'}")
    assert code == 2 and "lies in what this command reads" in said
