r"""Evaluate a checkpoint of a run on a split of its data set, or of another one.

Examples:
    python -m ferjax.evaluate --workdir=runs/first --split=test --tta=single,flip,ten_crop
    python -m ferjax.evaluate --workdir=runs/first --dataset=ck_plus --options=fold=0 \
        --label_map=emotions --unmapped=drop

Each view is a number of its own: `single` is the whole image, `flip` averages the probabilities of
the image and its mirror, `ten_crop` those of five crops and their mirrors. The test split is scored
twice, as published and without images that also occur in train or validation; with the
`--clean_index` of an audit also without near duplicates of such images (`test_clean_near`).

Another data set is evaluated through a map of its classes to those of the model, which is never
guessed: `--label_map=emotions` goes by what the names mean (angry is anger), and
`--label_map=theirs=ours,...` names every class. A class that the model does not have (`contempt=`
in such a list) is refused, or left out and counted with `--unmapped=drop`.
"""

from __future__ import annotations

from typing import Any

from absl import flags

from ferjax.cli import command, huge_pages
from ferjax.data.catalog import SCORED_SPLITS as SPLITS
from ferjax.errors import UserError, nearest

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "run directory of ferjax.main", flag_values=FLAGS)
flags.DEFINE_string("split", "test", f"one of {', '.join(SPLITS)}", flag_values=FLAGS)
flags.DEFINE_list("tta", ["single"], "views: single, flip, ten_crop", flag_values=FLAGS)
flags.DEFINE_string("checkpoint", "best", "best or last", flag_values=FLAGS)
flags.DEFINE_string(
    "data_dir", None, "where the data set is prepared; the run's by default", flag_values=FLAGS
)
flags.DEFINE_string(
    "dataset", None, "another data set than the run's, as raf_db", flag_values=FLAGS
)
flags.DEFINE_list(
    "options", None, "of that data set: fold=3, or target=majority,...", flag_values=FLAGS
)
flags.DEFINE_string(
    "label_map",
    None,
    "its classes as the model's: emotions, or theirs=ours for each, joined by commas",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "unmapped",
    None,
    "images of classes that the model does not have: refuse (default) or drop",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "clean_index",
    None,
    "clean_test.json of ferjax.data.audit: scores its clean images, too",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "batch_size", None, "images per batch; the run's by default", flag_values=FLAGS
)
flags.DEFINE_string("json", None, "file to write the numbers to", flag_values=FLAGS)
flags.mark_flag_as_required("workdir", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Prints the tables, and writes --json if asked."""
    command.refuse_arguments(argv)
    from ferjax import filesystem
    from ferjax.cli import tables
    from ferjax.filesystem import write_json
    from ferjax.training import restored, result

    _check_flags()
    views = tuple(FLAGS.tta)
    parts, weights, meta = restored.restore(FLAGS.workdir, FLAGS.checkpoint)
    if FLAGS.dataset:
        parts = parts.elsewhere(evaluation_batch_size=FLAGS.batch_size)
        about, scores = _elsewhere(parts, weights, views)
    else:
        parts = parts.elsewhere(data_dir=FLAGS.data_dir, evaluation_batch_size=FLAGS.batch_size)
        result.check_same_data(parts, meta, FLAGS.workdir)
        scores = parts.evaluation(FLAGS.split, views, _clean_groups(parts.source))(weights)
        about = {
            "dataset": meta["dataset"],
            "options": parts.source.options,
            "fingerprint": meta["fingerprint"],
        }
    main_view = scores[views[0]][FLAGS.split]
    label, remark = parts.protocol.label, parts.protocol.remark
    if not FLAGS.dataset and not remark:
        label, remark = _own_split(parts.protocol.selection)
    remark = remark and f", {remark}"
    where = FLAGS.split
    if FLAGS.dataset:
        options = ", ".join(f"{name}={value}" for name, value in about["options"].items())
        where = f"{FLAGS.dataset} {FLAGS.split}" + (f" ({options})" if options else "")
    tables.print_tables(
        tables.class_table(parts.labels, main_view, f"Classes ({views[0]}, {where}{remark})"),
        tables.confusion_table(parts.labels, main_view["confusion"]),
        tables.score_table(scores, f"Scores on {where}, {FLAGS.checkpoint} checkpoint{remark}"),
    )
    for name, count in about.get("dropped", {}).items():
        print(f"Left out: {count} images of {name}, a class that the model does not have.")
    if about.get("note"):
        print(about["note"])
    if FLAGS.json:
        fields = {
            "format": result.FORMAT,
            **about,
            "protocol": label,
            "split": FLAGS.split,
            "checkpoint": FLAGS.checkpoint,
            "labels": list(parts.labels),
            "scores": scores,
        }
        write_json(filesystem.of(FLAGS.json), fields)


def _own_split(selection: str) -> tuple[str, str]:
    """What a score of an honest run on a split of its own data is, and why it is not honest."""
    seen = [name for name in FLAGS.split.split("+") if name in ("train", *selection.split("+"))]
    if not seen:
        return "honest", ""
    return "optimistic", f"OPTIMISTIC: {' and '.join(seen)} trained or selected the model"


def _elsewhere(parts: Any, weights: Any, views: tuple[str, ...]) -> tuple[dict[str, Any], Any]:
    """What another data set is and how it was mapped, and the scores on it."""
    from ferjax.data import label_maps
    from ferjax.data.dataset import open_dataset
    from ferjax.data.options import parse
    from ferjax.evaluation import cross_dataset
    from ferjax.training import restored
    from ferjax.workdir.directory import RunDirectory

    options = parse(FLAGS.dataset, FLAGS.options or [])
    data_dir = FLAGS.data_dir or parts.config.dataset.data_dir or None
    source = open_dataset(FLAGS.dataset, data_dir, **options)
    if FLAGS.label_map is None:
        raise UserError(
            f"The model knows the classes {', '.join(parts.labels)}, and {FLAGS.dataset} has "
            f"{', '.join(source.labels.names)}: say how they belong together, by what the names "
            "mean with --label_map=emotions, or class by class with --label_map=theirs=ours,..."
        )
    label_map = label_maps.parse(FLAGS.label_map, source.labels.names, parts.labels)
    started_from = (RunDirectory(FLAGS.workdir).result() or {}).get("started_from", ())
    found = cross_dataset.score(
        restored.scored_model(parts, weights, views, started_from),
        source,
        FLAGS.split,
        label_map,
        unmapped=FLAGS.unmapped or "refuse",
    )
    about = {
        "dataset": source.name,
        "options": source.options,
        "fingerprint": source.fingerprint,
        "trained_on": parts.config.dataset.name,
        "label_map": label_map.describe(),
        "dropped": found.dropped,
        "note": found.note,
    }
    return about, found.scores


def _clean_groups(source: Any) -> dict[str, Any]:
    """The test images without near duplicates, where an audit has looked for them."""
    if not FLAGS.clean_index:
        return {}
    from ferjax.data.audit.clean_index import read_clean_index

    if FLAGS.split != "test":
        raise UserError(f"--clean_index is about the test split, and --split is {FLAGS.split}.")
    near = "test_clean_near"
    return {near: read_clean_index(FLAGS.clean_index, source)[near]}


def _check_flags() -> None:
    """Refuses flags that would do nothing."""
    for name in ("options", "label_map", "unmapped"):
        if FLAGS[name].value is not None and not FLAGS.dataset:
            raise UserError(
                f"--{name} is about another data set than the run's: name it with --dataset=NAME."
            )
    if FLAGS.clean_index and FLAGS.dataset:
        raise UserError(
            "--clean_index knows near duplicates within one data set, and with --dataset the model "
            "was trained on another; leave one of them out."
        )
    if FLAGS.split not in SPLITS:
        raise UserError(
            f"--split is {FLAGS.split!r}; expected one of {', '.join(SPLITS)}."
            + nearest(FLAGS.split, SPLITS)
        )
    if not FLAGS.tta:
        raise UserError("--tta names no view; give single, flip, ten_crop, or some of them.")


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
