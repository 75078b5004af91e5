"""What the compiler of an accelerator is told beside the program."""

from __future__ import annotations

# Part of a TPU core's 128 MiB of vector memory that one instruction may use; the compiler's default
# is 16 MiB. A convolution then reads its maps in larger pieces, which overlap less: the 3x3
# convolutions of 64 channels at 48x48 are estimated at 0.8 of their time, with 32 MiB at 0.9. With
# 96 MiB little is gained, and compiling takes twice as long (launch/PERFORMANCE.md).
VECTOR_MEMORY_KIB = 64 * 1024


def options(platform: str) -> dict[str, str] | None:
    """The `compiler_options` of `jax.jit` for a training step on devices of this platform."""
    if platform != "tpu":
        return None
    return {"xla_tpu_scoped_vmem_limit_kib": str(VECTOR_MEMORY_KIB)}
