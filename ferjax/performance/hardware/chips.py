"""The peak performance of one chip."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chip:
    """Peaks of one device.

    Attributes:
      name: its name for people.
      flops: bfloat16 operations per second of the matrix units.
      bandwidth: bytes per second of the main memory.
      memory: bytes of the main memory.
      clock: cycles per second that the compiler counts in; None where it counts none.
    """

    name: str
    flops: float
    bandwidth: float
    memory: int
    clock: float | None = None


# Peaks, memory and bandwidth: Google Cloud's pages "TPU v5e", "TPU v5p" and "TPU v6e (Trillium)".
# Clocks are of the matrix units: operations per second of a chip, divided by operations per cycle
# (v5e: 4 units of 128x128, 2 operations for each, give 197e12 at 1.5 GHz).
V5E = Chip("TPU v5e", flops=197e12, bandwidth=819e9, memory=16 << 30, clock=1.5e9)
V5P = Chip("TPU v5p", flops=459e12, bandwidth=2765e9, memory=95 << 30, clock=1.75e9)
V6E = Chip("TPU v6e", flops=918e12, bandwidth=1640e9, memory=32 << 30, clock=1.75e9)
# NVIDIA's data sheet of the H100 SXM (dense bfloat16: half of the figure with sparsity); memory:
# see h100.txtpb.
H100 = Chip("NVIDIA H100 80GB HBM3", flops=989.4e12, bandwidth=3352.32e9, memory=84929347584)
