"""Targets are found by name, and what cannot be compiled for says why."""

import importlib.util
import json

import pytest

from ferjax.errors import UserError
from ferjax.performance.hardware import chips, targets

# A program of two matrix products and a sum over chips, and a topology that does not exist.
ON_TPU = """
import json, os
from ferjax.performance.hardware import targets
targets.prepare(os.environ)
import jax, jax.numpy as jnp
from ferjax.distributed import sharding
from ferjax.performance.program import collectives, cycles, hlo, memory
from ferjax.errors import UserError
target = targets.find("v5e:2x2")
mesh = sharding.make_mesh(target.devices())
x = jax.ShapeDtypeStruct((1024, 512), jnp.bfloat16, sharding=sharding.by_batch(mesh))
compiled = jax.jit(lambda x: x.T @ x, out_shardings=sharding.replicated(mesh)).lower(x).compile()
program = hlo.parse(compiled.as_text())
found = {
    "cycles": cycles.count(program, target.chip).total,
    "collectives": {kind: each.bytes for kind, each in collectives.count(program).items()},
    "memory": memory.sizes(compiled),
    "single": len(targets.find("v5e:1x1").devices()),
}
try:
    targets.find("v5e:3x7").devices()
except UserError as error:
    found["unknown"] = str(error)
print(json.dumps(found))
"""


def test_targets_are_chips_and_a_topology():
    target = targets.find("v5p:2x2x4")
    assert target.chip is chips.V5P and target.topology == (2, 2, 4) and target.is_tpu
    assert not targets.find("h100").is_tpu


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5f:2x2", "there is no 'v5f'. Did you mean"),
        ("h100:2x2", "h100 is one chip and has no topology"),
        (f"v5e:{'9' * 5000}x2", "--target"),
        ("h200", "There are: v5e:2x2, v5e:16x16"),
        ("v5e", "expected the chips along each axis after the generation"),
        ("v5e:0x2", "expected the chips along each axis"),
        ("v6e:4", "expected the chips along each axis"),
    ],
)
def test_other_targets_are_refused(name, message):
    with pytest.raises(UserError, match="--target") as caught:
        targets.find(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "extra"), [("v5e:2x2", "tpu"), ("h100", "cuda13")])
def test_a_compiler_that_is_missing_is_named_with_its_extra(monkeypatch, name, extra):
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(UserError) as caught:
        targets.find(name).devices()
    assert f"pip install 'ferjax[{extra}]'" in str(caught.value)


def test_a_path_of_the_compiler_must_be_a_file(monkeypatch):
    monkeypatch.setenv("TPU_LIBRARY_PATH", "/nowhere/libtpu.so")
    with pytest.raises(UserError, match=r"TPU_LIBRARY_PATH is '/nowhere/libtpu\.so', which is no"):
        targets.find("v5e:2x2").devices()


def test_the_environment_keeps_what_its_user_chose():
    environment = {"XLA_FLAGS": "--xla_gpu_autotune_level=2", "JAX_PLATFORMS": "tpu"}
    targets.prepare(environment)
    flags = environment["XLA_FLAGS"].split()
    assert flags == ["--xla_gpu_autotune_level=2", "--xla_gpu_enable_triton_gemm=false"]
    assert environment["JAX_PLATFORMS"] == "cpu"
    targets.prepare(bare := {"XLA_FLAGS": "--xla_dump_to=x"})
    assert bare["XLA_FLAGS"].startswith("--xla_dump_to=x --xla_gpu_autotune_level=0 ")


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu is not installed, which compiles for TPUs: pip install 'ferjax[tpu]'",
)
def test_programs_for_a_tpu_have_cycles_and_collectives(run_python):
    found = json.loads(run_python(ON_TPU).stdout.splitlines()[-1])
    # 256 rows of 512 on each chip: 0.68 us of its peak, and half a megabyte to read and write.
    assert 1_000 < found["cycles"] < 100_000
    assert sum(found["collectives"].values()) >= 512 * 512 * 2
    assert found["memory"]["arguments"] == 256 * 512 * 2
    assert found["single"] == 1
    assert "no topology v5e:3x7" in found["unknown"]
    assert "v5e:2x6, v5e:2x8, v5e:4x6, v5e:4x8" in found["unknown"]
