"""Every pair of values of any two arguments of a config trains one shrunk step somewhere."""

import itertools

import jax
import numpy as np
import pytest
import tiny

from ferjax import experiment

# Arguments that choose what is built; the others move numbers and files.
CHOICES = {
    "cbam_island": {
        "attention": ["none", "se", "cbam"],
        "loss": ["softmax", "center", "island"],
        "preset": ["sun2021", "cai2018", "wen2016"],
        "center_update": ["rule", "gradient"],
        "paper_literal": ["false", "true"],
        "budget": ["paper", "cpu"],
        "stem": ["small", "half", "imagenet"],
        "dtype": ["float32", "bfloat16"],
        "protocol": ["honest", "paper"],
    },
    "se_cnn": {
        "attention": ["none", "se"],
        "se_position": ["block", "conv"],
        "batch_norm": ["true", "false"],
        "dtype": ["float32", "bfloat16"],
        "protocol": ["honest", "paper"],
    },
    "vgg19_attention": {
        "attention": ["concat", "multiply", "none"],
        "batch_norm": ["true", "false"],
        "dtype": ["float32", "bfloat16"],
        "protocol": ["honest", "paper"],
    },
    "attention_fusion": {
        "fusion": ["attention", "early", "joint", "none"],
        "trunks": ["resnet18+vgg11", "vgg11+resnet18"],
        "tokens": ["space", "channel", "batch"],
        "feature": ["map", "pooled"],
        "projections": ["false", "true"],
        "local_attention": ["true", "false"],
        "local_gate": ["true", "false"],
        "frozen": ["true", "false"],
        "stem": ["imagenet", "small", "half"],
        "dtype": ["float32", "bfloat16"],
    },
}
SIZES = {"vgg19_attention": 32, "attention_fusion": 32}


def covering(choices):
    """A short list of assignments in which every pair of values of two arguments occurs.

    Greedy: each row takes, argument by argument, the value that covers most pairs still missing.
    """
    names = list(choices)
    missing = {
        ((a, x), (b, y))
        for a, b in itertools.combinations(names, 2)
        for x in choices[a]
        for y in choices[b]
    }
    rows = []
    while missing:
        first = min(missing)
        row = dict(first)
        for name in names:
            if name not in row:
                row[name] = max(choices[name], key=lambda v, n=name: _gain(row, n, v, missing))
        pairs = {(p, q) for p, q in missing if row[p[0]] == p[1] and row[q[0]] == q[1]}
        missing -= pairs
        rows.append(row)
    return rows


def _gain(row, name, value, missing):
    item = (name, value)
    return sum((item, other) in missing or (other, item) in missing for other in row.items())


CASES = [
    pytest.param(name, ",".join(f"{k}={v}" for k, v in row.items()), id=f"{name}-{index}")
    for name, choices in CHOICES.items()
    for index, row in enumerate(covering(choices))
]


def test_the_rows_cover_all_pairs():
    for choices in CHOICES.values():
        rows = covering(choices)
        for a, b in itertools.combinations(choices, 2):
            seen = {(row[a], row[b]) for row in rows}
            assert seen == set(itertools.product(choices[a], choices[b]))


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_one_step(name, argument, data_dir):
    config = tiny.module(name).get_config(f"dataset=synthetic,{argument}")
    size = SIZES.get(name, 16)
    config.dataset.data_dir = str(data_dir)
    config.dataset.options.update(image_size=16, num_train=28, num_validation=7, num_test=7)
    config.model.update(width=8, image_size=size)
    config.optimizer.warmup_epochs = 0.0
    config.train.batch_size = 8
    config.evaluation.batch_size = 8
    parts = experiment.build(config)
    batches = parts.training_input()
    before = parts.init_state()
    kept = jax.device_get(before.weights)
    state, metrics = parts.train_step(before, batches.table, next(batches))
    batches.close()
    assert int(metrics["finite"]) == 1 and np.isfinite(float(metrics["loss"]))
    moved = [
        not np.array_equal(old, new)
        for old, new in zip(
            jax.tree.leaves(kept.params), jax.tree.leaves(state.weights.params), strict=True
        )
    ]
    assert any(moved)
