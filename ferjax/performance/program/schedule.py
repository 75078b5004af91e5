"""Which instructions of a compiled program run, and how often."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from ferjax.performance.program.hlo import Instruction, Program

# Instructions that name or rearrange values and cost nothing.
FREE = {"parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all"}
# Instructions that run other computations of the schedule.
_CALLERS = {"while", "conditional", "call", "async-start"}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The instructions that run in a step.

    Attributes:
      instructions: each with the number of its runs, without those that cost nothing.
      unknown_loops: names of loops whose number of runs the text does not say; each is counted as
        one run, so that every sum is too low where there are any.
    """

    instructions: tuple[tuple[Instruction, int], ...]
    unknown_loops: tuple[str, ...]


def walk(program: Program, weight: Callable[[Instruction], float] = lambda _: 1.0) -> Schedule:
    """Follows loops, calls and conditionals from the entry of a program.

    Of the branches of a conditional the heaviest one runs, by the sum of `weight` over its runs.
    """
    unknown: list[str] = []

    def run(computation: str, runs: int) -> Iterator[tuple[Instruction, int]]:
        for instruction in program.computations[computation]:
            if instruction.opcode in _CALLERS:
                yield from inside(instruction, runs)
            elif instruction.opcode not in FREE:
                yield instruction, runs

    def inside(caller: Instruction, runs: int) -> Iterator[tuple[Instruction, int]]:
        called = caller.called
        if caller.opcode == "while":
            trips = caller.backend_config.get("known_trip_count", {}).get("n")
            if trips is None:
                unknown.append(caller.name)
            for name in (*called["body"], *called["condition"]):
                yield from run(name, runs * int(trips or 1))
            return
        parts = [list(run(name, runs)) for names in called.values() for name in names]
        if caller.opcode == "conditional":
            parts = [max(parts, key=lambda part: sum(weight(each) * n for each, n in part))]
        for part in parts:
            yield from part

    return Schedule(tuple(run(program.entry, 1)), tuple(dict.fromkeys(unknown)))
