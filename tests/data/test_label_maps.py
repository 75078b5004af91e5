"""Maps of class names: by meaning where it is certain, and never by position."""

import re

import pytest

from ferjax.data import label_maps
from ferjax.data.label_maps import by_emotion, parse
from ferjax.data.labels import FER2013, RAF_DB
from ferjax.errors import UserError

OURS = FER2013.names


def refusal(source, target=OURS):
    with pytest.raises(UserError) as caught:
        by_emotion(source, target)
    return str(caught.value)


def flags(said):
    """The maps that a message shows."""
    return re.findall(r"--label_map=(\S+?),?(?: |$)", said, re.MULTILINE)


def test_names_of_the_wild():
    theirs = ("angry", "disgusted", "fearful", "Happy", "neutral", "SAD", "surprised")
    found = by_emotion(theirs, OURS)
    assert found.describe() == (
        "angry=angry,disgusted=disgust,fearful=fear,Happy=happy,neutral=neutral,SAD=sad,"
        "surprised=surprise"
    )
    assert found.notes == ()
    assert by_emotion(("contempt", "happy"), OURS).unmapped == ("contempt",)


def test_two_names_of_one_emotion_are_one_class_and_it_is_said():
    found = by_emotion(("anger", "angry", "happy"), OURS)
    assert found.table == (0, 0, 3)
    assert found.notes == ("The classes anger and angry are taken as one, the model's angry.",)


def test_the_models_own_names_come_first_whatever_they_are():
    assert by_emotion(("grin", "Frown"), ("frown", "grin")).table == (1, 0)
    assert by_emotion(("1", "2"), ("2", "1")).table == (1, 0)
    assert by_emotion(("ANGRY", "angry"), ("angry", "ANGRY")).table == (1, 0)
    # Each is itself, although both are one emotion.
    both = by_emotion(("angry", "anger"), ("anger", "angry"))
    assert both.table == (1, 0) and both.notes == ()
    assert "several classes that 'Angry' can be, angry and ANGRY" in refusal(
        ["Angry"], ("angry", "ANGRY")
    )
    assert "several classes that 'furious' can" not in refusal(["furious"], ("anger", "angry"))


def test_a_class_that_may_hide_behind_an_unknown_name_is_not_called_absent():
    said = refusal(["happy", "neutral"], ("smile", "neutral"))
    assert "not known whether the model has a class for 'happy': it has smile." in said
    assert flags(said) == ["happy=?,neutral=neutral"]


def test_a_hint_pairs_what_is_certain_and_leaves_the_rest_open():
    said = refusal(["angry", "smile", "contempt", "sad"])
    assert "not known which emotion 'smile' is" in said
    assert flags(said) == ["angry=angry,smile=?,contempt=,sad=sad"]
    assert "Did you mean 'disgusted'" in refusal(["disgustedd", "sad"])
    with pytest.raises(UserError, match=r"no class '\?'"):
        parse("smile=?", ["smile"], OURS)


@pytest.mark.parametrize("names", [list("1234567"), [f"0{number}" for number in range(1, 8)]])
def test_numbers_are_refused_with_a_whole_map_for_each_data_set(names):
    said = refusal(names)
    first, second, *_, last = flags(said)
    known = parse(first, names, OURS)
    assert [OURS[number] for number in known.table] == [
        {"happiness": "happy", "sadness": "sad", "anger": "angry"}.get(name, name)
        for name in RAF_DB.names
    ]
    assert "come from RAF-DB, and only then" in said
    assert parse(second, names, OURS).unmapped == (names[1],)  # contempt of CK+
    assert last == ",".join(f"{name}=?" for name in names)


def test_numbers_from_zero_and_letters():
    said = refusal(list("0123456"))
    assert flags(said)[0] == "0=angry,1=disgust,2=fear,3=happy,4=sad,5=surprise,6=neutral"
    assert "RAF-DB" not in said
    assert flags(refusal(["AN", "ha"]))[0] == "AN=angry,ha=happy"
    # Other numbers, and a model whose own classes are not known.
    assert flags(refusal(["8", "9"])) == ["8=?,9=?"]
    assert flags(refusal(["1", "2"], ("smile", "frown"))) == ["1=?,2=?"]


def test_names_that_a_list_cannot_hold():
    assert "rename its folder" in refusal(["happy, mostly", "sad"])
    said = refusal(["my [best] smile", "sad"])
    assert "--label_map='my [best] smile=?,sad=sad'" in said
    assert parse("a=sad", [" a "], OURS).table == (4,)


def test_known_names():
    assert label_maps.is_known("Angry", ("smile",)) and label_maps.is_known("SMILE", ("smile",))
    assert not label_maps.is_known("train", OURS)
