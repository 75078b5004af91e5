"""A trained model as one file: weights by torchvision's names, and a text about them.

A file of safetensors with an array for each weight, in ferjax's layout: parameters in bfloat16 or
float32, running statistics in float32. Its one JSON text, `about`, has

    format        1
    spec          the model, its labels and preprocessing (see `ModelSpec`)
    step          updates made
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypedDict

import jax
import ml_dtypes
import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from ferjax import models, stored_json
from ferjax.distributed import sharding
from ferjax.errors import UserError, one_of
from ferjax.filesystem import Place
from ferjax.inference.model_spec import ModelSpec
from ferjax.inference.trained_model import TrainedModel
from ferjax.models import functional
from ferjax.stored_json import Object, whole

FORMAT: Literal[1] = 1
SUFFIX = ".safetensors"
DTYPES = {"bfloat16": np.dtype(ml_dtypes.bfloat16), "float32": np.dtype(np.float32)}
_TYPES = {"BF16": DTYPES["bfloat16"], "F32": DTYPES["float32"]}


class About(TypedDict):
    """The text of the file."""

    format: Literal[1]
    spec: Object
    step: Annotated[int, whole(0)]


def pack(trained: TrainedModel, dtype: str) -> bytes:
    """The content of the file.

    Args:
      trained: the model.
      dtype: of the parameters, one of `DTYPES`. Running statistics stay float32: a batch norm
        divides by their roots.

    Raises:
      UserError: another dtype.
    """
    one_of("dtype", dtype, tuple(DTYPES))
    model = functional.merge_model(trained.graphdef, trained.weights)
    wide = set(models.weights.statistics(model))
    arrays = {
        name: np.ascontiguousarray(array.astype(DTYPES["float32" if name in wide else dtype]))
        for name, array in models.weights.named(model).items()
    }
    about = About(format=FORMAT, spec=trained.spec.to_json(), step=trained.step)
    # One text: safetensors writes several in any order, and equal models are equal files.
    return save(arrays, {"about": json.dumps(about)})


def unpack(data: bytes, where: Place) -> TrainedModel:
    """The model in the content of a file, on one device.

    Args:
      data: the content.
      where: the file, for messages.

    Raises:
      UserError: the content is damaged, or of no model that ferjax has.
    """
    about, arrays = _parsed(data, where)
    spec = ModelSpec.from_json(about["spec"], where)
    mesh = sharding.make_mesh(jax.local_devices()[:1])
    model = functional.merge_model(*spec.checked_abstract(mesh, where))
    wide = {name: array.astype(np.float32) for name, array in arrays.items()}
    models.weights.load(model, wide, source=f"The weights in {where}")
    graphdef, weights = functional.split_model(model)
    placed = jax.device_put(weights, sharding.replicated(mesh))
    return TrainedModel(spec, graphdef, placed, mesh, about["step"], where)


def _parsed(data: bytes, where: Place) -> tuple[About, dict[str, np.ndarray]]:
    """The text and the arrays; `deserialize` checks sizes against the content."""
    try:
        found = deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        text = (header.get("__metadata__") or {}).get("about", "{}")
        about = stored_json.check(stored_json.parse(text.encode()), About)
    except (SafetensorError, ValueError, RecursionError) as error:
        raise _unfit(where, f"is no packed model ({error})") from None
    arrays = {}
    for name, one in found:
        if one["dtype"] not in _TYPES:
            raise _unfit(where, f"has {name} of type {one['dtype']}, expected {', '.join(_TYPES)}")
        flat: np.ndarray = np.frombuffer(one["data"], _TYPES[one["dtype"]])
        if not np.isfinite(flat.astype(np.float32)).all():
            raise _unfit(where, f"has numbers in {name} that are not finite")
        arrays[name] = flat.reshape(one["shape"])
    return about, arrays


def _unfit(where: Place, what: str) -> UserError:
    return UserError(f"{where} {what}. Restore it from a copy.")
