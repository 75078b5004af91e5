"""List the trained models and detectors that can be had by name, and fetch those that are not here.

Examples:
    python -m ferjax.models
    python -m ferjax.models --card=fer2013-small
    python -m ferjax.models --fetch=yunet

--card prints the card of a model: what it was trained on, what it can and cannot do, and what it
must not be used for. What ferjax carries needs no fetching. Nothing is fetched unless --fetch names
it, and what comes is kept only if its SHA-256 is the one of the list. It lies in `ferjax/models` of
your cache folder.
"""

from __future__ import annotations

from absl import flags

from ferjax.cli import command
from ferjax.errors import UserError

FLAGS = flags.FlagValues()
flags.DEFINE_string("card", None, "name of a model whose card is printed", flag_values=FLAGS)
flags.DEFINE_string("fetch", None, "name of what is fetched", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Prints the list or a card, or fetches a file."""
    command.refuse_arguments(argv)
    if FLAGS.card is not None and FLAGS.fetch is not None:
        raise UserError("--card prints and --fetch fetches: give one of them.")
    if FLAGS.card is not None:
        _print_card(FLAGS.card)
    elif FLAGS.fetch is not None:
        _fetch(FLAGS.fetch)
    else:
        _print_list()


def _print_list() -> None:
    from rich.table import Table

    from ferjax.cli import output, tables
    from ferjax.inference.shipped import fetching, manifest

    table = Table("name", "kind", "size", "here", "what it is", "licence of the weights")
    for one in manifest.entries().values():
        here = "carried" if one.file is not None else "yes" if fetching.is_here(one) else "no"
        size = f"{one.num_bytes / 1e6:.1f} MB"
        table.add_row(one.name, one.kind, size, here, one.about, one.licence)
    tables.print_tables(table)
    output.say("--fetch=NAME fetches what is not here; --card=NAME prints the card of a model.")


def _print_card(name: str) -> None:
    from ferjax.cli import output
    from ferjax.inference.shipped import manifest

    card = manifest.entry(name, "model").card
    assert card is not None  # every model of the list has one
    output.say(card.read_text("utf-8").rstrip())


def _fetch(name: str) -> None:
    import sys

    from rich.console import Console

    from ferjax.cli import output, progress
    from ferjax.inference.shipped import fetching, manifest

    found = manifest.entry(name)
    if fetching.is_here(found):
        path = fetching.fetch(name)
    else:
        output.say(f"fetching {found.address}", file=sys.stderr)
        parts = -(-found.num_bytes // fetching.PART)
        with progress.bar(Console(stderr=True), name, parts) as on_part:
            path = fetching.fetch(name, on_part)
    output.say(f"{name} is {path}")


if __name__ == "__main__":
    command.run(main, flag_values=FLAGS)
