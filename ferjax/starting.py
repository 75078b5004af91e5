"""What a run starts from: fresh weights, other weights by name, or trunks trained alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from ferjax import classifier, experiment, step
from ferjax.data.preprocess import Preprocessing
from ferjax.errors import UserError
from ferjax.experiment import Experiment
from ferjax.models import weights
from ferjax.models.vgg_attention import VGGAttention
from ferjax.rundir import RunDirectory

TRUNKS = "trunks"  # folder of a run's own trunks


class Source(NamedTuple):
    """Weights to start from.

    Attributes:
      title: what and where they are.
      arrays: under torchvision's names, in ferjax's layout.
      run: what their run says of itself, None for a file.
    """

    title: str
    arrays: dict[str, np.ndarray]
    run: RunFacts | None


class RunFacts(NamedTuple):
    """What a finished run says of its weights.

    Attributes:
      labels: the class names behind the classifier.
      preprocessing: from pixels to what the weights were trained on.
      protocol: "honest" or "optimistic".
      fingerprint: of the data set.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    protocol: str
    fingerprint: str


def initial_state(
    parts: Experiment, workdir: Path, *, report: Callable[[str], None]
) -> step.TrainState:
    """The state before the first step, from what the config says to start from.

    Args:
      parts: of the run.
      workdir: its folder, where its own trunks are.
      report: called with a sentence for each source of weights.

    Raises:
      UserError: a source that does not exist or does not fit, with the first differences.
    """
    config = parts.config
    trunks = trunk_sources(parts, workdir)
    if not config.init_from and not trunks:
        return parts.init_state()
    model = parts.model(config.seed)
    for index, path in enumerate(trunks, start=1):
        source = read(path)
        _check_trunk(parts, source)
        # Only late fusion has a use for the classifiers.
        leave = () if config.model.name == "late_fusion" else ("fc", "classifier")
        loaded = weights.load(
            model, source.arrays, source=source.title, leave=leave, inside=f"trunk{index}"
        )
        report(f"trunk{index}: {source.title}: {len(loaded.names)} arrays.")
    if config.init_from:
        report(_start_from(model, parts, read(config.init_from)))
    return parts.state_of(model)


def stages(config: ConfigDict, workdir: Path) -> dict[str, ConfigDict]:
    """The configs of a fusion's own trunks by name: the run's seed, and its data where they are.

    Nothing is trained before everything that the fusion will need is known to fit.

    Args:
      config: of the run.
      workdir: its folder; what it has finished needs no source any more.

    Raises:
      UserError: a fusion that cannot be built, trunks that would not fit it, the same trunk twice,
        or a source of weights that does not exist.
    """
    paths: list[str] = []
    if not (workdir / "checkpoints").exists():
        paths += [config.init_from, *config.trunks_from]
    for name, stage in config.stages.items():
        if not (workdir / TRUNKS / name / "checkpoints").exists():
            paths.append(stage.init_from)
    for path in filter(None, paths):
        if not Path(path).exists():
            raise UserError(f"There are no weights at {path}: neither a run nor a file is there.")
    if not config.stages and not config.trunks_from:
        return {}
    if config.init_from:
        raise UserError(
            f"init_from is {config.init_from}, but this run starts from its trunks; give each "
            "trunk what it starts from, as trunk_init=PATH+PATH."
        )
    if config.trunks_from:
        return {}
    if sorted(config.stages) != sorted(config.model.trunks):
        raise UserError(
            f"model.trunks is {'+'.join(config.model.trunks)}, and a run trains each trunk once, "
            f"here {'+'.join(config.stages)}. Change the trunks by the config's argument; train "
            "two of one kind by themselves and give both as trunks_from=DIR+DIR."
        )
    found = {}
    for name, stage in config.stages.items():
        _check_stage(config, name, stage)
        found[name] = stage.copy_and_resolve_references()
        found[name].seed = config.seed
        place = {key: config.dataset[key] for key in ("data_dir", "placement")}
        found[name].dataset.update(place)
    _ = experiment.build(config).recipe
    return found


def _check_stage(config: ConfigDict, name: str, stage: ConfigDict) -> None:
    """A trunk's own run must make what the fusion takes."""
    shared = [
        f"model.{field}" for field in stage.model if field in config.model and field != "name"
    ]
    shared += [f"dataset.options.{key}" for key in config.dataset.options]
    shared += ["dataset.name", "preprocess.normalization"]
    for path in shared:
        own, wanted = (functools.reduce(getattr, path.split("."), made) for made in (stage, config))
        if own != wanted:
            raise UserError(
                f"{path} is {wanted!r} for the fusion and {own!r} for its trunk {name}; set both, "
                f"as --config.{path}=... --config.stages.{name}.{path}=..., or use the config's "
                "argument."
            )


def trunk_sources(parts: Experiment, workdir: Path) -> tuple[str, ...]:
    """Where the trunks of a fusion come from: the config's `trunks_from`, else its own stages."""
    config = parts.config
    if config.trunks_from:
        if len(config.trunks_from) != 2:
            raise UserError(
                f"trunks_from names {len(config.trunks_from)} trunks; a fusion has two: "
                "FIRST+SECOND."
            )
        return tuple(config.trunks_from)
    if not config.stages:
        return ()
    # In the order of the model: a config sorts its fields.
    return tuple(str(workdir / TRUNKS / name) for name in config.model.trunks)


def read(path: str) -> Source:
    """Weights of a finished run (its best epoch) or of a file (see `models.weight_files`).

    Raises:
      UserError: no such weights, or a run that is not finished, whose best epoch may still change.
    """
    if not Path(path).is_dir():
        return Source(f"The weights in {path}", weights.from_torch(weights.read(path)), None)
    result = RunDirectory(path).result()
    if result is None:
        raise UserError(
            f"The run in {path} is not finished, and its best epoch may still change; run it to "
            "its end first."
        )
    parts, evaluated, meta = classifier.restore(path)
    facts = RunFacts(
        tuple(meta["labels"]),
        Preprocessing.from_dict(meta["preprocessing"]),
        result["protocol"],
        meta["fingerprint"],
    )
    model = step.merge_model(parts.graphdef, evaluated)
    return Source(f"The weights of {path}", weights.named(model), facts)


def _start_from(model: nnx.Module, parts: Experiment, source: Source) -> str:
    """Loads what fits and says what it was."""
    _check_honest(parts, source)
    own = weights.named(model)
    run = source.run
    leave: tuple[str, ...] = ()
    why = ""
    if isinstance(model, VGGAttention) and "fc1.weight" not in source.arrays:
        leave, why = ("classifier", "spatial", "fc1", "fc2"), "a VGG-19 has no such layers"
    elif run is None or run.labels != parts.labels:
        leave = (weights.head(own),)
        why = "its classes are others" if run else "a file does not name its classes"
    loaded = weights.load(model, source.arrays, source=source.title, leave=leave)
    text = f"{source.title}: {len(loaded.names)} arrays"
    if leave:
        text += f"; {', '.join(loaded.fresh)} start afresh: {why}"
    if run is None:
        text += (
            "; a file does not say what images it expects: this run's are normalised by "
            f"preprocess.normalization={parts.config.preprocess.normalization}"
        )
    elif run.preprocessing != parts.preprocessing:
        text += f"; they saw images prepared by {run.preprocessing}, now by {parts.preprocessing}"
    return text + "."


def _check_trunk(parts: Experiment, source: Source) -> None:
    """A trunk must see what it was trained on, and have seen nothing that is tested here."""
    _check_honest(parts, source)
    run = source.run
    late = parts.config.model.name == "late_fusion"
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
            "model.channels and preprocess.normalization."
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
    """What was selected on the test split makes everything that starts from it optimistic."""
    if source.run and source.run.protocol != "honest" and parts.protocol.label == "honest":
        raise UserError(
            f"{source.title} were selected by an optimistic protocol, so that this run cannot be "
            "an honest one; start from an honest run, or give protocol=paper here too."
        )
