"""Which folders of a user are classes, and what is refused with the fix."""

import numpy as np
import pytest
from PIL import Image

from ferjax.errors import UserError
from ferjax.evaluation.class_folders import find

TARGET = ("angry", "happy", "test")


def images(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)


def refusal(folder, target=TARGET):
    with pytest.raises(UserError) as caught:
        find(str(folder), target)
    return str(caught.value)


def test_classes_and_their_images(tmp_path):
    images(tmp_path, "happy/b.png", "happy/a.png", "happy/anna/c.png", "Sad [2]/d.png")
    (tmp_path / "angry").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").write_text("read me")
    (tmp_path / "link").symlink_to(tmp_path / "happy")
    said = []
    found = find(str(tmp_path), TARGET, said.append)
    assert found.counts == {"Sad [2]": 1, "angry": 0, "happy": 3} and len(found) == 4
    assert [file.name for file in found.images["happy"]] == ["a.png", "c.png", "b.png"]
    assert found.empty == ("angry",)
    assert "notes.txt" in " ".join(said) and "link" in " ".join(said)


@pytest.mark.parametrize("names, best", [(("train", "Test"), "Test"), (("train", "val"), "val")])
def test_splits_are_not_classes(tmp_path, names, best):
    images(tmp_path, *(f"{name}/1/a.png" for name in names))
    said = refusal(tmp_path, ("angry", "happy"))
    assert f"has the folders {' and '.join(sorted(names))}, which are splits, not classes" in said
    assert said.endswith(f"name one of them, as in --images={tmp_path / best}")


def test_a_class_of_the_model_may_be_called_like_a_split(tmp_path):
    images(tmp_path, "test/a.png")
    assert find(str(tmp_path), TARGET).counts == {"test": 1}
    assert "has the folder test, which is a split, not a class: name it" in refusal(
        tmp_path, ("angry", "happy")
    )


def test_one_folder_too_many(tmp_path):
    images(tmp_path, "my faces/Happy/a.png", "my faces/angry/b.png")
    said = refusal(tmp_path)
    assert f"--images='{tmp_path}/my faces'" in said and "Happy, angry" in said


@pytest.mark.parametrize("inner", ["sad", "anna/01_Sadness"])
def test_a_class_folder_within_another(tmp_path, inner):
    images(tmp_path, "happy/a.png", f"happy/{inner}/b.png", f"happy/{inner}/c.png")
    said = refusal(tmp_path)
    name = inner.rpartition("/")[2]
    assert f"has 2 images in a folder {name} within the class folder happy" in said
    assert f"not known whether these are happy or {name}" in said


def test_folders_within_a_class_folder_that_are_no_other_class(tmp_path):
    images(tmp_path, "happy/Happiness/a.png", "happy/anna/b.png")
    assert find(str(tmp_path), TARGET).counts == {"happy": 2}


def test_images_without_a_class(tmp_path):
    images(tmp_path, "a.png", "happy/b.png")
    said = refusal(tmp_path)
    assert "1 image outside of class folders (a.png)" in said
    assert f"ferjax.predict --workdir=DIR {tmp_path}" in said


def test_no_folder_and_no_image(tmp_path):
    assert "no such folder" in refusal(tmp_path / "nowhere")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04")
    assert "no folder; expected a folder of <class>/<image>" in refusal(tmp_path / "a.zip")
    (tmp_path / "faces" / "happy").mkdir(parents=True)
    assert "has no image in it" in refusal(tmp_path / "faces")
    assert "on this machine" in refusal("gs://bucket/faces")
    assert "--images is empty" in refusal("")
