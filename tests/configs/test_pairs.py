"""Every pair of values of any two arguments of a config trains one shrunk step somewhere."""

import itertools

import jax
import numpy as np
import pytest

from ferjax.config.arguments import applies
from ferjax.models import resnet, vgg
from ferjax.training import experiment
from tests.helpers import tiny

# Arguments that choose what is built; the others change numbers and files alone.
CHOICES = {
    "cbam_island": {
        "attention": ["none", "se", "cbam"],
        "loss": ["softmax", "center", "island"],
        "center_update": ["rule", "gradient"],
        "pairwise_on": ["centers", "features"],
        "stem": ["small", "half", "imagenet"],
        "dtype": ["float32", "bfloat16"],
        "protocol": ["honest", "paper"],
    },
    "se_cnn": {
        "attention": ["none", "se"],
        "se_position": ["block", "conv"],
        "batch_norm": [True, False],
        "dtype": ["float32", "bfloat16"],
        "protocol": ["honest", "paper"],
    },
    "vgg19_attention": {
        "attention": ["concat", "multiply", "none"],
        "batch_norm": [True, False],
        "dtype": ["float32", "bfloat16"],
        "protocol": ["honest", "paper"],
    },
    "attention_fusion": {
        "fusion": ["attention", "early", "joint"],
        "trunks": ["resnet18+vgg11", "vgg11+resnet18"],
        "tokens": ["space", "channel", "batch"],
        "feature": ["map", "pooled"],
        "projections": [False, True],
        "local_attention": [True, False],
        "local_gate": [True, False],
        "frozen": [True, False],
        "stem": ["imagenet", "half"],
        "dtype": ["float32", "bfloat16"],
    },
}
SIZES = {"vgg19_attention": 32, "attention_fusion": 32}


def valid(row, arguments):
    """Whether every argument of an assignment has an effect beside the others."""
    values = {key: argument.default for key, argument in arguments.items()} | row
    return all(applies(key, values, arguments) for key in row)


def pairs_of(choices, arguments):
    """The pairs of values of two arguments that can be given together."""
    return {
        ((a, x), (b, y))
        for a, b in itertools.combinations(choices, 2)
        for x in choices[a]
        for y in choices[b]
        if completion({a: x, b: y}, choices, arguments)
    }


def completion(row, choices, arguments):
    """The assignment with what its arguments need added, or None if there is no such."""
    for key in tuple(row):
        for other, allowed in arguments[key].only.items():
            value = row.get(other, arguments[other].default)
            if value in allowed:
                continue
            if other in row:
                return None
            added = next(v for v in choices[other] if v in allowed)
            return completion({**row, other: added}, choices, arguments)
    return row


def covering(choices, arguments):
    """A short list of assignments in which every such pair occurs.

    Greedy: of the rows that begin with a missing pair and take, argument by argument, the value
    that covers most of what is missing, the one that covers most.
    """
    missing = pairs_of(choices, arguments)
    rows = []
    while missing:
        starts = sorted(missing, key=repr)
        tried = (grown(start, missing, choices, arguments) for start in starts)
        row = max(tried, key=lambda row: len(covered(row, missing)))
        missing -= covered(row, missing)
        rows.append(row)
    return rows


def grown(start, missing, choices, arguments):
    """A full assignment that begins with a pair."""
    row = completion(dict(start), choices, arguments)
    for name in choices:
        options = [
            tried
            for value in choices[name]
            if name not in row and valid(tried := {**row, name: value}, arguments)
        ]
        row = max(options, key=lambda tried: len(covered(tried, missing)), default=row)
    return row


def covered(row, pairs):
    """Those of the pairs that occur in an assignment."""
    return pairs & set(itertools.combinations(row.items(), 2)) | pairs & {
        (q, p) for p, q in itertools.combinations(row.items(), 2)
    }


def arguments_of(name):
    return tiny.module(name).ARGUMENTS


CASES = [
    pytest.param(name, ",".join(f"{k}={v}" for k, v in row.items()), id=f"{name}-{index}")
    for name, choices in CHOICES.items()
    for index, row in enumerate(covering(choices, arguments_of(name)))
]


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_one_step(name, argument, data_dir, monkeypatch):
    # Fewer layers of the same kinds compile sooner: one block, or one convolution, for each stage;
    # for each trunk of two, the first and the last stage.
    stages = tuple(stage[:1] for stage in vgg.LAYOUTS["vgg19"])
    fusion = name == "attention_fusion"
    monkeypatch.setitem(vgg.LAYOUTS, "vgg11", (stages[0], stages[-1]))
    monkeypatch.setitem(vgg.LAYOUTS, "vgg19", stages)
    monkeypatch.setitem(resnet.STAGE_SIZES, "resnet18", (1, 0, 0, 1) if fusion else (1, 1, 0, 0))
    config = tiny.module(name).get_config(f"dataset=synthetic,{argument}")
    size = SIZES.get(name, 16)
    config.dataset.data_dir = str(data_dir)
    config.dataset.options.update(image_size=16, num_train=28, num_validation=7, num_test=7)
    config.model.update(width=8, image_size=size)
    config.optimizer.warmup_epochs = 0.0
    config.optimizer.weight_decay = 0.0  # what moves does so by a gradient
    config.train.batch_size = 8
    config.evaluation.batch_size = 8
    run = experiment.build(config)
    assert run.protocol.label == ("optimistic" if "protocol=paper" in argument else "honest")
    batches = run.training_input()
    before = run.states.fresh()
    kept = jax.device_get(before.weights)
    state, metrics = run.train_step(before, batches.table, next(batches))
    batches.close()
    assert int(metrics["finite"]) == 1 and np.isfinite(float(metrics["loss"]))
    still = {
        part
        for part, before in kept.params.items()
        if jax.tree.all(jax.tree.map(np.array_equal, before, state.weights.params[part]))
    }
    # A single token attends to itself, whatever its query and its key are.
    one_token = "tokens=space" in argument and "feature=pooled" in argument
    assert still == ({"query", "key"} & kept.params.keys() if one_token else set())
