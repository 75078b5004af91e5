"""Evaluate a checkpoint of a run on a split of its data set.

Example:
    python -m ferjax.evaluate --workdir=runs/first --split=test --tta=single,flip,ten_crop

Each view is a number of its own: `single` is the whole image, `flip` averages the probabilities of
the image and its mirror, `ten_crop` those of five crops and their mirrors. The test split is scored
twice, as published and without images that also occur in train or validation.
"""

from __future__ import annotations

from absl import flags

from ferjax import command, huge_pages

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "run directory of ferjax.main", flag_values=FLAGS)
flags.DEFINE_string(
    "split", "test", "train, validation, test or validation+test", flag_values=FLAGS
)
flags.DEFINE_list("tta", ["single"], "views: single, flip, ten_crop", flag_values=FLAGS)
flags.DEFINE_string("checkpoint", "best", "best or last", flag_values=FLAGS)
flags.DEFINE_string(
    "data_dir", None, "where the data set is prepared; the run's by default", flag_values=FLAGS
)
flags.DEFINE_integer(
    "batch_size", None, "images per batch; the run's by default", flag_values=FLAGS
)
flags.DEFINE_string("json", None, "file to write the numbers to", flag_values=FLAGS)
flags.mark_flag_as_required("workdir", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Prints the tables, and writes --json if asked."""
    command.refuse_arguments(argv)
    from pathlib import Path

    from ferjax import classifier, report, tables
    from ferjax.rundir import write_json

    views = tuple(FLAGS.tta)
    parts, weights, meta = classifier.restore(FLAGS.workdir, FLAGS.checkpoint)
    parts = parts.elsewhere(data_dir=FLAGS.data_dir, evaluation_batch_size=FLAGS.batch_size)
    report.check_same_data(parts, meta, FLAGS.workdir)
    scores = parts.evaluation(FLAGS.split, views)(weights)
    main_view = scores[views[0]][FLAGS.split]
    remark = f", {parts.protocol.remark}" if parts.protocol.remark else ""
    tables.print_tables(
        tables.class_table(parts.labels, main_view, f"Classes ({views[0]}, {FLAGS.split}{remark})"),
        tables.confusion_table(parts.labels, main_view["confusion"]),
        tables.score_table(
            scores, f"Scores on {FLAGS.split}, {FLAGS.checkpoint} checkpoint{remark}"
        ),
    )
    if FLAGS.json:
        fields = {
            "format": report.FORMAT,
            "dataset": meta["dataset"],
            "fingerprint": meta["fingerprint"],
            "protocol": parts.protocol.label,
            "split": FLAGS.split,
            "checkpoint": FLAGS.checkpoint,
            "labels": list(parts.labels),
            "scores": scores,
        }
        write_json(Path(FLAGS.json), fields)


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
