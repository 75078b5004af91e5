r"""Train every row of a paper's table or of a study, and print it; stopped anywhere, it goes on.

Examples:
    python -m ferjax.reproduce --table=sun2021/table5 --dataset=synthetic --seeds=2
    python -m ferjax.reproduce --table=sun2021/table1 --dataset=fer2013 --budget=cpu --dry_run
    python -m ferjax.reproduce --study=configs/studies/island.toml --workdir=runs/island

--table trains what is missing of a table of a paper, on the paper's data sets unless --dataset
names others, and prints what the paper printed beside what was measured: mean and deviation over
the seeds, intervals, and which orderings of the paper hold by a paired test. Runs are in
WORKDIR/PAPER/DATASET/ROW/seed_N; tables share them, and fusions share their trunks. A row whose
data or weights are not there is left out and named. The table is in WORKDIR/PAPER/TABLE.json and
.md, too. --dry_run lists the paper's numbers, the runs and their expected time, without any data.

--study trains the rows of a .toml file into WORKDIR/ROW/seed_N, and writes WORKDIR/table.json.

Rows may be trained by several commands, one after the other or side by side, with other --rows; the
table shows what is finished. Start it in the repository, where configs/ is.
"""

from __future__ import annotations

import sys

from absl import flags

from ferjax.cli import command, huge_pages, output
from ferjax.errors import UserError

FLAGS = flags.FlagValues()
flags.DEFINE_string("table", None, "PAPER/TABLE, such as sun2021/table5", flag_values=FLAGS)
flags.DEFINE_string("study", None, "a .toml file that lists the rows", flag_values=FLAGS)
flags.DEFINE_string(
    "workdir",
    None,
    "folder of the runs, made if need be; runs/tables for --table",
    flag_values=FLAGS,
)
flags.DEFINE_list("rows", None, "names of rows to train; all by default", flag_values=FLAGS)
flags.DEFINE_multi_string(
    "set", [], "FIELD=VALUE of every row's config, such as train.num_epochs=4", flag_values=FLAGS
)
flags.DEFINE_bool("dry_run", False, "list the runs and train nothing", flag_values=FLAGS)
flags.DEFINE_list(
    "dataset", None, "data sets of the table; the paper's by default", flag_values=FLAGS
)
flags.DEFINE_integer(
    "seeds", 3, "seeds of each row of the table, from 0 on", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_string("budget", None, "of the table's config, such as cpu", flag_values=FLAGS)
flags.DEFINE_string("recipe", None, "of the table's config: paper or strong", flag_values=FLAGS)
flags.DEFINE_string(
    "arguments",
    "",
    "further arguments of the table's config, such as stem=imagenet,dtype=float32",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "weights", "", "folder with torchvision's files of ImageNet weights", flag_values=FLAGS
)
flags.DEFINE_string("view", "single", "test-time view that the table reports", flag_values=FLAGS)
flags.DEFINE_float(
    "images_per_second",
    None,
    "training rate for the time of --dry_run where no run like a row is finished",
    lower_bound=1e-6,
    flag_values=FLAGS,
)
# Flags that are about --table alone.
_OF_TABLES = ("dataset", "seeds", "budget", "recipe", "arguments", "weights", "view")


def main(argv: list[str]) -> None:
    """Trains the rows that are not finished, and prints the table."""
    command.refuse_arguments(argv)
    if (FLAGS.table is None) == (FLAGS.study is None):
        raise UserError(
            "Give --table=PAPER/TABLE, such as --table=sun2021/table5, or --study=FILE, one of "
            "them."
        )
    if FLAGS.table is not None:
        _table()
        return
    for name in (*_OF_TABLES, "images_per_second"):
        if FLAGS[name].present:
            raise UserError(f"--{name} is about --table, and a study sets it in its file.")
    if FLAGS.workdir is None:
        raise UserError("--study needs --workdir=FOLDER, the folder of its runs.")
    _study()


def _study() -> None:
    from ferjax.reproduce import study, table

    found = study.read(FLAGS.study)
    runs = study.runs(found, FLAGS.workdir, rows=FLAGS.rows, assignments=FLAGS.set)
    if FLAGS.dry_run:
        for run in runs:
            output.say(f"{run.folder}  {run.argument}")
        return
    study.train(runs)
    rows = table.collect(
        found, FLAGS.workdir, assignments=FLAGS.set, on_left_out=_to_standard_error
    )
    table.write(found, rows, FLAGS.workdir)
    table.show(found.title, rows)


def _table() -> None:
    from ferjax.config import papers
    from ferjax.reproduce import cost, paper_plan, paper_report, paper_results, paper_runs
    from ferjax.reproduce import paper_training as training

    table = papers.table(FLAGS.table)
    given = [("budget", FLAGS.budget), ("recipe", FLAGS.recipe)]
    arguments = [f"{name}={value}" for name, value in given if value is not None]
    settings = paper_runs.Settings(
        workdir=FLAGS.workdir or "runs/tables",
        datasets=tuple(FLAGS.dataset or ()),
        num_seeds=FLAGS.seeds,
        arguments=",".join(filter(None, [*arguments, FLAGS.arguments])),
        assignments=tuple(FLAGS.set),
        weights=FLAGS.weights,
        rows=tuple(FLAGS.rows or ()),
        view=FLAGS.view,
    )
    planned = paper_runs.plan(table, settings)
    if FLAGS.images_per_second is not None and not FLAGS.dry_run:
        raise UserError("--images_per_second is for the time that --dry_run tells; add --dry_run.")
    if FLAGS.dry_run:
        paper_plan.show(table, planned, cost.expected(planned, FLAGS.images_per_second))
        return
    reasons = training.train(planned)
    found = paper_results.collect(
        table, planned, view=FLAGS.view, reasons=reasons, on_left_out=_to_standard_error
    )
    paper_report.show(table, found, settings)
    places = paper_report.write(table, found, settings)
    output.say(f"\nWritten to {' and '.join(map(str, places))}.")
    rows = [row for one in found for row in one.rows if row.planned.role != "compared"]
    lacking = sum(bool(row.reason) for row in rows)
    if lacking:
        raise UserError(
            f"{lacking} of {len(rows)} rows are not complete; the notes above say why. The same "
            "command trains what is missing once it can."
        )


def _to_standard_error(text: str) -> None:
    output.say(text, file=sys.stderr)


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
