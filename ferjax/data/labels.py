"""Which classes a data set has, in the order of their numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelSpace:
    """The classes of one way of labelling; label k means ``names[k]``.

    Attributes:
      name: what this labelling is called.
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
