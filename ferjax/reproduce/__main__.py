r"""Train every row of a study and print its table; stopped anywhere, the same command goes on.

Examples:
    python -m ferjax.reproduce --study=configs/studies/island.toml --workdir=runs/island
    python -m ferjax.reproduce --study=configs/studies/island.toml --workdir=runs/short \
        --rows=softmax,center --set=train.num_epochs=4

Each run has a folder of its own, WORKDIR/ROW/seed_N. Rows may be trained by several commands, one
after the other or side by side; the table shows what is finished. It is written to
WORKDIR/table.json, too.
"""

from __future__ import annotations

import sys

from absl import flags

from ferjax.cli import command, huge_pages, output

FLAGS = flags.FlagValues()
flags.DEFINE_string("study", None, "a .toml file that lists the rows", flag_values=FLAGS)
flags.DEFINE_string("workdir", None, "folder of the runs, made if need be", flag_values=FLAGS)
flags.DEFINE_list("rows", None, "names of rows to train; all by default", flag_values=FLAGS)
flags.DEFINE_multi_string(
    "set", [], "FIELD=VALUE of every row's config, such as train.num_epochs=4", flag_values=FLAGS
)
flags.DEFINE_bool("dry_run", False, "list the runs and train nothing", flag_values=FLAGS)
flags.mark_flags_as_required(["study", "workdir"], flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Trains the rows that are not finished, and prints the table."""
    command.refuse_arguments(argv)
    from ferjax.reproduce import study, table

    found = study.read(FLAGS.study)
    runs = study.runs(found, FLAGS.workdir, rows=FLAGS.rows, assignments=FLAGS.set)
    if FLAGS.dry_run:
        for run in runs:
            output.say(f"{run.folder}  {run.argument}")
        return
    study.train(runs)
    rows = table.collect(
        found,
        FLAGS.workdir,
        assignments=FLAGS.set,
        on_left_out=lambda text: output.say(text, file=sys.stderr),
    )
    table.write(found, rows, FLAGS.workdir)
    table.show(found.title, rows)


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
