"""Which emotion a class name certainly means, and what numbers mean in which data set."""

import pytest

from ferjax.data import labels
from ferjax.data.labels import CODES, EMOTIONS, emotion_of


@pytest.mark.parametrize(
    "name, emotion",
    [
        ("disgusted", "disgust"),
        ("fearful", "fear"),
        ("surprised", "surprise"),
        ("Anger", "anger"),
        ("HAPPY", "happiness"),
        (" Sad ", "sadness"),
        ("sur_prise", "surprise"),
        ("_neutral-", "neutral"),
        ("0_Angry", "anger"),
        ("03 - contempt", "contempt"),
        ("4.afraid", "fear"),
        ("suprise", "surprise"),
    ],
)
def test_spellings(name, emotion):
    assert emotion_of(name) == emotion


@pytest.mark.parametrize(
    "name", ["1", "06", "", " ", "calm", "smile", "AN", "SUR", "mad", "an", "no", "happy face", "_"]
)
def test_what_is_not_certain_is_no_emotion(name):
    assert emotion_of(name) is None


def test_every_spelling_is_found_as_it_is_written_and_means_one_of_eight():
    assert all(emotion_of(spelling) == emotion for spelling, emotion in EMOTIONS.items())
    assert len(set(EMOTIONS.values())) == 8
    for space in (labels.FER2013, labels.RAF_DB, labels.CK_PLUS, labels.FER_PLUS):
        assert all(map(emotion_of, space.names))


def test_numbers_of_data_sets():
    known = {code.title: code.meanings for code in CODES}
    assert known["RAF-DB"]["1"] == "surprise" and known["RAF-DB"]["7"] == "neutral"
    assert known["FER2013"]["0"] == "anger" and known["FER2013"]["6"] == "neutral"
    assert known["CK+"]["0"] == "neutral" and known["CK+"]["2"] == "contempt"
    assert all(set(one.values()) <= set(EMOTIONS.values()) for one in known.values())
