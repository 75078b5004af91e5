"""Bytes, buffers and kernels of compiled programs, on a program whose sums are known."""

import pytest

from ferjax.performance.hardware import chips
from ferjax.performance.program import hlo, kernels, memory, schedule, traffic

# Two rows of a table of a hundred, a copy to the memory on the chip and on from there, and a loop.
GPU = """HloModule jit_run, is_scheduled=true

%rows (table.1: f32[100,32], index.1: s32[2]) -> f32[2,32] {
  %table.1 = f32[100,32]{1,0} parameter(0)
  %index.1 = s32[2]{0} parameter(1)
  ROOT %gathered = f32[2,32]{1,0} gather(%table.1, %index.1), offset_dims={1}
}

%body (x.1: f32[2,32]) -> f32[2,32] {
  %x.1 = f32[2,32]{1,0} parameter(0)
  ROOT %twice = f32[2,32]{1,0} add(%x.1, %x.1), metadata={op_name="jit(run)/update/add"}
}

%condition (x.2: f32[2,32]) -> pred[] {
  %x.2 = f32[2,32]{1,0} parameter(0)
  ROOT %on = pred[] constant(true)
}

ENTRY %main (table: f32[100,32], index: s32[2]) -> f32[2,32] {
  %table = f32[100,32]{1,0} parameter(0), metadata={op_name="state[\\'images\\']"}
  %index = s32[2]{0} parameter(1)
  %read = f32[2,32]{1,0} fusion(%table, %index), kind=kLoop, calls=%rows, metadata={op_name="jit(run)/input/gather"}
  %started = (f32[2,32]{1,0:S(1)}, f32[2,32]{1,0}, u32[]) copy-start(%read)
  %there = f32[2,32]{1,0:S(1)} copy-done(%started)
  %slice = ((f32[100,32]{1,0}), f32[4,32]{1,0:S(1)}, s32[]) slice-start(%table), slice={[0:4], [0:32]}
  %sliced = f32[4,32]{1,0:S(1)} slice-done(%slice)
  %conv = (f32[2,32]{1,0}, u8[640]{0}) custom-call(%there), custom_call_target="__cudnn$convForward", metadata={op_name="jit(run)/jvp(conv1)/conv_general_dilated"}
  %y = f32[2,32]{1,0} get-tuple-element(%conv), index=0
  %product = f32[2,32]{1,0} custom-call(%y, %y), custom_call_target="__cublas$gemm"
  ROOT %loop = f32[2,32]{1,0} while(%product), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"3"}}
}
"""  # noqa: E501 - an instruction is a line

ROWS = 2 * 32 * 4


@pytest.fixture(scope="module")
def program():
    return hlo.parse(GPU)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("read", ROWS + 8 + ROWS),  # two rows and two indices read, two rows written
        ("started", 0),
        ("there", ROWS),  # read once; what it writes lies on the chip
        ("sliced", 4 * 32 * 4),  # not the whole table
        ("conv", ROWS + 640),  # what it reads lies on the chip
        ("product", 3 * ROWS),
    ],
)
def test_bytes_are_those_of_the_main_memory(program, name, expected):
    instructions = program.instructions()
    assert traffic.moved(instructions[name], program, instructions) == expected


def test_bytes_of_a_step_count_every_run_of_a_loop(program):
    ran = schedule.walk(program)
    outside = (ROWS + 8 + ROWS) + ROWS + 2 * ROWS + (ROWS + 640) + 3 * ROWS
    assert traffic.total(program, ran) == outside + 3 * 3 * ROWS


def test_a_table_that_is_read_as_a_whole_counts_as_a_whole(program):
    whole = hlo.parse(GPU.replace("gather(%table.1, %index.1)", "reduce(%table.1, %index.1)"))
    instructions = whole.instructions()
    assert traffic.moved(instructions["read"], whole, instructions) == 12800 + 8 + ROWS


def test_kernels_are_counted_by_their_kind(program):
    assert kernels.count(schedule.walk(program)) == {
        "add": 3,
        "fusions": 1,
        "copies": 1,
        "slice": 1,
        "cuDNN calls": 1,
        "cuBLAS calls": 1,
    }


def test_kernels_are_ranked_by_the_time_of_their_bytes(program):
    costs = kernels.by_bytes(program, schedule.walk(program), chips.H100)
    assert [cost.layer for cost in costs[:2]] == ["update", "conv1"]
    assert costs[0].cycles == pytest.approx(3 * 3 * ROWS / 3352.32e9 * 1e9)


def test_the_largest_arrays_are_in_the_main_memory(program):
    first, second = memory.largest(program, 2)
    assert (first.value, first.bytes, first.layer) == ("f32[100,32]", 12800, "(state['images'])")
    assert first.opcode == "parameter"
    assert (second.value, second.bytes, second.layer) == ("u8[640]", 640, "conv1")
    ends = {buffer.opcode for buffer in memory.largest(program, 99)}
    assert not ends & {"copy-start", "copy-done", "slice-start", "slice-done"}  # on the chip


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (63.26G) exceeds available HBM (15.75G).",
            (67924907008, 16911433728),
        ),
        (
            "Ran out of memory in memory space hbm. Used 27.50G of 15.75G hbm.",
            (29527900160, 16911433728),
        ),
        ("RESOURCE_EXHAUSTED: something else", None),
    ],
)
def test_messages_of_a_shortage_have_sizes(message, expected):
    found = memory.shortage(message)
    assert found == pytest.approx(expected, rel=1e-4) if expected else found is None
