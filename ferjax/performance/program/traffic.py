"""How many bytes a compiled program moves between the device and its main memory.

XLA's own count of accessed bytes includes those that stay in memory on the chip; this one leaves
them out. It counts operands and results of every instruction that runs, padding included.
"""

from __future__ import annotations

from collections.abc import Mapping

from ferjax.performance.program.hlo import Instruction, Program, Value
from ferjax.performance.program.schedule import Schedule

# Instructions that read only the part of their first operand that they return.
_READS_A_PART = {"gather", "dynamic-slice", "slice"}


def total(program: Program, schedule: Schedule) -> int:
    """Bytes of a step."""
    instructions = program.instructions()
    return sum(
        runs * moved(instruction, program, instructions)
        for instruction, runs in schedule.instructions
    )


def moved(
    instruction: Instruction, program: Program, instructions: Mapping[str, Instruction]
) -> int:
    """Bytes of one run of an instruction; `instructions` are the program's, by name.

    A transfer that runs beside the computation is a pair of a start, which counts nothing, and a
    done, which counts the operands of the start and the result.
    """
    opcode, kind = instruction.opcode, instruction.opcode.removesuffix("-done")
    if opcode.endswith("-start") or opcode == "async-done":  # what async-start calls counts itself
        return 0
    taken = instruction.operands
    if kind != opcode:
        taken = instructions[taken[0]].operands
    read = 0
    for position, name in enumerate(taken):
        whole = sum(map(_in_main_memory, instructions[name].values))
        if kind in _READS_A_PART:
            part = instruction.bytes if position == 0 else None
        else:
            part = _part_of_fusion(instruction, position, program)
        read += whole if part is None else min(whole, part)
    return read + sum(map(_in_main_memory, instruction.values))


def _in_main_memory(value: Value) -> int:
    return value.padded_bytes if value.space == 0 else 0


def _part_of_fusion(instruction: Instruction, position: int, program: Program) -> int | None:
    """Bytes that a fusion reads of an operand, if it reads only a part; else None."""
    if instruction.opcode != "fusion":
        return None
    (name,) = instruction.called["calls"]
    inside = program.computations[name]
    parameter = next(line.name for line in inside if line.parameter == position)
    users = [line for line in inside if parameter in line.operands]
    if not users or any(
        line.opcode not in _READS_A_PART or line.operands[0] != parameter for line in users
    ):
        return None
    return sum(line.bytes for line in users)
