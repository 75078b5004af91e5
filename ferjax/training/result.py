"""The result of a run: the fields of result.json, and how they are printed.

result.json, format 2 (fractions, not percent); format 1 lacks what is marked with a 2:

    format          2
    paper, seed, dataset, fingerprint, labels
    options         options of the data set, such as the fold that is tested
    protocol        "honest": selected on validation, tested once; or "optimistic"
    departures      sentences: how the run, or one that it starts from, differs from a row of its
                    paper; empty if the config's arguments select a row. Fields set one by one are
                    not checked
    started_from    one object for each source of weights: where it was, what identifies it (sha256
                    of a file; fingerprint, protocol, seed, epoch, departures of a run), what was
                    loaded, and which modules started fresh
    selection       split, view, accuracy, epoch, step of the epoch that was selected
    training        epoch, loss and accuracy of the selected epoch in training: means over its
                    steps, of augmented images while the weights still moved; null if none was made
    test            {view: {group: metrics}}; group "test" is the official split, "test_clean" the
                    images whose pixels are in neither train nor validation, first of identical
                    ones; `evaluation.described` has the metrics of format 2
    temperature     2: {view: T}, fitted on the split that selected
    predictions     2: {split: {file, sha256}} of the predictions for each example (see
                    `workdir.predictions`), also of the split that selected
    last, test_last with --report_last: epoch and step with which training ended, 2: temperature
                    and predictions of its weights, and their scores in the form of `test`; they
                    select nothing
    warnings        problems that were reported: kind "collapsed", with the epochs after which the
                    model did no better than class frequencies, and the message; else []
    num_steps, parameters
    versions        of ferjax and its libraries
    machine         platform, device, number of devices
    cost            train_seconds (with validation and saving), images_per_second over that time
    finished        date and time, UTC
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from rich.table import Table

from ferjax.cli import output, tables
from ferjax.filesystem import Place
from ferjax.training.experiment import Experiment
from ferjax.training.run_progress import RunProgress
from ferjax.workdir import versions

FORMAT = 2
PACKAGES = ("ferjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def result(
    run: Experiment,
    progress: RunProgress,
    *,
    training: dict[str, Any] | None,
    scores: dict[str, Any],
    stored: dict[str, Any],
    num_steps: int,
) -> dict[str, Any]:
    """The object that result.json holds; see the head of this file.

    Args:
      run: its parts.
      progress: what its checkpoints keep of it.
      training: the selected epoch in training.
      scores: of the test.
      stored: what else the test leaves (see `final_test.Tested.stored`).
      num_steps: optimizer steps made.
    """
    config, spec, selection = run.config, run.spec, progress.selection
    device = jax.devices()[0]
    images, seconds = num_steps * config.train.batch_size, progress.train_seconds
    return {
        "format": FORMAT,
        "paper": config.paper,
        "seed": config.seed,
        "dataset": config.dataset.name,
        "options": config.dataset.options.to_dict(),
        "fingerprint": spec.fingerprint,
        "labels": list(spec.labels),
        "protocol": run.protocol.label,
        "departures": _departures(config.departures, progress.started_from),
        "started_from": progress.started_from,
        "selection": {
            "split": run.protocol.selection,
            "view": config.evaluation.selection_view,
            "accuracy": selection.accuracy,
            "epoch": selection.epoch,
            "step": selection.step,
        },
        "training": training,
        "test": scores,
        **stored,
        "warnings": progress.warnings,
        "num_steps": num_steps,
        "parameters": run.num_parameters,
        "versions": versions.installed(PACKAGES),
        "machine": {
            "platform": device.platform,
            "device": device.device_kind,
            "num_devices": jax.device_count(),
        },
        "cost": {
            "train_seconds": seconds,
            "images_per_second": images / seconds if seconds else 0.0,
        },
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def remarks(run: Experiment) -> list[str]:
    """What a user has to know of a run before it trains: its protocol, how it differs."""
    config = run.config
    differs = [_no_row(config.paper, config.departures)] if config.departures else []
    return [*filter(None, [run.protocol.remark]), *differs]


def _no_row(paper: str, departures: Sequence[str]) -> str:
    """A sentence: how a run differs from its paper."""
    return f"No row of {paper}: {'; '.join(departures)}."


def _departures(own: Sequence[str], origins: list[dict[str, Any]]) -> list[str]:
    """The departures of the run, and of the runs that it starts from."""
    return list(own) + [
        f"{origin['weights']}: {text}"
        for origin in origins
        for text in origin.get("departures", ())
        if text not in own
    ]


def _calibration(scores: Mapping[str, Any], optimistic: str) -> list[Table]:
    """The table of balance and calibration, which a result of format 1 has no numbers for."""
    known = all("calibration_error" in one for view in scores.values() for one in view.values())
    title = f"Balance and calibration{optimistic}"
    return [tables.calibration_table(scores, title)] if known else []


def print_result(fields: dict[str, Any], workdir: Place) -> None:
    """Prints the tables of a result, what the run made, and what to do next."""
    scores, labels = fields["test"], fields["labels"]
    view = next(iter(scores))
    split = next(iter(scores[view]))
    main = scores[view][split]
    optimistic = "" if fields["protocol"] == "honest" else ", OPTIMISTIC"
    chosen, cost = fields["selection"], fields["cost"]
    tables.print_tables(
        tables.class_table(labels, main, f"Classes ({view}, {split}{optimistic})"),
        tables.confusion_table(labels, main["confusion"]),
        tables.score_table(scores, f"Test scores of seed {fields['seed']}{optimistic}"),
        *_calibration(scores, optimistic),
    )
    if "test_last" in fields:
        title = f"Test scores of the last epoch, {fields['last']['epoch']}{optimistic}"
        last = fields["test_last"]
        tables.print_tables(tables.score_table(last, title), *_calibration(last, optimistic))
    output.say(
        f"\nSelected epoch {chosen['epoch']} by {chosen['split']} accuracy "
        f"{100 * chosen['accuracy']:.2f} % ({chosen['view']}); "
        f"{'reported on ' + split + optimistic if optimistic else 'tested once'}. "
        f"{cost['train_seconds'] / 60:.1f} minutes, {cost['images_per_second']:.0f} images/s."
    )
    training = fields.get("training")  # a run of an older version has none
    if training is not None:
        output.say(
            f"In training, epoch {training['epoch']} had a loss of {training['loss']:.4f} and an "
            f"accuracy of {100 * training['accuracy']:.2f} % (augmented images, moving weights)."
        )
    for warning in fields.get("warnings", []):
        output.say(f"\nWARNING: {warning['message']}")
    if fields.get("departures"):  # none in a result of an earlier version
        output.say(_no_row(fields["paper"], fields["departures"]))
    output.say(
        f"\nMade in {workdir}:\n"
        "  result.json     every number above\n"
        "  predictions/    the probabilities of every test image, for comparisons\n"
        "  metrics.jsonl   one line per step and per epoch\n"
        "  tensorboard/    the same for `tensorboard --logdir`\n"
        "  checkpoints/    the best epoch and the last two, to use or to resume\n"
        "\nTry next:\n"
        f"  python -m ferjax.evaluate --workdir={workdir} --split=validation --tta=ten_crop\n"
        f"  python -m ferjax.predict --workdir={workdir} FACE.png\n"
        f"  python -c \"import ferjax; print(ferjax.load('{workdir}').labels)\"\n"
    )
