"""Train, select on validation, test once.

Example:
    python -m ferjax.main --config=configs/cbam_island.py:dataset=synthetic --workdir=runs/first

The same command resumes a run that was stopped. Any field of the config can be changed with
--config.GROUP.FIELD=VALUE, as in --config.train.num_epochs=50. Of two for one field the last
counts.
"""

from __future__ import annotations

import errno
import os
import sys

from absl import flags

from ferjax.cli import command, config_flags, huge_pages
from ferjax.errors import UserError

FLAGS = flags.FlagValues()
config_flags.define(
    "config", "file in configs/, with its arguments after a colon", flag_values=FLAGS
)
flags.DEFINE_string("workdir", None, "folder of the run, made if need be", flag_values=FLAGS)
flags.DEFINE_integer(
    "seeds",
    1,
    "number of runs, with the config's seed and those after it",
    lower_bound=1,
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "report_last",
    False,
    "test the last epoch, too, beside the selected one, and report it as test_last; a finished run "
    "is given it",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "profile_steps",
    None,
    "FIRST:LAST, steps to trace for TensorBoard and XProf",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "report",
    "yes",
    ["yes", "no"],
    "write images for TensorBoard while a run trains and, when it is finished, a page about it, "
    "WORKDIR/report/index.html; the page by one process only",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "distributed",
    "off",
    "how the processes of a run on several hosts find each other: off (one process), auto (Cloud "
    "TPU, SLURM or Kubernetes), tpu, slurm, kubernetes, or flags (the next three)",
    flag_values=FLAGS,
)
flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0", flag_values=FLAGS)
flags.DEFINE_integer("num_processes", None, "how many processes there are", flag_values=FLAGS)
flags.DEFINE_integer("process_id", None, "number of this process, from 0", flag_values=FLAGS)
flags.mark_flags_as_required(["config", "workdir"], flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs one seed in --workdir, or several in folders below it."""
    command.refuse_arguments(argv)
    # After the flags, so that --help and errors answer at once.
    import jax

    from ferjax.config import checks
    from ferjax.distributed import cluster, processes
    from ferjax.training import sweep

    checks.check(FLAGS.config)
    if FLAGS.config.compilation_cache:
        _check_cache(FLAGS.config.compilation_cache)
        # Before the first program: JAX decides then whether it keeps any.
        jax.config.update("jax_compilation_cache_dir", FLAGS.config.compilation_cache)
    where = cluster.place(
        FLAGS.distributed,
        coordinator=FLAGS.coordinator,
        num_processes=FLAGS.num_processes,
        process_id=FLAGS.process_id,
    )
    with processes.joined(where):
        sweep.run(
            FLAGS.config,
            FLAGS.workdir,
            num_seeds=FLAGS.seeds,
            profile_steps=FLAGS.profile_steps,
            report_last=FLAGS.report_last,
            draws=FLAGS.report == "yes",
        )
        is_alone = jax.process_count() == 1
    if FLAGS.report == "yes" and is_alone:
        _write_report(FLAGS.workdir, FLAGS.config.dataset.data_dir or None)


def _write_report(workdir: str, data_dir: str | None) -> None:
    """Writes the page about one finished run that has none; a run never fails because of it."""
    from ferjax import filesystem
    from ferjax.analysis.report import write
    from ferjax.cli import output

    place = filesystem.of(workdir)
    if filesystem.exists(place / "report" / "index.html"):
        return
    again = f"python -m ferjax.analysis.report --workdir={workdir}"
    if not filesystem.exists(place / "config.json"):  # a folder of seeds or folds
        output.say(f"For a page about one of these runs, or some: {again}/RUN [--workdir=...]")
        return
    if write.missing():
        output.say(f"For a page about this run: pip install -e '.[analysis]', then\n  {again}")
        return
    try:
        page = write.report([workdir], data_dir=data_dir)
    except Exception as error:
        said = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        output.say(f"There is no page about this run: {said}\n  {again}", file=sys.stderr)
        return
    output.say(f"A page about this run: {page}")


def _check_cache(folder: str) -> None:
    """Refuses a folder of compiled programs that JAX could not write, after a warning each."""
    from ferjax import filesystem

    place = filesystem.of(folder)
    try:
        filesystem.make_folder(place)
        if not filesystem.is_remote(place) and not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
    except OSError as error:
        raise UserError(
            f"compilation_cache is {folder}, which cannot be used "
            f"({filesystem.problem(place, error)}); name a folder that can be written, or leave it "
            "empty."
        ) from None


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
    sys.exit()
