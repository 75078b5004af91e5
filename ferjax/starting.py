"""What a run starts from: fresh weights, other weights by name, or trunks trained alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from ferjax import classifier, step
from ferjax.data.preprocess import Preprocessing
from ferjax.errors import UserError
from ferjax.experiment import Experiment
from ferjax.models import weights
from ferjax.models.vgg_attention import VGGAttention

TRUNKS = "trunks"  # folder of a run's own trunks


class Source(NamedTuple):
    """Weights to start from.

    Attributes:
      title: what and where they are.
      arrays: under torchvision's names, in ferjax's layout.
      labels: the class names behind the classifier; None where nobody knows them.
      preprocessing: what the weights were trained with; None where nobody knows it.
    """

    title: str
    arrays: dict[str, np.ndarray]
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None


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
        _check_trunk(parts, source, config.model.name)
        # Only late fusion has a use for the classifiers.
        leave = () if config.model.name == "late_fusion" else ("fc", "classifier")
        loaded = weights.load(
            model, source.arrays, source=source.title, leave=leave, inside=f"trunk{index}"
        )
        report(f"trunk{index}: {len(loaded.names)} arrays from {source.title}.")
    if config.init_from:
        report(_start_from(model, parts, read(config.init_from)))
    return parts.state_of(model)


def stages(config: ConfigDict) -> dict[str, ConfigDict]:
    """The configs of a fusion's own trunks by name: the run's seed, and its data where they are.

    Raises:
      UserError: the same trunk twice.
    """
    if config.stages and len(config.stages) < len(config.model.trunks):
        raise UserError(
            f"model.trunks names {config.model.trunks[0]} twice, and a run trains each trunk once; "
            "train two of other seeds by themselves and give both as trunks_from=DIR+DIR."
        )
    found = {}
    for name, stage in config.stages.items():
        found[name] = stage.copy_and_resolve_references()
        found[name].seed = config.seed
        place = {key: config.dataset[key] for key in ("data_dir", "placement")}
        found[name].dataset.update(place)
    return found


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
    """Weights of a run directory (its best epoch) or of a file (see `models.weight_files`)."""
    if Path(path).is_dir():
        parts, evaluated, meta = classifier.restore(path)
        model = step.merge_model(parts.graphdef, evaluated)
        return Source(
            f"the weights of {path}",
            weights.named(model),
            tuple(meta["labels"]),
            Preprocessing.from_dict(meta["preprocessing"]),
        )
    return Source(f"the weights in {path}", weights.from_torch(weights.read(path)), None, None)


def _start_from(model: nnx.Module, parts: Experiment, source: Source) -> str:
    own = weights.named(model)
    leave: tuple[str, ...] = ()
    why = ""
    if isinstance(model, VGGAttention) and "fc1.weight" not in source.arrays:
        leave, why = ("classifier", "spatial", "fc1", "fc2"), "a VGG-19 has no such layers"
    elif source.labels != parts.labels:
        leave = (weights.head(own),)
        why = "its classes are others" if source.labels else "a file does not name its classes"
    loaded = weights.load(model, source.arrays, source=source.title, leave=leave)
    text = f"{len(loaded.names)} arrays from {source.title}"
    if leave:
        text += f"; {', '.join(loaded.fresh)} start afresh: {why}"
    if source.preprocessing and source.preprocessing.mean != parts.preprocessing.mean:
        text += (
            f"; they saw images normalised by mean {source.preprocessing.mean}, this run uses "
            f"{parts.preprocessing.mean}"
        )
    return text + "."


def _check_trunk(parts: Experiment, source: Source, model: str) -> None:
    """A trunk that is not trained further must see what it was trained on."""
    if source.preprocessing is not None and source.preprocessing != parts.preprocessing:
        raise UserError(
            f"{source.title} were trained with {source.preprocessing}, and this run prepares "
            f"images by {parts.preprocessing}; give both the same data set, model.image_size, "
            "model.channels and preprocess.normalization."
        )
    if model == "late_fusion" and source.labels is not None and source.labels != parts.labels:
        raise UserError(
            f"{source.title} know the classes {', '.join(source.labels)}, this run "
            f"{', '.join(parts.labels)}; late fusion averages their probabilities class by class."
        )
