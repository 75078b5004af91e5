"""The runs that a fusion starts from: each trunk alone, checked before any of them is trained."""

from __future__ import annotations

import functools

from flax import nnx
from ml_collections import ConfigDict

from ferjax import filesystem, local_files
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.models import weights
from ferjax.training import experiment, starting_weights, warm_start
from ferjax.training.experiment import Experiment
from ferjax.workdir.directory import RunDirectory

TRUNKS = "trunks"  # folder of a run's own trunks
# Fields of a trunk's model that may differ from the fusion's.
OWN_FIELDS = ("name", "dtype", "remat", "batch_stats")


def own_runs(config: ConfigDict, directory: RunDirectory) -> dict[str, ConfigDict]:
    """The configs of the trunks that a run trains itself, by name.

    Before anything is trained, this checks all that it can: every field, that the trunks fit the
    fusion, and their starting weights.

    Args:
      config: the run's.
      directory: its folder; a run that has a checkpoint does not need its trunks any more.

    Raises:
      UserError: a trunk that cannot be built or does not fit, the same trunk twice, or starting
        weights that do not exist or fit.
    """
    if directory.has_checkpoint:
        return {}
    for path in filter(None, (config.init_from, *config.trunks_from)):
        _check_exists(path)
    if config.init_from and (config.stages or config.trunks_from):
        raise UserError(
            f"init_from is {config.init_from}, but this run starts from its trunks. Give the "
            "config's argument init_from=PATH to start from a whole fusion, or give each trunk "
            "its starting weights, by trunk_init=PATH+PATH."
        )
    if not config.stages:
        return {}
    if sorted(config.stages) != sorted(config.model.trunks):
        raise UserError(
            f"model.trunks is {'+'.join(config.model.trunks)}, and a run trains each trunk once, "
            f"here {'+'.join(config.stages)}. Change the trunks by the config's argument; train "
            "two of one kind by themselves and give both as trunks_from=DIR+DIR."
        )
    for name, stage in config.stages.items():
        _check_fields(config, name, stage)
    fusion = experiment.build(config)
    fusion.check()
    model = nnx.eval_shape(fusion.model)
    for index, name in enumerate(config.model.trunks, start=1):
        _check_trunk(fusion, model, index, config.stages[name], directory.path / TRUNKS / name)
    return dict(config.stages.items())


def trunk_sources(run: Experiment, workdir: Place) -> tuple[str, ...]:
    """Where the trunks of a fusion come from: the config's `trunks_from`, else its own runs."""
    config = run.config
    if config.trunks_from:
        return tuple(config.trunks_from)
    if not config.stages:
        return ()
    # In the order of the model: a config sorts its fields.
    return tuple(str(workdir / TRUNKS / name) for name in config.model.trunks)


def _check_fields(config: ConfigDict, name: str, stage: ConfigDict) -> None:
    """A trunk must share the fusion's input fields."""
    shared = [
        f"model.{field}"
        for field in stage.model
        if field in config.model and field not in OWN_FIELDS
    ]
    shared += [f"dataset.options.{key}" for key in config.dataset.options]
    shared += ["dataset.name", "preprocess.normalization", "augment.crop", "seed"]
    for path in shared:
        own, wanted = (functools.reduce(getattr, path.split("."), made) for made in (stage, config))
        if own != wanted:
            raise UserError(
                f"{path} is {wanted!r} for the fusion and {own!r} for its trunk {name}; set both, "
                f"by --config.{path}=... --config.stages.{name}.{path}=..., or use the config's "
                "argument."
            )


def _check_trunk(
    fusion: Experiment, model: nnx.Module, index: int, stage: ConfigDict, workdir: Place
) -> None:
    """A trunk's run must be possible, and its weights must fit the (abstract) fusion."""
    title = f"The weights that {workdir} is to make"
    trunk = experiment.build(stage)
    trunk.check()
    if trunk.protocol.label != "honest" and fusion.protocol.label == "honest":
        raise UserError(
            f"{title} would be selected by an optimistic protocol, so that this run could not be "
            "an honest one; give both the same protocol."
        )
    own = nnx.eval_shape(trunk.model)
    weights.check(
        model,
        weights.shapes(own),
        source=title,
        leave=warm_start.trunk_heads(fusion),
        inside=f"trunk{index}",
    )
    if stage.init_from and not RunDirectory(workdir).has_checkpoint:
        _check_exists(stage.init_from)
        warm_start.check_start(trunk, own, starting_weights.read(stage.init_from))


def _check_exists(path: str) -> None:
    place = filesystem.of(path)
    if not filesystem.is_there(place):
        said = "neither a run nor a file is there"
        if not filesystem.is_remote(place):
            said = local_files.missing(place, said)
        raise UserError(f"There are no weights at {path}: {said}.")
