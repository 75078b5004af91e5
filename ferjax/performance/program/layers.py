"""Which layer an instruction belongs to, by the name that JAX gave it when it was traced."""

from __future__ import annotations

import re
from collections import Counter

from ferjax.performance.program.hlo import Instruction, Program

# Wrappers that JAX puts around the names of scopes, such as jvp(...) and transpose(jvp(...)) of a
# gradient; a function that was compiled by itself, jit(...), is not a scope.
_WRAPPED = re.compile(r"^(?P<outer>[a-z_]+)\((?P<inner>.*)\)$")
_FUNCTIONS = ("jit", "pjit", "shard_map")
_SCOPE = re.compile(r"(?!branch_\d+_fun)[A-Za-z][\w.]*")
_NOT_LAYERS = ("cond", "while", "body", "scan", "checkpoint", "rematted_computation")


def layer_of(instruction: Instruction, program: Program) -> str:
    """The layer of an instruction; without a name, the most frequent layer among those it calls."""
    if instruction.op_name:
        return layer(instruction.op_name)
    names = Counter(
        layer(inner.op_name)
        for computations in instruction.called.values()
        for name in computations
        for inner in program.computations.get(name, ())
        if inner.op_name
    )
    return names.most_common(1)[0][0] if names else layer("")


def layer(op_name: str) -> str:
    """The innermost scope of an operation: "layer1.0.conv1", or "conv1 (backward)" for gradients.

    `op_name` is the metadata of an instruction, such as
    `jit(run)/transpose(jvp(layer1.0))/layer1.0.conv1/conv_general_dilated`. Operations outside of
    every scope are named by their operation, such as "(mul)".
    """
    if not op_name:
        return "(unnamed)"
    name, backward = "", False
    *path, operation = _parts(op_name)
    for part in path:
        while found := _WRAPPED.match(part):
            backward |= found["outer"] == "transpose"
            part = "" if found["outer"] in _FUNCTIONS else found["inner"]
        if _SCOPE.fullmatch(part) and part not in _NOT_LAYERS:
            name = part
    name = name or f"({operation})"
    return f"{name} (backward)" if backward else name


def _parts(op_name: str) -> list[str]:
    """The path, cut at the slashes that are not inside brackets."""
    parts, depth = [""], 0
    for character in op_name:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "/" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
