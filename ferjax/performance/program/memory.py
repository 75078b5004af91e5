"""The memory that a compiled program needs on a device."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from ferjax.performance.program.hlo import Program
from ferjax.performance.program.layers import layer_of

# Instructions without memory of their own: their results are other names of existing arrays.
_NAMES = {"get-tuple-element", "tuple", "bitcast", "while", "conditional", "call", "opt-barrier"}
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = r"([\d.]+)([KMGT]?)(?:i?B)?"
# The compilers' messages for a program that is too large: needed and available memory.
_TOO_LARGE = (
    re.compile(rf"memory required for .*?\({_SIZE}\) exceeds available \w+ \({_SIZE}\)"),
    re.compile(rf"Used {_SIZE} of {_SIZE} "),
)


@dataclasses.dataclass(frozen=True)
class Buffer:
    """An array of a program.

    Attributes:
      bytes: its size, with the padding of its layout's tiles.
      value: type and shape, such as "f32[512,24,24,64]".
      opcode: opcode of the instruction that returns it; "parameter" is an argument of the program.
      layer: see `layers.layer_of`.
    """

    bytes: int
    value: str
    opcode: str
    layer: str


def sizes(compiled: Any) -> dict[str, int]:
    """Bytes on each device, of a `jax.stages.Compiled`.

    `total` counts donated arrays once: the new state takes the place of the old one.
    """
    memory = compiled.memory_analysis()
    parts = {
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "code": memory.generated_code_size_in_bytes,
    }
    return {"total": sum(parts.values()), **parts}


def largest(program: Program, number: int = 5) -> list[Buffer]:
    """The largest single arrays in the main memory, from the entry computation.

    They need not be there at the same time, and several may share their place.
    """
    found = [
        Buffer(value.padded_bytes, str(value), line.opcode, layer_of(line, program))
        for line in program.computations[program.entry]
        # The start of a transfer also lists its inputs; the done lists the result alone.
        if line.opcode not in _NAMES and not line.opcode.endswith("-start")
        for value in line.values
        if value.space == 0
    ]
    return sorted(found, key=lambda buffer: -buffer.bytes)[:number]


def shortage(message: str) -> tuple[int, int] | None:
    """(bytes needed, bytes there are) of a compiler's message that a program is too large.

    None where the message says neither.
    """
    for pattern in _TOO_LARGE:
        if found := pattern.search(message):
            needed, unit, there, unit_there = found.groups()
            return round(float(needed) * _UNITS[unit]), round(float(there) * _UNITS[unit_there])
    return None
