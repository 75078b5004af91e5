"""The kernels that a GPU launches in a step; the compiler for GPUs estimates no times."""

from __future__ import annotations

from collections import Counter

from ferjax.performance.hardware.chips import Chip
from ferjax.performance.program import collectives, traffic
from ferjax.performance.program.cycles import Cost
from ferjax.performance.program.hlo import Instruction, Program
from ferjax.performance.program.layers import layer_of
from ferjax.performance.program.schedule import Schedule

_LIBRARIES = {"__cudnn$": "cuDNN calls", "__cublas$": "cuBLAS calls"}


def count(ran: Schedule) -> dict[str, int]:
    """How many kernels of each kind a step launches, the most frequent kind first.

    Fusions, calls of libraries, copies, collectives, and other instructions by their opcode. A
    fusion is counted as one kernel, though one that reduces may be two.
    """
    kinds: Counter[str] = Counter()
    for instruction, runs in ran.instructions:
        if not instruction.opcode.endswith("-done"):
            kinds[_kind(instruction)] += runs
    return dict(kinds.most_common())


def by_bytes(program: Program, ran: Schedule, chip: Chip) -> list[Cost]:
    """The cost of moving operands and results alone, in cycles of 1 ns, the largest first."""
    instructions = program.instructions()
    costs = []
    for line, runs in ran.instructions:
        moved = runs * traffic.moved(line, program, instructions)
        nanoseconds = 1e9 * moved / chip.bandwidth
        opcode = line.custom_call_target or line.opcode
        name = layer_of(line, program)
        costs.append(Cost(line.name, opcode, name, nanoseconds, runs, "roofline"))
    return sorted(costs, key=lambda cost: -cost.cycles)


def _kind(instruction: Instruction) -> str:
    opcode = instruction.opcode.removesuffix("-start")
    if opcode == "fusion":
        return "fusions"
    if opcode == "copy":
        return "copies"
    if opcode in collectives.KINDS:
        return "collectives"
    target = instruction.custom_call_target
    for prefix, kind in _LIBRARIES.items():
        if target.startswith(prefix):
            return kind
    return target or opcode
