"""Which names of folders can name classes, and which of them mean one emotion."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from ferjax.data.labels import emotion_of

WANTED = "use letters and digits of any script, _, - and single words between spaces"


def normal(name: str) -> str:
    """A name whose accents are one with their letters, as macOS does not store them."""
    return unicodedata.normalize("NFC", name)


def is_good(name: str) -> bool:
    """Whether a class can have this name: no mark in it has a meaning on a command line."""
    return all(map(_is_word, filter(None, name.split(" ")))) and name == name.strip(" ") != ""


def _is_word(word: str) -> bool:
    # Vowels of Hindi or Thai are marks, which follow a letter.
    is_mark = [unicodedata.category(one).startswith("M") for one in word]
    return not is_mark[0] and all(
        one.isalnum() or one in "_-" or mark for one, mark in zip(word, is_mark, strict=True)
    )


def notes(names: Iterable[str]) -> list[str]:
    """A sentence for each emotion that several names mean."""
    found: dict[str, list[str]] = {}
    for name in names:
        emotion = emotion_of(name)
        if emotion:
            found.setdefault(emotion, []).append(name)
    return [
        f"The classes {', '.join(several)} mean one emotion, {emotion}, and stay apart; if one "
        "class is meant, put their images into one folder."
        for emotion, several in found.items()
        if len(several) > 1
    ]
