"""What is read from the text of compiled programs, on programs whose sums are known."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from ferjax.performance.hardware import chips
from ferjax.performance.program import collectives, cycles, hlo, layers

# A step with a fusion, a custom call, a loop of five runs, a conditional, and two collectives, one
# of which runs beside the computation.
TPU = (Path(__file__).parent / "tpu_step.hlo").read_text()


@pytest.fixture(scope="module")
def program():
    return hlo.parse(TPU)


def test_a_program_is_its_computations(program):
    assert program.entry == "main" and len(program.computations) == 7
    fusion = program.instructions()["step.1"]
    assert (fusion.opcode, fusion.operands) == ("fusion", ("state",))
    assert fusion.called == {"calls": ("fused_computation",)}
    assert program.instructions()["choice"].called == {"branch_computations": ("cheap", "dear")}


def test_values_have_sizes_padding_and_a_place(program):
    y, summed = (program.instructions()[name].values[0] for name in ("y", "sum"))
    assert str(y) == "bf16[16,48,48,1]" and y.bytes == 2 * 16 * 48 * 48
    # In memory the axes lie in the order 3, 0, 1, 2; the last two are filled up to (8, 128).
    assert y.padded_bytes == 2 * 16 * 48 * 128
    assert (y.space, summed.space) == (0, 1)
    assert (summed.bytes, summed.padded_bytes) == (32, 512)
    assert [str(value) for value in program.instructions()["started"].values] == [
        "f32[8]",
        "bf16[64]",
    ]


def test_cycles_are_those_of_what_the_schedule_runs(program):
    counted = cycles.count(program, chips.V5E)
    # 197e6 operations take a microsecond at 197e12 per second: 1500 cycles at 1.5 GHz.
    assert counted.total == pytest.approx(5 * (100 + 2) + 40 + 1500)
    assert [(cost.name, cost.basis) for cost in counted.charged] == [("call", "roofline")]
    assert counted.unknown_loops == ()
    assert counted.unestimated == {"all-reduce": 1, "all-gather-start": 1, "copy": 1}
    # The copy reads 16 x 48 rows of 128 and writes 28712 of them, a byte for each.
    moved = 2 * 16 * 48 * 128 + 28712 * 128
    assert counted.least_unestimated == pytest.approx(moved / 819e9 * 1.5e9)


def test_a_custom_call_that_states_nothing_is_charged_its_bytes():
    silent = TPU.replace('"flops":197000000,"bytes_accessed":8190', "")
    (cost,) = cycles.count(hlo.parse(silent), chips.V5E).charged
    assert cost.cycles == pytest.approx(2 * (2 * 16 * 48 * 48) / 819e9 * 1.5e9)


def test_the_most_expensive_come_first_by_the_name_of_their_layer(program):
    counted = cycles.count(program, chips.V5E)
    first, second = counted.most_expensive(2)
    assert (first.layer, first.opcode) == ("layer1.0.conv1 (backward)", "tpu_custom_call")
    # The fusion has no name: that of what is in it.
    assert (second.layer, second.cycles, second.runs) == ("layer1.0.bn1", 500, 5)
    assert list(counted.by_layer()) == [
        "layer1.0.conv1 (backward)",
        "layer1.0.bn1",
        "(unnamed)",
    ]


def test_a_loop_of_unknown_length_is_named(program):
    unknown = TPU.replace('"known_trip_count":{"n":"5"}', "")
    counted = cycles.count(hlo.parse(unknown), chips.V5E)
    assert counted.unknown_loops == ("loop",)
    assert counted.total == pytest.approx(102 + 40 + 1500)


def test_a_pair_of_start_and_done_is_one_collective(program):
    assert collectives.count(program) == {
        "all-reduce": collectives.Collectives(1, 32),
        "all-gather": collectives.Collectives(1, 128),  # not what it gathers, which starts with it
    }


def test_programs_without_estimates_are_refused(program):
    text = jax.jit(lambda x: jnp.sin(x) @ x).lower(jnp.ones((8, 8))).compile().as_text()
    compiled = hlo.parse(text)
    assert compiled.instructions()
    with pytest.raises(ValueError, match="not for a TPU"):
        cycles.count(compiled, chips.V5E)
    with pytest.raises(ValueError, match="H100 80GB HBM3 estimates no cycles"):
        cycles.count(program, chips.H100)
    with pytest.raises(ValueError, match="no ENTRY computation"):
        hlo.parse("HloModule empty\n")


@pytest.mark.parametrize(
    ("op_name", "layer"),
    [
        ("jit(run)/jvp(layer1.0)/layer1.0.conv1/conv_general_dilated", "layer1.0.conv1"),
        ("jit(run)/jvp(conv1)/cond/branch_0_fun/conv_general_dilated", "conv1"),
        ("jit(run)/transpose(jvp(layer1.0))/layer1.0.bn1/sum", "layer1.0.bn1 (backward)"),
        ("jit(run)/transpose(jvp(layer1.0))/add_any", "layer1.0 (backward)"),
        ("jit(run)/jvp(fc)/jit(_where)/select_n", "fc"),
        ("jit(run)/jvp()/jit(relu)/max", "(max)"),
        ("jit(run)/input/vmap()/vmap(jit(_uniform))/add", "input"),
        ("table.images", "(table.images)"),
        ("", "(unnamed)"),
    ],
)
def test_layers_are_named_by_their_scopes(op_name, layer):
    assert layers.layer(op_name) == layer
