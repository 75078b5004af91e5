"""The benchmark's figures are of what they claim to be."""

import json

import pytest

from ferjax.cli import tables
from ferjax.errors import UserError
from ferjax.performance import throughput
from tests.helpers import tiny


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    config = tiny.config(tmp_path_factory.mktemp("data"), "attention=none,loss=softmax")
    return throughput.measure(
        config, steps=2, repetitions=2, placements=("device", "host", "stream")
    )


def test_every_figure_is_there_and_serialisable(figures):
    assert json.loads(json.dumps(figures)) == figures
    for name in ("forward", "compile_seconds", "peak_memory_bytes"):
        assert figures[name] > 0, name
    assert list(figures["placements"]) == ["device", "host", "stream"]
    for each in figures["placements"].values():
        assert min(each[name] for name in ("train_step", "loop", "input", "delivery")) > 0
        assert 0 <= each["input_wait"] < 1


def test_a_placement_that_does_not_exist_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(UserError, match=r"placements is 'hots'; expected .*Did you mean 'host'"):
        throughput.measure(tiny.config(tmp_path), placements=("device", "hots"))
    assert not list(tmp_path.iterdir())


def test_flops_are_those_of_the_network(figures):
    """Twice the multiplications of the convolutions, three times for a training step.

    Products with padding do not count: a row of s outputs meets 3 s - 2 pixels (3 s - 1 at stride
    2). What is not a convolution comes on top.
    """
    width, side = 8, 8  # the half stem turns 16 pixels into 8
    forward = (3 * side - 1) ** 2 * width
    for stage in range(4):
        channels, size = width * 2**stage, side // 2**stage
        same = (3 * size - 2) ** 2 * channels**2
        if stage == 0:
            forward += 2 * same
        else:
            forward += same + ((3 * size - 1) ** 2 + size**2) * channels * channels // 2
    assert 6 * forward < figures["flops_per_image"] < 1.25 * 6 * forward


def test_a_forward_pass_is_no_faster_than_it_can_be(figures):
    """A program whose result nobody counts would be optimised away, and look infinitely fast."""
    assert figures["forward"] < 30 * figures["placements"]["device"]["train_step"]


def test_the_table_carries_units(figures):
    rows = throughput.rows(figures)
    assert rows["training step (device)"].endswith("images/s")
    assert "images/s" in rows["input alone (stream)"] and rows["compile time"].endswith(" s")
    tables.figure_table(rows, "Throughput")


@pytest.mark.parametrize(
    ("analysis", "expected"),
    [({"flops": 3}, 3.0), ([{"flops": 3}], 3.0), ([], None), (None, None), ({}, None)],
)
def test_a_count_that_jax_does_not_give_is_none(analysis, expected):
    assert throughput.counted_flops(analysis) == expected
