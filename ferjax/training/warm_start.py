"""What a run starts from: fresh weights, other weights by name, or trunks trained alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from ferjax import filesystem
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.data.splits import splitters
from ferjax.errors import UserError
from ferjax.models import additions, functional, weights
from ferjax.training import restored, step
from ferjax.training.experiment import Experiment
from ferjax.workdir.directory import RunDirectory

LATE = "late_fusion"
_NAMED = 3  # modules that a sentence names one by one


class Source(NamedTuple):
    """Weights to start from.

    Attributes:
      title: what and where they are.
      arrays: under torchvision's names, in ferjax's layout.
      run: what their run says of itself, None for a file.
      identity: what tells these weights from others, as JSON.
    """

    title: str
    arrays: dict[str, np.ndarray]
    run: RunFacts | None
    identity: dict[str, Any]


class LeftOut(NamedTuple):
    """Modules that a source gives nothing for.

    Attributes:
      modules: of the model, which start afresh.
      unused: of the source, which have no place in the model.
      why: as a clause.
    """

    modules: tuple[str, ...]
    unused: tuple[str, ...]
    why: str


class RunFacts(NamedTuple):
    """What a finished run says of its weights.

    Attributes:
      labels: the class names behind the classifier.
      preprocessing: from pixels to what the weights were trained on.
      protocol: "honest" or "optimistic".
      data: the data set that trained it, then those of the runs that it goes back to.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    protocol: str
    data: tuple[TrainedOn, ...]

    @property
    def fingerprint(self) -> str:
        """Of the data set that trained it."""
        return self.data[0].fingerprint


class TrainedOn(NamedTuple):
    """A data set that trained weights.

    Attributes:
      weights: of which run.
      dataset: its name.
      fingerprint: of what was prepared.
      options: which decide what trained and what tests.
    """

    weights: str
    dataset: str
    fingerprint: str
    options: dict[str, Any]


def initial_state(
    parts: Experiment, trunks: Sequence[str], *, report: Callable[[str], None]
) -> tuple[step.TrainState, list[dict[str, Any]]]:
    """The state before the first step, and what it was made from.

    Args:
      parts: of the run.
      trunks: where the weights of a fusion's trunks are (see `trunks.trunk_sources`), or nothing.
      report: called with a sentence for each source of weights.

    Returns:
      The state, and one JSON object for each source: `weights`, `loaded` (a sentence), `fresh`
      (the modules that the source gave nothing for), and what identifies it, which is `sha256` of a
      file, and `dataset`, `fingerprint`, `options`, `protocol`, `seed`, `epoch` and its own
      `departures` and `started_from` of a run.

    Raises:
      UserError: a source that does not exist or does not fit, with the first differences.
    """
    config = parts.config
    if not config.init_from and not trunks:
        return parts.init_state(), []
    model = parts.model(config.seed)
    origins = []
    for index, path in enumerate(trunks, start=1):
        source = read(path)
        _check_trunk(parts, source)
        loaded = weights.load(
            model,
            source.arrays,
            source=source.title,
            leave=trunk_heads(parts),
            inside=f"trunk{index}",
        )
        text = f"trunk{index}: {source.title}: {len(loaded.names)} arrays."
        origins.append({**source.identity, "loaded": text, "fresh": []})
    if config.init_from:
        source = read(config.init_from)
        text, fresh = _start_from(model, parts, source)
        origins.append({**source.identity, "loaded": text, "fresh": list(fresh)})
    for origin in origins:
        report(origin["loaded"])
    return parts.state_of(model), origins


def trunk_heads(parts: Experiment) -> tuple[str, ...]:
    """The modules of a trunk's own run that a fusion has no use for: but late fusion has."""
    return () if parts.config.model.name == LATE else ("fc", "classifier")


def read(path: str) -> Source:
    """Weights of a finished run (its best epoch) or of a file (see `models.weight_files`).

    Raises:
      UserError: no such weights, or a run that is not finished, whose best epoch may still change.
    """
    place = filesystem.of(path)
    if not filesystem.is_folder(place):
        with filesystem.here(place) as found:
            arrays = weights.from_torch(weights.read(found))
            with open(found, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Source(f"The weights in {path}", arrays, None, {"weights": path, "sha256": digest})
    result = RunDirectory(path).result()
    if result is None:
        raise UserError(
            f"The run in {path} is not finished, and its best epoch may still change; run it to "
            "its end first."
        )
    parts, evaluated, meta = restored.restore(path)
    identity = {
        "weights": path,
        "dataset": result["dataset"],
        "fingerprint": meta["fingerprint"],
        "options": result["options"],
        "protocol": result["protocol"],
        "seed": result["seed"],
        "epoch": result["selection"]["epoch"],
        "departures": result.get("departures", []),
        "started_from": result["started_from"],
    }
    facts = RunFacts(
        tuple(meta["labels"]),
        Preprocessing.from_dict(meta["preprocessing"]),
        result["protocol"],
        tuple(_trained_on(identity)),
    )
    model = functional.merge_model(parts.graphdef, evaluated)
    return Source(f"The weights of {path}", weights.named(model), facts, identity)


def _trained_on(identity: Mapping[str, Any]) -> Iterator[TrainedOn]:
    """The data of a run and of all that it goes back to; a file says nothing of its own."""
    if "fingerprint" in identity:
        names = ("weights", "dataset", "fingerprint", "options")
        yield TrainedOn(*(identity.get(name, "") for name in names))
    for origin in identity.get("started_from", ()):
        yield from _trained_on(origin)


def check_start(parts: Experiment, model: nnx.Module, source: Source) -> None:
    """Raises a UserError unless a run can start from a source; the model may be abstract."""
    _check_honest(parts, source)
    leave = _leave(_left_out(parts, model, source))
    weights.check(model, source.arrays, source=source.title, leave=leave)


def _start_from(
    model: nnx.Module, parts: Experiment, source: Source
) -> tuple[str, tuple[str, ...]]:
    """Loads what fits; returns a sentence about it, and the modules that start afresh."""
    _check_honest(parts, source)
    left = _left_out(parts, model, source)
    loaded = weights.load(model, source.arrays, source=source.title, leave=_leave(left))
    text = f"{source.title}: {len(loaded.names)} arrays"
    for modules, _, why in left:
        starts = "starts" if len(modules) == 1 else "start"
        text += f"; {_listed(modules)} {starts} afresh: {why}"
    if source.run is None:
        text += (
            "; a file does not say what images it expects: this run's are normalised by "
            f"preprocess.normalization={parts.config.preprocess.normalization}"
        )
    elif source.run.preprocessing != parts.preprocessing:
        text += (
            f"; they saw images prepared by {source.run.preprocessing}, now by "
            f"{parts.preprocessing}"
        )
    return text + ".", tuple(module for one in left for module in one.modules)


def _left_out(parts: Experiment, model: nnx.Module, source: Source) -> list[LeftOut]:
    """What starts afresh: what the source lacks, and a classifier of other classes."""
    lacking = additions.absent(model, source.arrays)
    left = []
    if lacking.modules:
        left.append(LeftOut(*lacking, "these weights are of a model without such modules"))
    if source.run is not None and source.run.labels == parts.labels:
        return left
    why = "its classes are others" if source.run else "a file does not name its classes"
    if parts.config.model.name == LATE:
        raise UserError(f"{source.title} do not fit late fusion, which trains nothing: {why}.")
    head = weights.head(weights.shapes(model))
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


def _check_trunk(parts: Experiment, source: Source) -> None:
    """A trunk must see what it was trained on, and have seen nothing that is tested here."""
    _check_honest(parts, source)
    run = source.run
    late = parts.config.model.name == LATE
    if run is None:
        if late:
            raise UserError(
                f"{source.title} do not name their classes, and late fusion averages probabilities "
                "class by class; give two finished runs."
            )
        return
    if run.preprocessing != parts.preprocessing:
        raise UserError(
            f"{source.title} were trained with {run.preprocessing}, and this run prepares images "
            f"by {parts.preprocessing}; give both the same data set, model.image_size, "
            "model.channels, preprocess.normalization and augment.crop."
        )
    if run.fingerprint != parts.source.fingerprint:
        raise UserError(
            f"{source.title} were trained on data with fingerprint {run.fingerprint[:12]}, and "
            f"this run's data have {parts.source.fingerprint[:12]}: what is tested here may have "
            "been trained on there. Use the same prepared data for both."
        )
    if late and run.labels != parts.labels:
        raise UserError(
            f"{source.title} know the classes {', '.join(run.labels)}, this run "
            f"{', '.join(parts.labels)}; late fusion averages their probabilities class by class."
        )


def _check_honest(parts: Experiment, source: Source) -> None:
    """What saw the test split makes everything that starts from it optimistic."""
    if source.run is None:
        return
    here = parts.config.dataset
    ours = splitters.which_images(here.options.to_dict())
    for data in source.run.data:
        theirs = splitters.which_images(data.options)
        again = data.dataset == here.name and data.options.get("name") == here.options.get("name")
        if data.fingerprint == parts.source.fingerprint and theirs != ours:
            said = [
                ", ".join(f"{name}={value}" for name, value in options.items())
                for options in (theirs, ours)
            ]
            raise UserError(
                f"{_of(source, data)} on the same data, split in another way ({said[0]}; "
                f"here {said[1]}): what is tested here may have been trained on there. Start from "
                "a run with the same dataset.options."
            )
        # Splits that are drawn by a seed are drawn anew for what was prepared anew.
        if data.fingerprint != parts.source.fingerprint and again and "split_seed" in theirs:
            raise UserError(
                f"{_of(source, data)} on {data.dataset} that was prepared in another way, and is "
                "split by what was prepared: what is tested here may have been trained on there. "
                "Use the same prepared data for both."
            )
    if source.run.protocol != "honest" and parts.protocol.label == "honest":
        raise UserError(
            f"{source.title} were selected by an optimistic protocol, so that this run cannot be "
            "an honest one; start from an honest run, or give protocol=paper here too."
        )


def _of(source: Source, data: TrainedOn) -> str:
    if source.run is not None and data is source.run.data[0]:
        return f"{source.title} were trained"
    return f"{source.title} go back to {data.weights}, which was trained"
