r"""Measure the throughput of a config on this machine.

Examples:
    python -m ferjax.benchmark --config=configs/cbam_island.py:budget=cpu --json=out.json
    python -m ferjax.benchmark --config=configs/cbam_island.py:dataset=raf_db \
        --placements=device,host,stream

Measures, after a warm-up, the training step on a batch that is already there, the forward pass, the
input path alone (order, gathering, augmentation, preprocessing), and the real loop of both; the
share of a step spent waiting for input is what the loop takes longer than the step. FLOPs are those
of the mathematical program, before any compiler touches it.
"""

from __future__ import annotations

from absl import flags

from ferjax.cli import command, config_flags, huge_pages

FLAGS = flags.FlagValues()
config_flags.define(
    "config", "file in configs/, with its arguments after a colon", flag_values=FLAGS
)
flags.DEFINE_integer("steps", 10, "steps per repetition", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer("repetitions", 3, "the median is reported", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_list(
    "placements",
    [],
    "where the pixels are: device, host, stream, to be compared; by default the config's",
    flag_values=FLAGS,
)
flags.DEFINE_string("json", None, "file to write the figures to, or -", flag_values=FLAGS)
flags.mark_flag_as_required("config", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Measures, prints a table, and writes --json if asked."""
    command.refuse_arguments(argv)
    from ferjax import json_output
    from ferjax.cli import tables
    from ferjax.data.storage.local import resolve
    from ferjax.performance import throughput

    data = resolve(FLAGS.config.dataset.data_dir) / FLAGS.config.dataset.name
    json_output.check(FLAGS.json, [config_flags.given_file(FLAGS["config"]), data])
    figures = throughput.measure(
        FLAGS.config,
        steps=FLAGS.steps,
        repetitions=FLAGS.repetitions,
        placements=FLAGS.placements,
    )
    if json_output.write(FLAGS.json, figures):
        return
    tables.print_tables(tables.figure_table(throughput.rows(figures), "Throughput"))


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
