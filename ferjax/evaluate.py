r"""Evaluate a checkpoint of a run on a split of its data set, or of another one.

Examples:
    python -m ferjax.evaluate --workdir=runs/first --split=test --tta=single,flip,ten_crop
    python -m ferjax.evaluate --workdir=runs/first --dataset=ck_plus --options=fold=0 \
        --label_map=emotions --unmapped=drop

Each view is a number of its own: `single` is the whole image, `flip` averages the probabilities of
the image and its mirror, `ten_crop` over five crops and their mirrors. One pass over the test
split scores two groups of images: `test`, the split as published, and `test_clean`, without images
that also occur in train or validation; with the `--clean_index` of an audit also `test_clean_near`,
without their near duplicates. Every such command reads the test split again.

The images of a folder that has one folder for each class are scored as they are, all of them:

    python -m ferjax.evaluate --workdir=runs/first --images=faces --json=faces.json

Its classes are mapped by the meaning of their names unless --label_map says otherwise. Images that
cannot be read are listed at the end; the others are scored, and the exit code is 2.

Another data set is evaluated through a map of its classes to the model's classes, which is never
guessed: `--label_map=emotions` goes by the meaning of the names (angry is anger), and
`--label_map=theirs=ours,...` names every class. A class that the model does not have (`contempt=`
in such a list) is refused, or left out and counted with `--unmapped=drop`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from ferjax.cli import command, huge_pages
from ferjax.data.catalog import SCORED_SPLITS as SPLITS
from ferjax.errors import UserError, one_of

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from ferjax.evaluation.checkpoint_result import CheckpointScores
    from ferjax.evaluation.checkpoint_scores import FinishedRun

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "run directory of ferjax.main", flag_values=FLAGS)
flags.DEFINE_string("split", "test", f"one of {', '.join(SPLITS)}", flag_values=FLAGS)
flags.DEFINE_list("tta", ["single"], "views: single, flip, ten_crop", flag_values=FLAGS)
flags.DEFINE_string("checkpoint", "best", "best or last", flag_values=FLAGS)
flags.DEFINE_string(
    "data_dir",
    None,
    "where the data set is prepared; the run's by default, where nothing is made",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "dataset", None, "another data set than the run's, such as raf_db", flag_values=FLAGS
)
flags.DEFINE_string(
    "images", None, "a folder with one folder of images for each class", flag_values=FLAGS
)
flags.DEFINE_list(
    "options",
    None,
    "of that data set: fold=3, target=majority, or name=mine (of image_folder)",
    flag_values=FLAGS,
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
flags.DEFINE_string("json", None, "file to write the numbers to, or -", flag_values=FLAGS)
flags.mark_flag_as_required("workdir", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Prints the tables, and writes --json if asked."""
    command.refuse_arguments(argv)
    import sys

    from ferjax import json_output
    from ferjax.cli import output
    from ferjax.config import stored
    from ferjax.evaluation import checkpoint_scores, labelled_images
    from ferjax.workdir.directory import RunDirectory

    _check_flags()
    directory = RunDirectory(FLAGS.workdir)
    config = stored.of_run(directory)
    json_output.check(FLAGS.json, _inputs(config))
    run = checkpoint_scores.FinishedRun.open(directory, config, FLAGS.checkpoint)
    found = _scores(run)
    labels = run.trained.spec.labels
    made = found.to_json(checkpoint=FLAGS.checkpoint, labels=labels)
    if not json_output.write(FLAGS.json, made):
        _print(found, labels)
    for text in found.about.get("remarks", ()):
        output.say(text, file=sys.stderr)
    for text in found.about.get("warnings", ()):
        output.say(f"warning: {text}", file=sys.stderr)
    unread = found.about.get("unreadable")
    if unread:
        raise labelled_images.unreadable(unread, len(unread) + found.about["scored"])


def _inputs(config: ConfigDict) -> list[str | os.PathLike[str]]:
    """The files and folders that the command reads, where --json must not lie."""
    from ferjax import filesystem
    from ferjax.data.storage.local import resolve
    from ferjax.workdir.directory import own_files

    inputs = [*own_files(FLAGS.workdir), *filter(None, [FLAGS.clean_index, FLAGS.images])]
    data_dir = FLAGS.data_dir or config.dataset.data_dir
    if not filesystem.is_remote(data_dir):  # a bucket that a stranger names is not asked
        names = filter(None, (config.dataset.name, FLAGS.dataset))
        inputs += [resolve(data_dir) / name for name in names]
    return inputs


def _scores(run: FinishedRun) -> CheckpointScores:
    """The scores that the flags ask for."""
    import sys

    from rich.console import Console

    from ferjax.cli import output, progress
    from ferjax.data.label_maps import BY_EMOTION

    if FLAGS.images is not None:
        return run.on_images(
            FLAGS.images,
            FLAGS.tta,
            label_map=BY_EMOTION if FLAGS.label_map is None else FLAGS.label_map,
            unmapped=FLAGS.unmapped or "refuse",
            batch_size=FLAGS.batch_size,
            on_left_out=lambda text: output.say(text, file=sys.stderr),
            progress=lambda total: progress.bar(Console(stderr=True), "scoring images", total),
        )
    if FLAGS.dataset:
        return run.on_other_data(
            FLAGS.dataset,
            FLAGS.split,
            FLAGS.tta,
            options=FLAGS.options or [],
            data_dir=FLAGS.data_dir,
            batch_size=FLAGS.batch_size,
            label_map=FLAGS.label_map,
            unmapped=FLAGS.unmapped or "refuse",
        )
    return run.on_own_data(
        FLAGS.split,
        FLAGS.tta,
        data_dir=FLAGS.data_dir,
        batch_size=FLAGS.batch_size,
        clean_index=FLAGS.clean_index,
    )


def _print(found: CheckpointScores, labels: Sequence[str]) -> None:
    """Prints the tables and notes."""
    from ferjax.cli import output, tables

    view = FLAGS.tta[0]
    scores = found.scores[view][found.group]
    where, remark = found.where, found.remark and f", {found.remark}"
    tables.print_tables(
        tables.class_table(labels, scores, f"Classes ({view}, {where}{remark})"),
        tables.confusion_table(labels, scores["confusion"]),
        tables.score_table(
            found.scores, f"Scores on {where}, {FLAGS.checkpoint} checkpoint{remark}"
        ),
        tables.calibration_table(found.scores, f"Balance and calibration{remark}"),
    )
    for name, count in found.about.get("dropped", {}).items():
        output.say(f"Left out: {count} images of {name}, a class that the model does not have.")
    if found.about.get("note"):
        output.say(found.about["note"])


def _check_flags() -> None:
    """Refuses flags that would do nothing, and values that are not allowed."""
    from ferjax.config.fields import FIELDS

    if FLAGS.images is not None:
        for name in ("dataset", "split", "options", "data_dir", "clean_index"):
            if FLAGS[name].present:
                raise UserError(
                    f"--{name} is about prepared data, and --images names a folder, all of whose "
                    "images are scored; leave one of them out."
                )
    if FLAGS.options is not None and not FLAGS.dataset:
        raise UserError(
            "--options is about another data set than the run's: name it with --dataset=NAME."
        )
    for name in ("label_map", "unmapped"):
        if FLAGS[name].value is not None and not FLAGS.dataset and FLAGS.images is None:
            raise UserError(
                f"--{name} is about other data than the run's: name it with --dataset=NAME, or a "
                "folder of class folders with --images=FOLDER."
            )
    if FLAGS.clean_index and FLAGS.dataset:
        raise UserError(
            "--clean_index knows near duplicates within one data set, and with --dataset the model "
            "was trained on another; leave one of them out."
        )
    if FLAGS.clean_index and FLAGS.split != "test":
        raise UserError(f"--clean_index is about the test split, and --split is {FLAGS.split}.")
    one_of("--split", FLAGS.split, SPLITS)
    FIELDS["evaluation.test_views"].rule.check("--tta", FLAGS.tta)
    if FLAGS.batch_size is not None:
        FIELDS["evaluation.batch_size"].rule.check("--batch_size", FLAGS.batch_size)


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
