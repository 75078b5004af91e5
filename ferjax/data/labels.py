"""The classes of each data set, in the order of their numbers, and the emotion of each name."""

from dataclasses import dataclass

# Every spelling of the data sets, and the emotion that it means.
EMOTIONS = {
    "anger": "anger",
    "angry": "anger",
    "contempt": "contempt",
    "disgust": "disgust",
    "fear": "fear",
    "happiness": "happiness",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "sadness": "sadness",
    "surprise": "surprise",
}


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
