r"""Compare finished runs on the same test images.

Examples:
    python -m ferjax.analysis.compare runs/softmax runs/island
    python -m ferjax.analysis.compare runs/softmax runs/island --page=compared
    python -m ferjax.analysis.compare runs/softmax runs/center runs/island --view=flip \
        --csv=gains.csv

Every run is compared with the first, image by image, from the predictions that it kept when it was
tested; the test split is not read again. A folder of seeds or folds (--seeds, fold=-1) is one row:
seeds are paired in their order, and folds count all their images together.

`higher` and `lower` mean that zero is in no 95 % interval of the difference in accuracy: neither in
the one over images, a paired bootstrap for these trained models, nor, if there are several seeds,
in Student's over seeds. Everything else is `open`. McNemar's exact test asks, for each seed,
whether two models that are equally accurate would disagree so unevenly. p-values are not corrected
for the number of rows.
"""

from __future__ import annotations

import os
import sys

from absl import flags

from ferjax.cli import command, output
from ferjax.errors import UserError

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "view", None, "test-time view; by default flip, or the runs' first", flag_values=FLAGS
)
flags.DEFINE_string(
    "group", None, "images: test or test_clean; by default all that were tested", flag_values=FLAGS
)
flags.DEFINE_string(
    "page", None, "folder to write a page to, of runs without seeds or folds", flag_values=FLAGS
)
flags.DEFINE_string("csv", None, "file to write the figures to", flag_values=FLAGS)
flags.DEFINE_string("json", None, "file to write the figures to, or -", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Prints the tables, and writes --csv and --json if asked."""
    from ferjax import filesystem, json_output
    from ferjax.analysis import comparison
    from ferjax.config import stored
    from ferjax.evaluation import finished_runs

    folders = [os.path.normpath(one) if "://" not in one else one for one in argv[1:]]
    if len(folders) < 2:
        raise UserError(
            "There is nothing to compare: name two or more folders of finished runs, as in "
            "python -m ferjax.analysis.compare runs/softmax runs/island"
        )
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            raise UserError(f"{folder} is named twice; a run cannot be compared with itself.")
    json_output.check(FLAGS.json, folders)
    if FLAGS.csv is not None:
        filesystem.check_output("--csv", FLAGS.csv, [*folders, *filter(None, [FLAGS.json])])
    found = comparison.compare(
        [finished_runs.read(folder, stored.of_run) for folder in folders],
        view=FLAGS.view,
        group=FLAGS.group,
    )
    if FLAGS.csv is not None:
        comparison.write_csv(found, FLAGS.csv)
    if not json_output.write(FLAGS.json, found.to_json()):
        comparison.show(found)
    if FLAGS.page is not None:
        from ferjax.analysis.report import write

        where = write.report(folders, FLAGS.page, view=FLAGS.view, group=FLAGS.group)
        output.say(f"Written to {where}.", file=sys.stderr)


if __name__ == "__main__":
    command.run(main, flag_values=FLAGS)
