"""What to tell somebody who has to map the classes of a data set to a model's classes by hand.

No hint pairs classes by their position, since it would be followed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from ferjax.data.labels import CODES, emotion_of
from ferjax.errors import one_line

# A hint names as many classes.
_MOST = 20


def every_class(source: Sequence[str], target: Sequence[str], certain: Mapping[str, str]) -> str:
    """Sentences that ask for a whole map, where `certain` pairs are filled in and others open.

    Args:
      source: class names of the data set.
      target: class names of the model.
      certain: pairs of both, by name.
    """
    unnameable = [name for name in source if "," in name or "=" in name]
    if unnameable:
        return (
            f"A map cannot name the class {one_line(unnameable[0])!r}, since its name has a comma "
            "or an equals sign: rename its folder."
        )
    pairs = [f"{name}={certain.get(name, '?')}" for name in source[:_MOST]]
    more = "..." if len(source) > _MOST else ""
    return (
        f"Name every class yourself: {_flag([*pairs, more] if more else pairs)}, with each ? "
        f"replaced by a class of the model ({', '.join(map(one_line, target))}), or by nothing if "
        "it has no such class."
    )


def by_code(source: Sequence[str], target: Sequence[str]) -> str:
    """Sentences on names that are all numbers or codes, with the map of each data set; else "".

    Args:
      source: class names of the data set.
      target: class names of the model.
    """
    by_emotion = {emotion_of(ours): ours for ours in target}
    if None in by_emotion or len(by_emotion) < len(target):
        return ""
    codes = {name: _code(name) for name in source}
    numbers = all(code.isdecimal() for code in codes.values())
    fitting = [code for code in CODES if set(codes.values()) <= set(code.meanings)]
    if not fitting and not numbers:
        return ""
    kind = "numbers" if numbers else "letters"
    said = [
        f"The classes {', '.join(map(one_line, source[:_MOST]))} are {kind}, which by themselves "
        "mean no emotion: data sets differ in what they mean by them."
    ]
    for code in sorted(fitting, key=lambda code: len(code.meanings)):
        pairs = [f"{name}={by_emotion.get(code.meanings[codes[name]], '')}" for name in source]
        drop = " --unmapped=drop" if any(pair.endswith("=") for pair in pairs) else ""
        said.append(f"If these images come from {code.title}, and only then: {_flag(pairs)}{drop}")
    return "\n".join([*said, every_class(source, target, {})])


def _code(name: str) -> str:
    """A class name as `CODES` writes it: 01 is 1, and letters are capital."""
    name = name.strip()
    return str(int(name)) if name.isdecimal() else name.upper()


def _flag(pairs: Sequence[str]) -> str:
    """The flag with these pairs, as a shell takes it."""
    text = ",".join(pairs)
    plain = re.fullmatch(r"[\w=,?.-]*", text)
    return f"--label_map={text if plain else shlex.quote(text)}"
