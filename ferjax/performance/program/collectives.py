"""How devices exchange data in a compiled program."""

from __future__ import annotations

import dataclasses

from ferjax.performance.program.hlo import Program

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
    "ragged-all-to-all",
)


@dataclasses.dataclass(frozen=True)
class Collectives:
    """The collectives of one kind.

    Attributes:
      number: instructions in the program.
      bytes: size of their results on one device, in one run of each. Links carry more: a ring
        all-reduce almost twice as much.
    """

    number: int
    bytes: int


def count(program: Program) -> dict[str, Collectives]:
    """Kind -> its collectives, for those kinds that the program has.

    One that runs beside the computation is a pair of a start and a done, and counts once.
    """
    found: dict[str, Collectives] = {}
    started = {f"{kind}-done": kind for kind in KINDS}
    for computation in program.computations.values():
        for instruction in computation:
            # The start gives what it takes as well, the done gives the result alone.
            kind = started.get(instruction.opcode, instruction.opcode)
            if kind in KINDS:
                before = found.get(kind, Collectives(0, 0))
                found[kind] = Collectives(before.number + 1, before.bytes + instruction.bytes)
    return found
