"""The figures of a model card, as JSON.

    format          1
    file            name, bytes, sha256, dtype of the parameters
    model           keywords of `models.create`; parameters, their number
    labels          the K class names
    input           height, width and channels of the crops; framing, see `alignment.Framing`
    data            dataset, options, fingerprint of the prepared data, examples of each split,
                    classes, training images of each
    training        paper, departures, seed, epochs, selection, versions, machine, finished;
                    started_from, see `training.result`; config; all without folders
    protocol        "honest" or "optimistic"; remark, why
    scores          metrics[view][group], see `evaluation.described`
    temperature     of each view, fitted on the split that selected
    parts           parts of the tested images: name, images, hits in the view `single`
    damage          kind -> unit, strengths and accuracy without damage and at each strength
    damaged         how many images were damaged
    predictions     split, and for each view the predicted class of each image of the split, in
                    order: numbers in a text
    measured        command, date, versions
    card            SHA-256 of the card as it was written; `write` adds it

Everything is measured with the packed weights, not with those of the run.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8

from ferjax.analysis import damage
from ferjax.data.run_data import RunData
from ferjax.evaluation import described
from ferjax.evaluation.checkpoint_result import check_finite
from ferjax.evaluation.checkpoint_scores import FinishedRun
from ferjax.evaluation.evaluator import Evaluator, Scores
from ferjax.inference.classifier import Classifier
from ferjax.inference.faces import measuring
from ferjax.workdir import versions
from ferjax.workdir.directory import LOCATION_FIELDS, STARTS
from ferjax.workdir.predictions import Predictions

FORMAT = 1
VIEWS = ("single", "flip")
PACKAGES = ("ferjax", "jax", "flax", "numpy")


class PackedFile(NamedTuple):
    """The file that the card is about.

    Attributes:
      name: of the file.
      num_bytes: its size.
      sha256: its checksum.
      dtype: of the parameters.
      command: that made it.
    """

    name: str
    num_bytes: int
    sha256: str
    dtype: str
    command: str


def measure(
    run: FinishedRun, result: Mapping[str, Any], file: PackedFile, data_dir: str | None = None
) -> dict[str, Any]:
    """Tests a packed model on the data set of its run; reads the test split.

    Args:
      run: with the packed model in the place of its own.
      result: the content of its result.json.
      file: of the packed model.
      data_dir: where the data set is; the run's by default, for reading alone.

    Raises:
      UserError: the data set is not there, or not the one that the run was trained on; or the
        probabilities are not finite.
    """
    data, spec, protocol = run.data(data_dir), run.trained.spec, run.protocol
    spec.check_same_data(data.source, run.trained.where)
    evaluator = Evaluator(spec, run.trained.mesh, batch_size=run.config.evaluation.batch_size)
    _, selected = _passed(run, evaluator, data, protocol.selection)
    scores, tested = _passed(run, evaluator, data, protocol.test)
    fitted = described.temperatures(selected)
    is_fair = protocol.selection != protocol.test
    images = np.asarray(data.examples(protocol.test).images[tested.index])
    labels = tested.label
    return {
        "format": FORMAT,
        **_model(run, result, file),
        "data": _data(data, len(spec.labels)),
        "training": _training(run, result),
        "protocol": protocol.label,
        "remark": protocol.remark,
        "scores": described.described(scores, tested, fitted if is_fair else {}),
        "temperature": {view: fitted[view] for view in VIEWS},
        "parts": list(_parts(images, labels, tested.probabilities["single"].argmax(axis=1))),
        **_damage(run.trained.classifier(), images, labels),
        "predictions": {
            "split": protocol.test,
            **{view: _numbers(tested.probabilities[view].argmax(axis=1)) for view in VIEWS},
        },
        "measured": {
            "command": file.command,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "versions": versions.installed(PACKAGES),
        },
    }


def _passed(
    run: FinishedRun, evaluator: Evaluator, data: RunData, split: str
) -> tuple[Scores, Predictions]:
    scores, found = described.passed(evaluator, run.trained.weights, data, split, VIEWS)
    check_finite(scores, run.trained, f"the {split} split")
    return scores, found


def _model(run: FinishedRun, result: Mapping[str, Any], file: PackedFile) -> dict[str, Any]:
    spec = run.trained.spec
    stored = spec.to_json()
    return {
        "file": {
            "name": file.name,
            "bytes": file.num_bytes,
            "sha256": file.sha256,
            "dtype": file.dtype,
        },
        "model": {**stored["model"], "parameters": result["parameters"]},
        "labels": list(spec.labels),
        "input": {"shape": list(spec.native_shape), "framing": stored.get("framing")},
    }


def _data(data: RunData, number: int) -> dict[str, Any]:
    source = data.source
    return {
        "dataset": source.name,
        "options": source.options,
        "fingerprint": source.fingerprint,
        "examples": dict(source.num_examples),
        "classes": data.examples("train").counts(number),
    }


def _training(run: FinishedRun, result: Mapping[str, Any]) -> dict[str, Any]:
    """How the run was trained, without the folders of its files."""
    config = _placeless(run.config.to_dict())
    names = ("paper", "departures", "seed", "selection", "versions", "machine", "finished")
    known = {name: result[name] for name in names if name in result}
    origins = result.get("started_from", [])
    known["departures"] = [_nearby(text, origins) for text in result.get("departures", [])]
    config["departures"] = known["departures"]
    return {
        **known,
        "started_from": [_origin(one) for one in origins],
        "epochs": run.config.train.num_epochs,
        "config": config,
    }


def _placeless(config: dict[str, Any]) -> dict[str, Any]:
    """A config, and those of the trunks that it trains first, without what names a folder."""
    for field in (*LOCATION_FIELDS, *STARTS):
        *parents, last = field.split(".")
        inner = config
        for name in parents:
            inner = inner[name]
        inner.pop(last, None)
    config["stages"] = {name: _placeless(one) for name, one in config["stages"].items()}
    return config


def _nearby(text: str, origins: Sequence[Mapping[str, Any]]) -> str:
    """A sentence that may name the weights that a run started from, with their last part alone."""
    for origin in origins:
        text = text.replace(origin["weights"], _last(origin["weights"]))
        text = _nearby(text, origin.get("started_from", []))
    return text


def _origin(origin: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: text for name, text in origin.items() if isinstance(text, str)}
    return {
        **origin,
        **{name: _nearby(text, [origin]) for name, text in texts.items()},
        "departures": [_nearby(text, [origin]) for text in origin.get("departures", [])],
        "started_from": [_origin(one) for one in origin.get("started_from", [])],
    }


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _parts(
    images: UInt8[np.ndarray, "N H W C"],
    labels: Int[np.ndarray, " N"],
    predicted: Int[np.ndarray, " N"],
) -> Iterator[dict[str, Any]]:
    """Parts of the images that can be told from the pixels, and how many of each are right."""
    found = np.array([one is not None for one in measuring.places(images, np.arange(len(images)))])
    grey = images.reshape(len(images), -1).mean(axis=1)
    dark, light = np.quantile(grey, (0.25, 0.75))
    parts: dict[str, Bool[np.ndarray, " N"]] = {
        "the detector finds a face": found,
        "the detector finds no face": ~found,
        "the darkest quarter": grey <= dark,
        "the lightest quarter": grey >= light,
    }
    for name, mask in parts.items():
        hits = int((labels[mask] == predicted[mask]).sum())
        yield {"name": name, "images": int(mask.sum()), "hits": hits}


def _damage(
    classifier: Classifier, images: UInt8[np.ndarray, "N H W C"], labels: Int[np.ndarray, " N"]
) -> dict[str, Any]:
    """What damage does to some of the images."""

    def predict(shown: UInt8[np.ndarray, "B H W C"]) -> Int[np.ndarray, " B"]:
        return classifier.predict_arrays(shown).probabilities.argmax(axis=1)

    rows = damage.drawn(len(labels))
    found = damage.accuracies(predict, images[rows], labels[rows])
    about = {kind.name: kind for kind in damage.KINDS}
    return {
        "damage": {
            name: {
                "unit": about[name].unit,
                "strengths": list(about[name].strengths),
                "accuracy": accuracy,
            }
            for name, accuracy in found.items()
        },
        "damaged": len(rows),
    }


def _numbers(classes: Int[np.ndarray, " N"]) -> str:
    return " ".join(map(str, classes.tolist()))
