"""The text of a compiled program (HLO) as computations of instructions.

`jax.stages.Compiled.as_text()` returns it, for any platform. An instruction is one line:

    %name = bf16[512,24,24,64]{3,2,1,0:T(8,128)(2,1)} fusion(%a, %b), kind=kLoop, calls=%c, ...
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

# Bits of an element; f8 types have eight, and what is not listed holds no data (token, opaque).
_BITS = {"pred": 8, "bf16": 16, **{f"{kind}4": 4 for kind in "su"}}
_BITS |= {f"{kind}{bits}": bits for kind in "suf" for bits in (8, 16, 32, 64)}
_BITS |= {"c64": 64, "c128": 128}

_COMPUTATION = re.compile(r"^(ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(
    r"^\s+(?P<root>ROOT )?%?(?P<name>[\w.\-]+) = (?P<shape>.*?) (?P<opcode>[a-z][\w\-]*)\("
)
_ARRAY = re.compile(r"\b(?P<type>[a-z]\w*)\[(?P<sizes>[\d,<=]*)\](?:\{(?P<layout>[^}]*)\})?")
_CALLED = re.compile(
    r"\b(?P<attribute>calls|to_apply|body|condition|branch_computations|called_computations"
    r"|true_computation|false_computation)=(?:\{(?P<many>[^}]*)\}|%?(?P<one>[\w.\-]+))"
)


@dataclasses.dataclass(frozen=True)
class Value:
    """An array that an instruction returns.

    Attributes:
      type: type of an element, such as "bf16".
      shape: its sizes; for a dynamic size, the largest.
      bytes: size of its elements.
      padded_bytes: size in memory, with the padding of its layout's tiles.
      space: its memory: 0 is the device's main memory, others are on the chip, such as S(1).
    """

    type: str
    shape: tuple[int, ...]
    bytes: int
    padded_bytes: int
    space: int

    def __str__(self) -> str:
        return f"{self.type}[{','.join(map(str, self.shape))}]"


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
      name: unique in the program.
      opcode: its opcode, such as "fusion".
      values: the arrays that it returns; several for a tuple.
      operands: names of the instructions that it takes.
      attributes: the rest of the line.
      parameter: for a parameter, its number in its computation, counted from 0; else None.
    """

    name: str
    opcode: str
    values: tuple[Value, ...]
    operands: tuple[str, ...]
    attributes: str
    parameter: int | None = None

    @property
    def bytes(self) -> int:
        """Size of all its values."""
        return sum(value.bytes for value in self.values)

    @property
    def op_name(self) -> str:
        """Its origin in the Python program, such as `jit(run)/layer1.0/mul`; or ""."""
        found = re.search(r'op_name="([^"]*)"', self.attributes)
        return found[1].replace("\\'", "'") if found else ""

    @property
    def custom_call_target(self) -> str:
        """The target of a custom call; "" for other instructions."""
        found = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return found[1] if found else ""

    @property
    def called(self) -> dict[str, tuple[str, ...]]:
        """Names of the computations that it calls, under the attribute that names them."""
        return {
            found[0].partition("=")[0]: tuple(
                re.findall(r"[\w.\-]+", found["many"] or found["one"])
            )
            for found in _CALLED.finditer(self.attributes)
        }

    @property
    def backend_config(self) -> dict[str, Any]:
        """The backend's JSON object for it; empty if there is none."""
        _, found, rest = self.attributes.partition("backend_config=")
        if not found or not rest.startswith("{"):
            return {}
        return json.JSONDecoder().raw_decode(rest)[0]


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program.

    Attributes:
      computations: name -> its instructions, in the order of the schedule.
      entry: name of the computation that runs first.
    """

    computations: dict[str, tuple[Instruction, ...]]
    entry: str

    def instructions(self) -> dict[str, Instruction]:
        """Every instruction by its name."""
        return {each.name: each for lines in self.computations.values() for each in lines}


def parse(text: str) -> Program:
    """Reads the text of a compiled program.

    Raises:
      ValueError: there is no entry computation in it.
    """
    computations: dict[str, list[Instruction]] = {}
    entry, current = None, None
    for line in text.splitlines():
        opened = _COMPUTATION.match(line)
        if opened:
            current = computations.setdefault(opened["name"], [])
            entry = opened["name"] if opened[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (found := _INSTRUCTION.match(line)):
            current.append(_instruction(found, line[found.end() :]))
    if entry is None:
        raise ValueError("the text has no ENTRY computation; it is not that of a compiled program")
    return Program({name: tuple(lines) for name, lines in computations.items()}, entry)


def _instruction(found: re.Match[str], rest: str) -> Instruction:
    operands, attributes = _split_operands(rest)
    names = [] if found["opcode"] == "constant" else re.findall(r"%([\w.\-]+)", operands)
    return Instruction(
        name=found["name"],
        opcode=found["opcode"],
        values=tuple(value(each) for each in _ARRAY.finditer(found["shape"])),
        operands=tuple(names),
        attributes=attributes,
        parameter=int(operands) if found["opcode"] == "parameter" else None,
    )


def value(found: re.Match[str]) -> Value:
    """The array that a match of `_ARRAY` describes."""
    sizes = tuple(int(size.lstrip("<=")) for size in found["sizes"].split(",") if size)
    layout = found["layout"] or ""
    bits = 8 if found["type"].startswith("f8") else _BITS.get(found["type"], 0)
    space = re.search(r"S\((\d+)\)", layout)
    return Value(
        type=found["type"],
        shape=sizes,
        bytes=math.ceil(math.prod(sizes) * bits / 8),
        padded_bytes=math.ceil(math.prod(_padded(sizes, layout)) * bits / 8),
        space=int(space[1]) if space else 0,
    )


def _padded(sizes: tuple[int, ...], layout: str) -> list[int]:
    """Sizes in memory, the fastest last: the first tile of a layout fills up the last of them."""
    order, _, rest = layout.partition(":")
    minor_first = [int(axis) for axis in order.split(",") if axis]
    padded = [sizes[axis] for axis in reversed(minor_first)] if minor_first else list(sizes)
    tile = re.search(r"T\(([\d,]+)\)", rest)
    if tile:
        units = [int(unit) for unit in tile[1].split(",")]
        padded = [1] * (len(units) - len(padded)) + padded
        start = len(padded) - len(units)
        for position, unit in enumerate(units, start):
            padded[position] = -(-padded[position] // unit) * unit
    return padded


def _split_operands(rest: str) -> tuple[str, str]:
    """What stands before and after the bracket that closes the operands."""
    depth, quoted = 1, False
    for position, character in enumerate(rest):
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0:
                return rest[:position], rest[position + 1 :]
    return rest, ""
