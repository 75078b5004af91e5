"""The time of a TPU program as its compiler estimates it.

The compiler writes beside most instructions how many cycles it expects them to take. Their sum over
the instructions that the schedule runs is the estimate of a step. Transfers that run beside the
computation (copy-start, collectives) carry no estimate, and waiting for them is not in the sum.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ferjax.performance.hardware.chips import Chip
from ferjax.performance.program import collectives, traffic
from ferjax.performance.program.hlo import Instruction, Program
from ferjax.performance.program.layers import layer_of
from ferjax.performance.program.schedule import walk

# Custom calls that tell the compiler something and do nothing.
_NO_WORK = {"AllocateBuffer", "AssumeGatherIndicesInBound", "ConcatBitcast"}


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one instruction of the schedule in a step.

    Attributes:
      name: the name of the instruction.
      opcode: its opcode, such as "fusion"; for a custom call, its target.
      layer: see `layers.layer_of`.
      cycles: cycles of all its runs.
      runs: how often it runs; more than once in a loop.
      basis: "estimate" of the compiler, or "roofline": the least time that its operations (if they
        are stated) and the bytes of its operands and results take.
    """

    name: str
    opcode: str
    layer: str
    cycles: float
    runs: int
    basis: str


@dataclasses.dataclass(frozen=True)
class Cycles:
    """The estimate of a program.

    Attributes:
      costs: one for each instruction that has an estimate or is charged its roofline time.
      unestimated: opcode -> how many instructions on arrays have no estimate and are charged
        nothing.
      least_unestimated: cycles that moving their operands and results takes at least, without
        collectives and transfers that run beside the computation. It is not in the total.
      unknown_loops: names of loops whose number of runs the text does not say; each is counted as
        one run, so that the sum is too low where there are any.
    """

    costs: tuple[Cost, ...]
    unestimated: dict[str, int]
    least_unestimated: float
    unknown_loops: tuple[str, ...]

    @property
    def total(self) -> float:
        """Cycles of a step."""
        return sum(cost.cycles for cost in self.costs)

    @property
    def charged(self) -> tuple[Cost, ...]:
        """Costs without an estimate of the compiler, which are charged their roofline time."""
        return tuple(cost for cost in self.costs if cost.basis == "roofline")

    def most_expensive(self, number: int = 10) -> list[Cost]:
        """The costs of the instructions that cost most, the largest first."""
        return sorted(self.costs, key=lambda cost: -cost.cycles)[:number]

    def by_layer(self) -> dict[str, float]:
        """Cycles of each layer, the largest first."""
        sums: dict[str, float] = {}
        for cost in self.costs:
            sums[cost.layer] = sums.get(cost.layer, 0.0) + cost.cycles
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def count(program: Program, chip: Chip) -> Cycles:
    """Sums the compiler's estimates over what the schedule runs.

    Of the branches of a conditional the most expensive one counts. Custom calls without an estimate
    are charged their roofline time on `chip`.

    Raises:
      ValueError: the chip has no clock, or no instruction of the program has an estimate, as in a
        program for a GPU.
    """
    if chip.clock is None:
        raise ValueError(f"the compiler for {chip.name} estimates no cycles")
    instructions, clock = program.instructions(), chip.clock

    def cycles(instruction: Instruction) -> tuple[float, str] | None:
        estimate = _find(instruction.backend_config, "estimated_cycles")
        if estimate is not None:
            return float(estimate), "estimate"
        if instruction.opcode == "custom-call" and instruction.custom_call_target not in _NO_WORK:
            return _roofline(instruction, instructions, chip) * clock, "roofline"
        return None

    schedule = walk(program, lambda instruction: (cycles(instruction) or (0.0,))[0])
    costs, unestimated, moved = [], Counter[str](), 0
    for instruction, runs in schedule.instructions:
        opcode = instruction.custom_call_target or instruction.opcode
        counted = cycles(instruction)
        if counted is not None:
            each, basis = counted
            name = layer_of(instruction, program)
            costs.append(Cost(instruction.name, opcode, name, each * runs, runs, basis))
        elif not opcode.endswith("-done") and any(value.shape for value in instruction.values):
            unestimated[opcode] += runs  # a pair of start and done counts once
            if not opcode.endswith("-start") and opcode not in (*collectives.KINDS, *_NO_WORK):
                moved += runs * traffic.moved(instruction, program, instructions)
    if not any(cost.basis == "estimate" for cost in costs):
        raise ValueError("no instruction has estimated_cycles; the program is not for a TPU")
    least = moved / chip.bandwidth * clock
    return Cycles(tuple(costs), dict(unestimated), least, schedule.unknown_loops)


def _roofline(call: Instruction, instructions: Mapping[str, Instruction], chip: Chip) -> float:
    """The least seconds of a custom call, by the cost that its author states."""
    stated = _find(call.backend_config, "cost_estimate") or {}
    moved = call.bytes + sum(instructions[name].bytes for name in call.operands)
    return max(
        int(stated.get("flops", 0)) / chip.flops,
        int(stated.get("bytes_accessed", moved)) / chip.bandwidth,
    )


def _find(config: dict[str, Any], field: str) -> Any:
    """The field of a backend's config or of one of the groups right inside it; None if missing."""
    if field in config:
        return config[field]
    groups = [group for group in config.values() if isinstance(group, dict)]
    return next((group[field] for group in groups if field in group), None)
