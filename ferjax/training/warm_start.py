"""The first state of a run: fresh weights, other weights by name, or trunks trained alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flax import nnx

from ferjax.data.splits import splitters
from ferjax.errors import UserError
from ferjax.inference.lineage import TrainedOn
from ferjax.models import Model, additions, model_class, weights
from ferjax.training import starting_weights, step
from ferjax.training.experiment import Experiment
from ferjax.training.starting_weights import StartingWeights

_NAMED = 3  # modules that a sentence names one by one


class LeftOut(NamedTuple):
    """Modules that are not loaded from a source.

    Attributes:
      modules: names of modules of the model that start afresh.
      unused: names of modules of the source that the model does not have.
      why: the reason, a clause.
    """

    modules: tuple[str, ...]
    unused: tuple[str, ...]
    why: str


def initial_state(
    run: Experiment, trunks: Sequence[str], *, report: Callable[[str], None]
) -> tuple[step.TrainState, list[dict[str, Any]]]:
    """The state before the first step, and the sources of its weights.

    Args:
      run: the run that starts.
      trunks: paths of the weights of a fusion's trunks (see `trunks.trunk_sources`), or none.
      report: called with a sentence for each source of weights.

    Returns:
      The state, and one JSON object for each source: `weights` (its path), `loaded` (a sentence),
      `fresh` (the modules that start afresh), and what identifies it: a file by `sha256`; a run by
      `dataset`, `fingerprint`, `options`, `protocol`, `seed`, `epoch`, and its own `departures` and
      `started_from`.

    Raises:
      UserError: a source that does not exist or does not fit, with the first differences.
    """
    config = run.config
    if not config.init_from and not trunks:
        return run.states.fresh(), []
    model = run.model(config.seed)
    origins = []
    for index, path in enumerate(trunks, start=1):
        source = starting_weights.read(path)
        _check_trunk(run, source)
        loaded = weights.load(
            model,
            source.arrays,
            source=source.title,
            leave=trunk_heads(run),
            inside=f"trunk{index}",
        )
        text = f"trunk{index}: {source.title}: {len(loaded.names)} arrays."
        origins.append({**source.identity, "loaded": text, "fresh": []})
    if config.init_from:
        source = starting_weights.read(config.init_from)
        text, fresh = _start_from(model, run, source)
        origins.append({**source.identity, "loaded": text, "fresh": list(fresh)})
    for origin in origins:
        report(origin["loaded"])
    return run.states.of(model), origins


def trunk_heads(run: Experiment) -> tuple[str, ...]:
    """Classifier layers of a trunk's own run that the fusion does not use."""
    return _model(run).unused_in_trunks


def _model(run: Experiment) -> type[Model]:
    return model_class(run.config.model.name)


def check_start(run: Experiment, model: nnx.Module, source: StartingWeights) -> None:
    """Raises a UserError unless a run can start from a source; the model may be abstract."""
    _check_honest(run, source)
    leave = _leave(_left_out(run, model, source))
    weights.check(model, source.arrays, source=source.title, leave=leave)


def _start_from(
    model: nnx.Module, run: Experiment, source: StartingWeights
) -> tuple[str, tuple[str, ...]]:
    """Loads what fits; returns a sentence about it, and the modules that start afresh."""
    _check_honest(run, source)
    left = _left_out(run, model, source)
    loaded = weights.load(model, source.arrays, source=source.title, leave=_leave(left))
    text = f"{source.title}: {len(loaded.names)} arrays"
    for modules, _, why in left:
        starts = "starts" if len(modules) == 1 else "start"
        text += f"; {_listed(modules)} {starts} afresh: {why}"
    if source.run is None:
        text += (
            "; a file does not say what images it expects: this run's are normalised by "
            f"preprocess.normalization={run.config.preprocess.normalization}"
        )
    elif source.run.preprocessing != run.spec.preprocessing:
        text += (
            f"; they saw images prepared by {source.run.preprocessing}, now by "
            f"{run.spec.preprocessing}"
        )
    return text + ".", tuple(module for one in left for module in one.modules)


def _left_out(run: Experiment, model: nnx.Module, source: StartingWeights) -> list[LeftOut]:
    """Modules that start afresh: those that the source lacks, and a classifier of other classes."""
    lacking = additions.absent(model, source.arrays)
    left = []
    if lacking.modules:
        left.append(LeftOut(*lacking, "these weights are of a model without such modules"))
    if source.run is not None and source.run.labels == run.spec.labels:
        return left
    why = "its classes are others" if source.run else "a file does not name its classes"
    head = _model(run).classifier_name
    if head is None:
        raise UserError(f"{source.title} do not fit late fusion, which trains nothing: {why}.")
    if head not in lacking.modules:
        left.append(LeftOut((head,), (), why))
    return left


def _leave(left: Sequence[LeftOut]) -> tuple[str, ...]:
    return tuple(name for one in left for name in (*one.modules, *one.unused))


def _listed(modules: Sequence[str]) -> str:
    """Few modules by name; of many the first, the last, and how many."""
    if len(modules) <= _NAMED:
        return ", ".join(modules)
    return f"{modules[0]} ... {modules[-1]} ({len(modules)} modules)"


def _check_trunk(run: Experiment, source: StartingWeights) -> None:
    """Refuses a trunk with other preprocessing, or one that test images may have trained."""
    _check_honest(run, source)
    trained = source.run
    late = not _model(run).is_trainable
    if trained is None:
        if late:
            raise UserError(
                f"{source.title} do not name their classes, and late fusion averages probabilities "
                "class by class; give two finished runs."
            )
        return
    if trained.preprocessing != run.spec.preprocessing:
        raise UserError(
            f"{source.title} were trained with {trained.preprocessing}, and this run prepares "
            f"images by {run.spec.preprocessing}; give both the same data set, model.image_size, "
            "model.channels, preprocess.normalization and augment.crop."
        )
    if trained.fingerprint != run.spec.fingerprint:
        raise UserError(
            f"{source.title} were trained on data with fingerprint {trained.fingerprint[:12]}, and "
            f"this run's data have {run.spec.fingerprint[:12]}: what is tested here may have "
            "been trained on there. Use the same prepared data for both."
        )
    if late and trained.labels != run.spec.labels:
        raise UserError(
            f"{source.title} know the classes {', '.join(trained.labels)}, this run "
            f"{', '.join(run.spec.labels)}; late fusion averages their probabilities class by "
            "class."
        )


def _check_honest(run: Experiment, source: StartingWeights) -> None:
    """Refuses weights that test images may have trained or selected."""
    if source.run is None:
        return
    here = run.config.dataset
    ours = splitters.which_images(here.options.to_dict())
    for data in source.run.data:
        theirs = splitters.which_images(data.options)
        again = data.dataset == here.name and data.options.get("name") == here.options.get("name")
        if data.fingerprint == run.spec.fingerprint and theirs != ours:
            said = [
                ", ".join(f"{name}={value}" for name, value in options.items())
                for options in (theirs, ours)
            ]
            raise UserError(
                f"{_of(source, data)} on the same data, split in another way ({said[0]}; "
                f"here {said[1]}): what is tested here may have been trained on there. Start from "
                "a run with the same dataset.options."
            )
        # A seed draws other splits from a data set that was prepared again.
        if data.fingerprint != run.spec.fingerprint and again and "split_seed" in theirs:
            raise UserError(
                f"{_of(source, data)} on {data.dataset} that was prepared in another way, and is "
                "split by what was prepared: what is tested here may have been trained on there. "
                "Use the same prepared data for both."
            )
    if source.run.protocol != "honest" and run.protocol.label == "honest":
        raise UserError(
            f"{source.title} were selected by an optimistic protocol, so that this run cannot be "
            "an honest one; start from an honest run, or give protocol=paper here too."
        )


def _of(source: StartingWeights, data: TrainedOn) -> str:
    if source.run is not None and data is source.run.data[0]:
        return f"{source.title} were trained"
    return f"{source.title} started from {data.weights}, which was trained"
