"""Accelerators by name, and their devices for compilers.

v5e:2x2, v6e:4x4, v5p:2x2x1    a slice of TPUs: generation and chips along each axis
h100                           one NVIDIA H100
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import os
import re
from collections.abc import MutableMapping, Sequence
from importlib import resources
from typing import Any

from ferjax.errors import UserError, nearest
from ferjax.performance.hardware import chips
from ferjax.performance.hardware.chips import Chip

TPUS = {"v5e": chips.V5E, "v5p": chips.V5P, "v6e": chips.V6E}
H100 = "h100"
_EXAMPLES = "v5e:2x2, v5e:16x16, v6e:4x4, v5p:2x2x1 and h100"
# One of them brings the compiler for GPUs.
CUDA_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")
# Chips of a host, along each axis; a slice smaller than that is part of one.
_HOST = (2, 2, 1)

# Choosing algorithms by timing them needs the device, and untimed Triton's first choice of a tile
# may be none that fits a matrix product, which is then an error: cuBLAS takes them all.
_WITHOUT_A_GPU = ("--xla_gpu_autotune_level=0", "--xla_gpu_enable_triton_gemm=false")


@dataclasses.dataclass(frozen=True)
class Target:
    """Hardware to compile for.

    Attributes:
      name: its name as the user typed it.
      chip: what each device can do.
      topology: chips along each axis.
    """

    name: str
    chip: Chip
    topology: tuple[int, ...]

    @property
    def is_tpu(self) -> bool:
        """Whether it is a slice of TPUs; else it is one GPU."""
        return self.name != H100

    def devices(self) -> Sequence[Any]:
        """Its devices, for a mesh; they can be compiled for and nothing else.

        Raises:
          UserError: its compiler is not installed, or knows no such topology.
        """
        return _tpus(self) if self.is_tpu else _gpus()


def find(name: str) -> Target:
    """The target called `name`; raises a UserError that says what there is if there is none."""
    if name == H100:
        return Target(name, chips.H100, (1,))
    generation, _, axes = name.partition(":")
    if generation == H100:
        raise UserError(f"--target is {name!r}; {H100} is one chip and has no topology.")
    if generation not in TPUS:
        known = (*TPUS, H100)
        raise UserError(
            f"--target: there is no {generation!r}.{nearest(generation, known)} There are: "
            f"{_EXAMPLES}, and other topologies of {', '.join(TPUS)}."
        )
    if not re.fullmatch(r"[1-9][0-9]{0,3}(x[1-9][0-9]{0,3}){1,2}", axes):
        raise UserError(
            f"--target is {name!r}; expected the chips along each axis after the generation, as in "
            f"{_EXAMPLES}."
        )
    return Target(name, TPUS[generation], tuple(map(int, axes.split("x"))))


def prepare(environment: MutableMapping[str, str]) -> None:
    """Tells JAX and the compilers, through the environment, that their hardware is not there.

    Call it with `os.environ` before JAX starts.
    """
    environment["JAX_PLATFORMS"] = "cpu"
    # libtpu asks the machine which TPU it is, and complains where it is none.
    environment["TPU_SKIP_MDS_QUERY"] = "1"
    # One process at a time may use a TPU; compiling uses none.
    environment["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
    environment.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
    environment.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    environment.setdefault("TPU_WORKER_ID", "0")
    for name in ("TPU_STDERR_LOG_LEVEL", "TPU_MIN_LOG_LEVEL", "TF_CPP_MIN_LOG_LEVEL"):
        environment.setdefault(name, "3")
    flags = environment.get("XLA_FLAGS", "").split()
    named = {flag.partition("=")[0] for flag in flags}
    flags += [flag for flag in _WITHOUT_A_GPU if flag.partition("=")[0] not in named]
    environment["XLA_FLAGS"] = " ".join(flags)


def _tpus(target: Target) -> Sequence[Any]:
    path = os.environ.get("TPU_LIBRARY_PATH")
    if path is not None and not os.path.isfile(path):
        raise UserError(f"TPU_LIBRARY_PATH is {path!r}, which is no file; expected libtpu.so.")
    if path is None and importlib.util.find_spec("libtpu") is None:
        raise UserError(
            f"--target={target.name} needs the TPU compiler, which is not installed: "
            "pip install 'ferjax[tpu]'. It needs no TPU."
        )
    devices = _opened(target.name)
    if devices is None:
        generation = target.name.partition(":")[0]
        near = ", ".join(_near(generation, target.topology))
        raise UserError(
            f"--target: the TPU compiler knows no topology {target.name}. Near it there are: "
            f"{near}."
        )
    return devices


def _opened(name: str) -> Sequence[Any] | None:
    """The devices of a topology; None where the compiler knows none of this name."""
    import jax
    from jax.experimental import topologies

    sizes = [int(size) for size in name.partition(":")[2].split("x")]
    part = {"chips_per_host_bounds": [1, 1, 1]} if max(sizes) == 1 else {}
    try:
        return topologies.get_topology_desc(name, platform="tpu", **part).devices
    except jax.errors.JaxRuntimeError as error:
        if "INVALID_ARGUMENT" in str(error):
            return None
        raise


def _near(generation: str, topology: tuple[int, ...]) -> list[str]:
    """Topologies with the same or the nearest sizes that the compiler knows."""
    steps = [
        sorted({max(size // host * host, host), -(-size // host) * host})
        for size, host in zip(topology, _HOST, strict=False)
    ]
    names = (f"{generation}:{'x'.join(map(str, sizes))}" for sizes in itertools.product(*steps))
    return [name for name in names if _opened(name) is not None]


def _gpus() -> Sequence[Any]:
    from jax.experimental import topologies

    if not any(map(importlib.util.find_spec, CUDA_PLUGINS)):
        raise UserError(
            f"--target={H100} needs the CUDA compiler, which is not installed: "
            "pip install 'ferjax[cuda13]' or 'ferjax[cuda12]'. It needs no GPU."
        )
    described = resources.files("ferjax.performance.hardware").joinpath("h100.txtpb").read_text()
    return topologies.get_topology_desc(
        H100, platform="cuda", target_config=described, topology="1x1x1"
    ).devices
