"""The `name=value,name=value` of a command line, for configs, flags and label maps."""

from __future__ import annotations

from collections.abc import Iterable

from ferjax.errors import UserError

# How a person writes true and false; small letters.
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_pairs(source: str, pairs: str | Iterable[str]) -> dict[str, str | None]:
    """Reads `name=value` pairs; empty ones are left out.

    Args:
      source: the flag or argument that has them, for messages.
      pairs: joined by commas, or one by one.

    Returns:
      Name -> value in their order, without spaces around them; None for a name without "=".

    Raises:
      UserError: a name that is given twice.
    """
    found: dict[str, str | None] = {}
    for pair in pairs.split(",") if isinstance(pairs, str) else pairs:
        if not pair.strip():
            continue
        name, equals, value = (part.strip() for part in pair.partition("="))
        if name in found:
            raise UserError(f"{source} gives {name!r} twice; give it once.")
        found[name] = value if equals else None
    return found
