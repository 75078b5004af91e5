"""The classes of each data set, in the order of their numbers, and the emotion of each name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Spellings, in small letters, and the emotion that each certainly means: the adjectives and nouns
# of the same word, `joy` and `afraid` as ADFES and KDEF say, `scared` as FaceReader says, and slips
# of the pen that folders of images have. Left out are words that data sets have beside one of
# these or for more than it: calm (beside neutral in RAVDESS), smile, natural, normal, other, rage.
EMOTIONS = {
    "anger": "anger",
    "angry": "anger",
    "contempt": "contempt",
    "contemptuous": "contempt",
    "disgust": "disgust",
    "disgusted": "disgust",
    "digust": "disgust",
    "fear": "fear",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happiness",
    "happy": "happiness",
    "happyness": "happiness",
    "joy": "happiness",
    "joyful": "happiness",
    "neutral": "neutral",
    "neutrality": "neutral",
    "sad": "sadness",
    "sadness": "sadness",
    "surprise": "surprise",
    "surprised": "surprise",
    "suprise": "surprise",
    "suprised": "surprise",
    "surprize": "surprise",
}


def plain(name: str) -> str:
    """A class name without its capitals, spaces, underscores and hyphens."""
    return re.sub(r"[\s_-]", "", name.casefold())


def emotion_of(name: str) -> str | None:
    """The emotion that a class name certainly means, a value of `EMOTIONS`; else None.

    Capitals, spaces, underscores and hyphens are ignored, and so is a number before the name, as in
    `0_Angry`. A number alone is never an emotion, nor is the code of a data set (see `CODES`).
    """
    return EMOTIONS.get(plain(re.sub(r"^\s*\d+[\s_.-]+", "", name)))


@dataclass(frozen=True)
class LabelSpace:
    """The classes of one way of labelling; label k means ``names[k]``.

    Attributes:
      name: the name of this labelling.
      names: class names; their order is the meaning of the label numbers.
    """

    name: str
    names: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """How many classes there are (K)."""
        return len(self.names)


FER2013 = LabelSpace(
    name="fer2013",
    names=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
)

# The numbers 1 to 7 of its files are 0 to 6 here.
RAF_DB = LabelSpace(
    name="raf_db",
    names=("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"),
)

# The numbers 1 to 7 of its files are 0 to 6 here; 0, neutral, is the label of no sequence.
CK_PLUS = LabelSpace(
    name="ck_plus",
    names=("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"),
)

FER_PLUS = LabelSpace(
    name="fer_plus",
    names=(
        "neutral",
        "happiness",
        "surprise",
        "sadness",
        "anger",
        "disgust",
        "fear",
        "contempt",
    ),
)


@dataclass(frozen=True)
class Code:
    """The numbers or letters that a data set has for its classes.

    Attributes:
      title: the name of the data set for people.
      meanings: what it writes -> an emotion.
    """

    title: str
    meanings: Mapping[str, str]

    @classmethod
    def numbers(cls, title: str, first: int, names: tuple[str, ...]) -> Code:
        """Numbers in the order of some class names."""
        return cls(title, {str(first + k): EMOTIONS[name] for k, name in enumerate(names)})


# A number means another class in each data set, and two letters can mean anything: both are told
# to the user, and never assumed.
CODES = (
    Code.numbers("RAF-DB", 1, RAF_DB.names),
    Code.numbers("FER2013", 0, FER2013.names),
    Code.numbers("CK+", 0, ("neutral", *CK_PLUS.names)),
    Code.numbers(
        "AffectNet",
        0,
        ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"),
    ),
    Code.numbers("FER+", 0, FER_PLUS.names),
    Code(
        "KDEF or JAFFE",
        {
            "AN": "anger",
            "DI": "disgust",
            "AF": "fear",
            "FE": "fear",
            "HA": "happiness",
            "NE": "neutral",
            "SA": "sadness",
            "SU": "surprise",
        },
    ),
)
