"""States and checkpoints as the tests of saving take them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from ferjax.training import experiment
from ferjax.workdir import checkpoint_files
from ferjax.workdir.checkpoints import Checkpoints
from ferjax.workdir.directory import RunDirectory


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Weights, and whatever else a resume needs."""

    weights: Any
    rest: Any = None

    def split(self):
        return self.weights, dataclasses.replace(self, weights=None)

    def joined(self, weights):
        return dataclasses.replace(self, weights=weights)


def holding(values):
    """A state with one array of weights."""
    return State({"x": values}, {"y": jnp.ones(1)})


def to_format_3(workdir):
    """Rewrites the checkpoints of a finished run as earlier versions of ferjax wrote them."""
    run = experiment.build(RunDirectory(workdir).config())
    saved = Checkpoints(workdir)
    state, about = saved.restore(run.states.abstract())
    saved.close()
    best = checkpoint_files.newest(workdir, "best")
    weights = best.weights(run.states.abstract().evaluated)
    evaluated = state.split()[1].joined(weights)
    for kind, step, old, progress in (
        ("last", about.step, state, about.progress),
        ("best", best.about.step, evaluated, {}),
    ):
        folder = checkpoint_files.folder(workdir, kind)
        folder.rmtree()
        items = {
            "state": ocp.args.StandardSave(old),
            "meta": ocp.args.JsonSave({"format": 3, **about.spec, **progress}),
        }
        with ocp.CheckpointManager(folder) as manager:
            manager.save(step, args=ocp.args.Composite(**items), force=True)
