"""The description that is stored beside trained weights: model, labels and preprocessing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh

from ferjax import models
from ferjax.data.dataset import Source
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.models import functional
from ferjax.models.functional import Weights
from ferjax.random_streams import Stream, root


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """What is needed to use weights; stored in the checkpoint.

    Attributes:
      model: keywords of `models.create`, as JSON.
      labels: the K class names, in the order of the logits.
      preprocessing: the steps from pixels to the model's input.
      has_magnified_crops: whether training showed the crops of `ten_crop` resized to the whole
        image (see `evaluation.views`).
      dataset: name of the data set that trains it.
      fingerprint: the fingerprint of that prepared data set.
      steps_per_epoch: updates of an epoch.
    """

    model: Mapping[str, Any]
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    has_magnified_crops: bool
    dataset: str
    fingerprint: str
    steps_per_epoch: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        made = {**fields, "preprocessing": self.preprocessing.to_dict()}
        return json.loads(json.dumps(made))  # tuples are lists, as they come back from a file

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], where: str | Place) -> ModelSpec:
        """Reads the object that `to_json` wrote; other fields are ignored.

        Raises:
          UserError: a field is missing; `where` names the checkpoint.
        """
        # Older checkpoints lack this field; their crops were always magnified.
        fields = {"has_magnified_crops": True, **fields}
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in fields]
        if missing:
            raise UserError(
                f"The checkpoint in {where} does not have the field {missing[0]} of its model. Use "
                "the version of ferjax that wrote it, or train again in an empty workdir."
            )
        made = {name: fields[name] for name in names}
        made["labels"] = tuple(made["labels"])
        made["preprocessing"] = Preprocessing.from_dict(made["preprocessing"])
        return cls(**made)

    @property
    def native_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the training images."""
        return self.preprocessing.native_shape

    @property
    def depends_on_batch(self) -> bool:
        """Whether a prediction depends on the other images of its batch."""
        return models.model_class(self.model["name"]).depends_on_batch(self.model)

    def create(self, mesh: Mesh, seed: int = 0) -> nnx.Module:
        """The model with fresh weights, for the devices of a mesh."""
        rngs = nnx.Rngs(params=root(seed, Stream.INITIALIZATION))
        return models.create(**self.model, num_devices=mesh.size, rngs=rngs)

    def abstract(self, mesh: Mesh) -> tuple[nnx.GraphDef, Weights]:
        """The structure of the model, and its weights as shapes that lie whole on every device."""
        graphdef, weights = functional.split_model(nnx.eval_shape(lambda: self.create(mesh)))
        whole = sharding.replicated(mesh)
        return graphdef, jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), weights
        )

    def check_same_data(self, source: Source, where: str | Place) -> None:
        """Refuses other data than the run in `where` was trained on, by the fingerprint.

        Raises:
          UserError: the fingerprint or the classes differ.
        """
        if source.fingerprint != self.fingerprint:
            raise UserError(
                f"The run in {where} was trained on {self.dataset} with fingerprint "
                f"{self.fingerprint[:12]}, but the prepared data set has "
                f"{source.fingerprint[:12]}. Name the --data_dir of the data it was trained on, or "
                "prepare that again."
            )
        if source.labels.names != self.labels:
            raise UserError(
                f"The run in {where} knows the classes {', '.join(self.labels)}, and the prepared "
                f"data set has {', '.join(source.labels.names)}. Prepare the data it was trained "
                "on again."
            )
