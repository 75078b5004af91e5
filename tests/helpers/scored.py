"""Finished runs, as the score on another data set takes them."""

from ferjax.config import fields
from ferjax.data.run_data import RunData
from ferjax.evaluation.cross_dataset import ScoredModel
from ferjax.evaluation.evaluator import Evaluator
from ferjax.inference.trained_model import TrainedModel
from ferjax.workdir.directory import RunDirectory


def model(workdir, started_from=(), **dataset):
    """The best epoch of a run; `dataset` says where its own data are, if elsewhere."""
    trained = TrainedModel.load(workdir, config=None)
    config = fields.completed(RunDirectory(workdir).config())
    return ScoredModel(
        trained=trained,
        evaluator=Evaluator(trained.spec, trained.mesh, batch_size=config.evaluation.batch_size),
        data=RunData(trained.mesh, **config.dataset.to_dict() | dataset),
        selection=config.protocol.selection,
        started_from=started_from,
    )
