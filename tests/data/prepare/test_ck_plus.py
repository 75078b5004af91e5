"""CK+: the release and CK+48, each defect that a copy can have, and folds of persons."""

import numpy as np
import pytest

from ferjax.data import catalog, dataset
from ferjax.data.prepare import preparation
from ferjax.data.splits import stratify
from ferjax.errors import UserError
from tests.helpers.fake_ck_plus import (
    BOX,
    Sequence,
    ck_48,
    landmark_file,
    landmarks,
    level,
    official,
    png,
    some,
    spec,
    whole,
)
from tests.helpers.fake_fer2013 import write_folder, write_zip

SEQUENCES = some()
SPEC = spec(SEQUENCES)
LAYOUTS = {"sequences": official, "CK+48": ck_48}
STEM = "S005/001/S005_001_00000005"
FRAME = f"cohn-kanade-images/{STEM}.png"
EMOTION = f"Emotion/{STEM}_emotion.txt"
LANDMARKS = f"Landmarks/{STEM}_landmarks.txt"


@pytest.fixture
def refused(tmp_path):
    """Prepares a folder of some content and returns the message of its refusal."""

    def run(content, **options):
        path = write_folder(tmp_path / "ck", content)
        with pytest.raises(UserError) as caught:
            preparation.prepare(SPEC, path, tmp_path / "data", **options)
        assert not (tmp_path / "data").exists()
        return str(caught.value)

    return run


@pytest.fixture(scope="module")
def release():
    """The content of a small release; tests change copies of it."""
    return official(SEQUENCES)


@pytest.fixture(scope="module")
def whole_dir(tmp_path_factory):
    """(data_dir, prepared) of a release with the counts of the real one."""
    path = write_zip(tmp_path_factory.mktemp("whole") / "ck.zip", official(whole()))
    data_dir = tmp_path_factory.mktemp("data")
    return data_dir, preparation.prepare(catalog.CK_PLUS, path, data_dir, image_size=16)


def everything(data_dir):
    opened = dataset.open_dataset("ck_plus", data_dir)
    return opened.load("train+validation+test")


def assert_labels_tell_the_levels(examples):
    # Below the pixels that tell frames apart.
    images = np.asarray(examples.images)[:, examples.images.shape[1] // 4 :]
    np.testing.assert_array_equal(images.min(axis=(1, 2, 3)), level(examples.labels))
    np.testing.assert_array_equal(images.max(axis=(1, 2, 3)), level(examples.labels))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("write", [write_folder, write_zip])
@pytest.mark.parametrize("prefix", ["", "data/CK+/"])
def test_each_layout_as_folder_and_zip(tmp_path, layout, write, prefix):
    content = {prefix + name: data for name, data in LAYOUTS[layout](SEQUENCES).items()}
    prepared = preparation.prepare(SPEC, write(tmp_path / "ck", content), tmp_path / "data")
    assert prepared.counts == SPEC.expected_counts
    assert prepared.source_format == f"{layout}, {'zip' if write is write_zip else 'folder'}"
    examples = everything(tmp_path / "data")
    size = 128 if layout == "sequences" else 48
    assert examples.images.shape == (75, size, size, 1)
    assert_labels_tell_the_levels(examples)
    files = {key.split("/")[-1].removesuffix(".png") for key in examples.keys}
    assert files == {
        one.stem(number)
        for one in SEQUENCES
        if one.label is not None
        for number in range(one.frames - 2, one.frames + 1)
    }
    for key, subject in zip(examples.keys, examples.subjects, strict=True):
        assert f"/{subject}_" in key


@pytest.mark.parametrize(
    "folders",
    [
        {"images": "extended-cohn-kanade-images/cohn-kanade-images"}
        | {"emotion": "Emotion_labels/Emotion", "landmarks": "landmarks"},
        {"images": "Images", "emotion": "emotion", "landmarks": "Landmarks/Landmarks"},
    ],
)
def test_folders_of_other_names(tmp_path, folders):
    path = write_folder(tmp_path / "ck", official(SEQUENCES, folders))
    assert preparation.prepare(SPEC, path, tmp_path / "data").counts == SPEC.expected_counts


def test_sequences_without_an_emotion_are_counted(tmp_path, release):
    path = write_folder(tmp_path / "ck", release)
    prepared = preparation.prepare(SPEC, path, tmp_path / "data")
    assert prepared.notes == ("12 of 37 sequences have no emotion file and are left out.",)
    assert prepared.notes[0] in preparation.summary(SPEC, prepared)


def test_neutral_sequences_are_counted(tmp_path):
    more = [*SEQUENCES, Sequence("S100", "001", -1), Sequence("S101", "001", -1)]
    path = write_folder(tmp_path / "ck", official(more))
    prepared = preparation.prepare(SPEC, path, tmp_path / "data")
    assert prepared.counts == SPEC.expected_counts
    assert "2 sequences have the emotion 0, neutral, and are left out." in prepared.notes


def test_frames_in_colour_become_grey(tmp_path, release):
    pixels = np.full((49, 64, 3), (200, 100, 50), np.uint8)
    path = write_folder(tmp_path / "ck", release | {FRAME: png(pixels)})
    preparation.prepare(SPEC, path, tmp_path / "data")
    examples = everything(tmp_path / "data")
    (index,) = (i for i, key in enumerate(examples.keys) if key.endswith(FRAME))
    assert examples.images.shape[3] == 1
    np.testing.assert_array_equal(np.asarray(examples.images[index]), 124)


def test_the_size_of_the_faces(tmp_path, release, refused):
    path = write_folder(tmp_path / "ck", release)
    preparation.prepare(SPEC, path, tmp_path / "data64", image_size=64)
    assert dataset.open_dataset("ck_plus", tmp_path / "data64").image_shape == (64, 64, 1)
    message = refused(release, image_size=4)
    assert "--image_size is 4; expected 16 to 1024 pixels" in message


def test_the_size_of_ck_48_is_its_own(refused):
    message = refused(ck_48(SEQUENCES), image_size=64)
    assert "--image_size=64 is for the official release" in message
    assert "Leave it out" in message


def test_a_whole_release(whole_dir):
    data_dir, prepared = whole_dir
    assert prepared.counts == {"whole": (135, 54, 177, 75, 207, 84, 249)}
    assert prepared.notes == ("266 of 593 sequences have no emotion file and are left out.",)
    examples = everything(data_dir)
    assert len(examples) == len(set(examples.keys)) == 981
    assert len(set(examples.subjects)) == 118
    assert_labels_tell_the_levels(examples)


def test_a_whole_ck_48(tmp_path):
    path = write_zip(tmp_path / "ck48.zip", ck_48(whole()))
    prepared = preparation.prepare(catalog.CK_PLUS, path, tmp_path / "data")
    assert prepared.counts == {"whole": (135, 54, 177, 75, 207, 84, 249)}


def test_no_person_is_in_two_parts_of_a_fold(whole_dir):
    people = sorted({one.subject for one in whole() if one.label is not None})
    tested = []
    for fold in range(stratify.NUM_FOLDS):
        opened = dataset.open_dataset("ck_plus", whole_dir[0], fold=fold)
        parts = {split: opened.load(split, in_memory=False) for split in catalog.SPLITS}
        subjects = {split: set(part.subjects) for split, part in parts.items()}
        assert subjects["test"] == set(people[fold::10])
        assert subjects["validation"] == set(people[(fold + 1) % 10 :: 10])
        assert subjects["train"]
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            assert not subjects[one] & subjects[other]
        assert sum(map(len, parts.values())) == 981
        tested += parts["test"].keys
    assert len(tested) == len(set(tested)) == 981


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_fewer_than_three_frames(refused, release, frames):
    content = dict(release)
    for number in range(1, 6 - frames):
        del content[f"cohn-kanade-images/S005/001/S005_001_{number:08}.png"]
    message = refused(content)
    assert f"sequence S005/001 has {frames} frames, and the last 3" in message
    assert EMOTION in message


def test_the_labelled_frame_is_missing(refused, release):
    content = dict(release)
    del content[FRAME]
    message = refused(content)
    assert f"{EMOTION} is the emotion of frame 5 of sequence S005/001, which is not" in message
    assert "its last frame is 4" in message


@pytest.mark.parametrize(
    "text", [b"   3.5000000e+00", b"8", b"-1", b"happy", b"", b"3 4", b"nan", b"0_1"]
)
def test_an_emotion_that_is_none(refused, release, text):
    message = refused(release | {EMOTION: text})
    assert f"{EMOTION}: expected one whole number from 0 to 7" in message
    assert "(0 neutral, 1 anger, 2 contempt, 3 disgust, 4 fear, 5 happy" in message
    assert repr(text.decode().strip()) in message


def test_two_emotions_of_one_sequence(refused, release):
    other = EMOTION.replace("00000005", "00000004")
    message = refused(release | {other: b"1"})
    assert "both label sequence S005/001" in message


def test_missing_landmarks(refused, release):
    content = dict(release)
    del content[LANDMARKS]
    message = refused(content)
    assert f"{FRAME} has no landmarks" in message
    assert "expected a file S005_001_00000005_landmarks.txt" in message


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (".png", "holds no frame (S005_001_00000011.png)"),
        ("_emotion.txt", "holds no emotion file"),
        ("_landmarks.txt", "holds no landmark file"),
    ],
)
def test_a_part_that_is_missing(refused, release, ending, expected):
    content = {name: data for name, data in release.items() if not name.endswith(ending)}
    message = refused(content | {"Landmarks.zip": b"PK"})
    assert expected in message
    assert "Landmarks.zip still packed" in message
    assert "unpack the archives of all three into one folder" in message


def test_landmarks_of_another_number(refused, release):
    message = refused(release | {LANDMARKS: landmark_file(landmarks()[:67])})
    assert f"{LANDMARKS} has 67 points; a face has 68" in message


@pytest.mark.parametrize("line", [b"1 2 3", b"1.0 nan", b"one two", b"5", b"1_0 2", b"1 1e999"])
def test_a_line_of_landmarks_that_is_no_point(refused, release, line):
    lines = landmark_file(landmarks()).splitlines()
    lines[6] = line
    message = refused(release | {LANDMARKS: b"\n".join(lines)})
    assert f"{LANDMARKS}, line 7: expected the x and y of a point" in message
    assert repr(line.decode()) in message


def test_landmarks_of_one_place(refused, release):
    message = refused(release | {LANDMARKS: landmark_file(np.full((68, 2), 9.0))})
    assert f"{LANDMARKS}: all points are in one place" in message


@pytest.mark.parametrize("point", [(-8.0, 20.0), (30.0, 60.0)])
def test_landmarks_outside_the_frame(refused, release, point):
    points = landmarks()
    points[9] = point
    message = refused(release | {LANDMARKS: landmark_file(points)})
    assert f"{LANDMARKS}: 1 of 68 points are outside the frame, which has 64x49 pixels" in message
    assert f"point 10 is at {point[0]:g}, {point[1]:g}" in message


def test_landmarks_a_little_outside_the_frame_are_taken(tmp_path, release):
    points = landmark_file(landmarks((BOX[0], 30, BOX[2], 52)))
    path = write_folder(tmp_path / "ck", release | {LANDMARKS: points})
    assert preparation.prepare(SPEC, path, tmp_path / "data").counts == SPEC.expected_counts


def test_two_files_of_one_frame(refused, release):
    message = refused(release | {f"copy/{FRAME}": release[FRAME]})
    assert "are of the same frame: the source must hold CK+ once" in message


def test_a_frame_that_cannot_be_read(refused, release):
    message = refused(release | {FRAME: release[FRAME][:60]})
    assert f"{FRAME} is" in message
    assert "damaged image" in message


def test_a_partial_copy(refused):
    message = refused(official([one for one in SEQUENCES if one.label != 6]))
    assert "63 images found, 75 expected" in message
    assert "  whole surprise: 0 found, 12 expected" in message


def test_ck_48_with_a_class_that_is_none(refused):
    content = ck_48(SEQUENCES)
    content["hapy/S200_001_00000003.png"] = next(iter(content.values()))
    message = refused(content)
    assert (
        "hapy/S200_001_00000003.png: 'hapy' is not a class of CK+. Did you mean 'happy'?" in message
    )
    assert "Its classes are: anger, contempt, disgust, fear, happy, sadness, surprise." in message


def test_ck_48_with_a_name_that_tells_no_person(refused):
    content = ck_48(SEQUENCES)
    content["happy/17.png"] = next(iter(content.values()))
    message = refused(content)
    assert "happy/17.png: the name does not say who is shown" in message


def test_ck_48_of_another_size(refused):
    content = ck_48(SEQUENCES)
    name = next(iter(content))
    message = refused(content | {name: png(np.zeros((64, 64), np.uint8))})
    assert f"{name} has 64x64 pixels; an image of CK+48 has 48x48" in message


def test_ck_48_with_one_frame_in_two_classes(refused):
    content = ck_48(SEQUENCES)
    content["fear/S005_001_00000005.png"] = content["anger/S005_001_00000005.png"]
    assert "are of the same frame" in refused(content)


def test_ck_48_with_classes_spelled_otherwise(tmp_path):
    spelled = {"happy": "Happiness", "anger": "Angry", "sadness": "SAD"}
    content = {
        f"{spelled.get(name.split('/')[0], name.split('/')[0])}/{name.split('/')[1]}": data
        for name, data in ck_48(SEQUENCES).items()
    }
    path = write_folder(tmp_path / "ck", content)
    assert preparation.prepare(SPEC, path, tmp_path / "data").counts == SPEC.expected_counts


def test_something_else(refused):
    message = refused({"a.png": b"", "b/c.txt": b""})
    assert "is not CK+: expected cohn-kanade-images/S005/001/S005_001_00000011.png" in message
    assert "found 2 files (a.png, b/c.txt)" in message
