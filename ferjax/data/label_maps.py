"""Maps of a data set's classes to a model's classes, by name; the user always asks for them.

Shape letters: N examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Integer

from ferjax.cli.pairs import parse_pairs
from ferjax.data.labels import EMOTIONS
from ferjax.errors import UserError, nearest

# The map by the meaning of the names.
BY_EMOTION = "emotions"


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """The model's class for each class of a data set.

    Attributes:
      source: class names of the data set, in its order.
      target: class names of the model, in its order.
      table: the number of the model's class, for each class of the data set; None if the model has
        no such class.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    table: tuple[int | None, ...]

    @property
    def unmapped(self) -> tuple[str, ...]:
        """The classes of the data set that the model does not have."""
        return tuple(
            name for name, number in zip(self.source, self.table, strict=True) if number is None
        )

    def apply(
        self, labels: Integer[np.ndarray, " N"]
    ) -> tuple[Integer[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
        """The model's label of each example, and which examples have one; the others get 0."""
        numbers = np.array([-1 if number is None else number for number in self.table], np.int32)
        mapped = numbers[labels]
        return np.maximum(mapped, 0).astype(np.int32), mapped >= 0

    def describe(self) -> str:
        """The map as text, which `parse` reads back."""
        return ",".join(
            f"{name}={'' if number is None else self.target[number]}"
            for name, number in zip(self.source, self.table, strict=True)
        )


def by_emotion(source: Sequence[str], target: Sequence[str]) -> LabelMap:
    """Maps classes that mean the same emotion, such as `angry` and `anger`.

    Raises:
      UserError: a name whose emotion is not known, or two classes of the model with one emotion.
    """
    unknown = [name for name in (*source, *target) if name not in EMOTIONS]
    if unknown:
        raise UserError(
            f"It is not known which emotion {unknown[0]!r} is.{nearest(unknown[0], EMOTIONS)} Name "
            f"the classes yourself, as in --label_map={_example(source, target)}."
        )
    numbers: dict[str, int] = {}
    for number, name in enumerate(target):
        if EMOTIONS[name] in numbers:
            raise UserError(
                f"The model has two classes for one emotion, {target[numbers[EMOTIONS[name]]]!r} "
                f"and {name!r}: name the classes yourself, as in "
                f"--label_map={_example(source, target)}."
            )
        numbers[EMOTIONS[name]] = number
    table = tuple(numbers.get(EMOTIONS[name]) for name in source)
    return LabelMap(tuple(source), tuple(target), table)


def parse(text: str, source: Sequence[str], target: Sequence[str]) -> LabelMap:
    """Reads `emotions`, or `theirs=ours` for every class, joined by commas.

    An empty right side, as in `contempt=`, says that the model has no such class.

    Raises:
      UserError: a name that neither side has, a class that is named twice, or one that is left
        out.
    """
    if text == BY_EMOTION:
        return by_emotion(source, target)
    found: dict[str, int | None] = {}
    for theirs, ours in parse_pairs("--label_map", text).items():
        if ours is None:
            raise UserError(
                f"--label_map has {theirs!r}; expected {BY_EMOTION} or "
                f"CLASS_OF_DATA=CLASS_OF_MODEL for each class, as in {_example(source, target)}."
            )
        if theirs not in source:
            raise UserError(
                f"--label_map: the data set has no class {theirs!r}.{nearest(theirs, source)} Its "
                f"classes are: {', '.join(source)}."
            )
        if ours and ours not in target:
            raise UserError(
                f"--label_map: the model has no class {ours!r}.{nearest(ours, target)} Its classes "
                f"are: {', '.join(target)}."
            )
        found[theirs] = target.index(ours) if ours else None
    missing = [name for name in source if name not in found]
    if missing:
        raise UserError(
            f"--label_map leaves out {', '.join(missing)}; write {missing[0]}= for a class that "
            "the model does not have."
        )
    return LabelMap(tuple(source), tuple(target), tuple(found[name] for name in source))


def _example(source: Sequence[str], target: Sequence[str]) -> str:
    return ",".join(f"{a}={b}" for a, b in zip(source[:2], target[:2], strict=False)) + ",..."
