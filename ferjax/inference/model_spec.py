"""The description that is stored beside trained weights: model, labels and preprocessing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict

import jax
from flax import nnx
from jax.sharding import Mesh

from ferjax import models, stored_json
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.inference.faces import alignment
from ferjax.inference.faces.alignment import Framing
from ferjax.models import functional
from ferjax.models.functional import Weights
from ferjax.random_streams import Stream, root
from ferjax.stored_json import Labels, Object, Sha256, whole

if TYPE_CHECKING:  # it takes long to import, and predicting needs no data set
    from ferjax.data.dataset import Source

_FIX = (
    "Restore it from a copy, use the version of ferjax that wrote it, or train again in an empty "
    "workdir."
)


class StoredModel(TypedDict):
    """The keywords of `models.create` that every model has, as JSON; its options follow."""

    name: str
    num_classes: Annotated[int, whole(2, 100_000)]
    channels: NotRequired[Literal[1, 3]]
    image_size: NotRequired[Annotated[int, whole(1, 4096)]]
    dtype: NotRequired[Literal["float32", "bfloat16"]]
    batch_stats: NotRequired[Literal["global", "per_device"]]
    remat: NotRequired[bool]


class Stored(TypedDict):
    """A `ModelSpec` as JSON.

    Where `has_magnified_crops` is missing, these crops always were. Checkpoints of earlier versions
    lack `options`, `seed` and `framing`.
    """

    model: StoredModel
    labels: Labels
    preprocessing: dict[str, Any]
    has_magnified_crops: NotRequired[bool]
    dataset: str
    fingerprint: Sha256
    steps_per_epoch: Annotated[int, whole(1)]
    options: NotRequired[Object]
    seed: NotRequired[Annotated[int, whole(0)]]
    framing: NotRequired[alignment.Stored]


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
      options: options of the data set, which decide what trains; None where it is not known.
      seed: the seed of the run; None where it is not known.
      framing: where the eyes lie in the training images, by which photographs are cropped; None
        where it is not known.
    """

    model: Mapping[str, Any]
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    has_magnified_crops: bool
    dataset: str
    fingerprint: str
    steps_per_epoch: int
    options: Mapping[str, Any] | None = None
    seed: int | None = None
    framing: Framing | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        known = {name: value for name, value in fields.items() if value is not None}
        made = {**known, "preprocessing": self.preprocessing.to_dict()}
        if self.framing is not None:
            made["framing"] = dataclasses.asdict(self.framing)
        return json.loads(json.dumps(made))  # tuples are lists, as they come back from a file

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], where: str | Place) -> ModelSpec:
        """Reads the object that `to_json` wrote; other fields are ignored.

        Raises:
          UserError: a field is missing, of another type or out of range, or fields contradict each
            other; `where` names the checkpoint.
        """
        try:
            stored_json.check(fields, Stored)
            preprocessing = Preprocessing.from_dict(fields["preprocessing"])
            _check_model(fields["model"], fields["labels"], preprocessing)
        except stored_json.Unfit as error:
            raise UserError(f"The checkpoint in {where} {error}. {_FIX}") from None
        except UserError as error:
            raise _unusable(where, error) from None
        return cls(
            model=fields["model"],
            labels=tuple(fields["labels"]),
            preprocessing=preprocessing,
            has_magnified_crops=fields.get("has_magnified_crops", True),
            dataset=fields["dataset"],
            fingerprint=fields["fingerprint"],
            steps_per_epoch=fields["steps_per_epoch"],
            options=fields.get("options"),
            seed=fields.get("seed"),
            framing=alignment.of_stored(fields["framing"]) if "framing" in fields else None,
        )

    def checked_abstract(self, mesh: Mesh, where: str | Place) -> tuple[nnx.GraphDef, Weights]:
        """As `abstract`, for a description that was read.

        Raises:
          UserError: there is no such model; `where` names the checkpoint.
        """
        try:
            return self.abstract(mesh)
        except UserError as error:
            raise _unusable(where, error) from None

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


def _unusable(where: str | Place, error: UserError) -> UserError:
    return UserError(f"The checkpoint in {where} cannot be used: {error} {_FIX}")


def _check_model(model: Mapping[str, Any], labels: list[str], preprocessing: Preprocessing) -> None:
    """Checks the keywords of a model against its options, its labels and its input.

    Raises:
      Unfit: they contradict each other, or an option does not exist or has another type.
      UserError: no such model.
    """
    agreeing = {
        "num_classes": len(labels),
        "channels": preprocessing.channels,
        "image_size": preprocessing.image_size,
    }
    for field, expected in agreeing.items():
        if model.get(field, expected) != expected:
            raise stored_json.Unfit(
                f"has model.{field} = {model[field]}, expected {expected} by its labels and "
                "preprocessing"
            )
    known = models.options(model["name"])
    for option, value in model.items():
        if option in StoredModel.__annotations__:
            continue
        if option not in known:
            raise stored_json.Unfit(
                f"has model.{option}, expected the options of {model['name']}, {', '.join(known)}"
            )
        if not _is_like(value, known[option]):
            raise stored_json.Unfit(
                f"has model.{option} = {json.dumps(value)[:60]}, expected a value like "
                f"{known[option]!r}"
            )


def _is_like(value: Any, default: Any) -> bool:
    """Whether an option out of JSON has the type of its default and a size that can be."""
    if default is None:  # a name, or none
        return value is None or isinstance(value, str)
    if isinstance(default, bool) or isinstance(value, bool):
        return type(value) is type(default)
    if isinstance(default, int):
        return isinstance(value, int) and 0 <= value <= 1 << 16
    if isinstance(default, float):
        return isinstance(value, int | float) and abs(value) <= 1e6
    if isinstance(default, tuple | list):
        return isinstance(value, tuple | list) and all(isinstance(one, str) for one in value)
    return isinstance(value, type(default))
