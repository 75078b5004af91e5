"""Maps of a data set's classes to a model's classes, by name, and never by position.

Shape letters: N examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Integer

from ferjax.cli.pairs import parse_pairs
from ferjax.data import map_hints
from ferjax.data.labels import EMOTIONS, emotion_of, plain
from ferjax.errors import UserError, nearest, one_line

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
      notes: what the user did not ask for and has to know, as sentences.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    table: tuple[int | None, ...]
    notes: tuple[str, ...] = ()

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


def is_known(name: str, target: Sequence[str]) -> bool:
    """Whether a name is certainly that of a class: of the model's, or of an emotion."""
    return emotion_of(name) is not None or plain(name) in map(plain, target)


def are_two_classes(one: str, other: str, target: Sequence[str]) -> bool:
    """Whether two names are certainly those of classes (see `is_known`), and not of the same."""
    if not (is_known(one, target) and is_known(other, target)) or plain(one) == plain(other):
        return False
    return emotion_of(one) is None or emotion_of(one) != emotion_of(other)


def by_emotion(source: Sequence[str], target: Sequence[str]) -> LabelMap:
    """Maps classes of one name, apart from capitals, and those that mean the same emotion.

    Two classes of the data set may be one of the model, as `anger` and `angry`, which a note says.

    Raises:
      UserError: a name whose emotion is not known and that the model does not have, or one that
        two classes of the model are.
    """
    found = {name: _ours(name, target) for name in source}
    unknown = [name for name, ours in found.items() if ours is None]
    if unknown:
        raise UserError(_not_known(unknown[0], source, target))
    for name, ours in found.items():
        if ours and len(ours) > 1:
            both = " and ".join(one_line(target[number]) for number in ours)
            raise UserError(
                f"The model has several classes that {name!r} can be, {both}: "
                f"{map_hints.every_class(source, target, _names(source, target))}"
            )
    table = tuple(ours[0] if ours else None for ours in found.values())
    notes = []
    for number, one in enumerate(target):
        same = [name for name, chosen in zip(source, table, strict=True) if chosen == number]
        if len(same) > 1:
            names = " and ".join(map(one_line, same))
            notes.append(f"The classes {names} are taken as one, the model's {one_line(one)}.")
    return LabelMap(tuple(source), tuple(target), table, tuple(notes))


def parse(text: str, source: Sequence[str], target: Sequence[str]) -> LabelMap:
    """Reads `emotions`, or `theirs=ours` for every class, joined by commas.

    An empty right side, as in `contempt=`, says that the model has no such class.

    Raises:
      UserError: a name that neither side has, a class that is named twice, or one that is left
        out.
    """
    if text == BY_EMOTION:
        return by_emotion(source, target)
    # The spaces around names are not kept in a list.
    whole = {name.strip(): name for name in source}
    found: dict[str, int | None] = {}
    for theirs, ours in parse_pairs("--label_map", text).items():
        if ours is None:
            raise UserError(
                f"--label_map has {theirs!r}; expected {BY_EMOTION} or "
                "CLASS_OF_DATA=CLASS_OF_MODEL for each class. "
                f"{map_hints.every_class(source, target, _names(source, target))}"
            )
        if theirs not in whole:
            raise UserError(
                f"--label_map: the data set has no class {theirs!r}.{nearest(theirs, source)} Its "
                f"classes are: {', '.join(source)}."
            )
        if ours and ours not in target:
            raise UserError(
                f"--label_map: the model has no class {ours!r}.{nearest(ours, target)} Its classes "
                f"are: {', '.join(target)}."
            )
        found[whole[theirs]] = target.index(ours) if ours else None
    missing = [name for name in source if name not in found]
    if missing:
        raise UserError(
            f"--label_map leaves out {', '.join(missing)}; write {missing[0]}= for a class that "
            "the model does not have."
        )
    return LabelMap(tuple(source), tuple(target), tuple(found[name] for name in source))


def _ours(name: str, target: Sequence[str]) -> list[int] | None:
    """The model's classes that a name can be, [] if the model has none; None if it is not known."""
    if name in target:
        return [target.index(name)]
    alike = [number for number, ours in enumerate(target) if plain(ours) == plain(name)]
    if alike:
        return alike
    emotion = emotion_of(name)
    if emotion is None:
        return None
    same = [number for number, ours in enumerate(target) if emotion_of(ours) == emotion]
    # A class of the model whose meaning is not known may be this emotion.
    return same if same or all(map(emotion_of, target)) else None


def _names(source: Sequence[str], target: Sequence[str]) -> dict[str, str]:
    """The pairs of names that are certain; "" for a class that the model certainly lacks."""
    found = {name: _ours(name, target) for name in source}
    return {
        name: target[ours[0]] if ours else ""
        for name, ours in found.items()
        if ours is not None and len(ours) < 2
    }


def _not_known(name: str, source: Sequence[str], target: Sequence[str]) -> str:
    """What to say of a class name that cannot be mapped."""
    if coded := map_hints.by_code(source, target):
        return coded
    emotion = emotion_of(name)
    if emotion is None:
        said = f"It is not known which emotion {name!r} is.{nearest(name, (*target, *EMOTIONS))}"
    else:
        others = ", ".join(one_line(ours) for ours in target if emotion_of(ours) is None)
        said = f"It is not known whether the model has a class for {name!r}: it has {others}."
    return f"{said} {map_hints.every_class(source, target, _names(source, target))}"
