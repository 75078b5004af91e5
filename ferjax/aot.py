r"""Compile the step of a config for hardware that is not here, and report what it would cost there.

Examples:
    python -m ferjax.aot --config=configs/cbam_island.py --target=v5e:2x2 --per_device_batch=512
    python -m ferjax.aot --config=configs/vgg19_attention.py --target=h100 --json=out.json
    python -m ferjax.aot --config=configs/cbam_island.py --target=v5e:2x2 \
        --compare=configs/cbam_island.py:attention=none

Targets: v5e:2x2, v5e:16x16, v6e:4x4, v5p:2x2x1 and other slices of these TPUs, and h100. The
compilers run on this machine's CPU, for minutes; they are optional: pip install 'ferjax[tpu]', or
'ferjax[cuda13]' or 'ferjax[cuda12]' for an H100. The data set need not be prepared.

Every figure is the compiler's estimate, or follows from what it compiled; nothing is run. Memory:
fits or not, by its own analysis, and the largest arrays. Bytes accessed: its cost analysis, which
includes those that stay in memory on the chip; main memory bytes leave these out. Time of a TPU:
the sum of its estimated cycles, in which waiting for collectives is missing, and custom calls
without an estimate are charged the least time that their operations and bytes take. Time of a GPU:
the least that all operations and main memory bytes take, for its compiler estimates none.
"""

from __future__ import annotations

import os
import re
import sys

from absl import flags

from ferjax.cli import command, config_flags
from ferjax.errors import UserError
from ferjax.performance.hardware import targets

FLAGS = flags.FlagValues()
config_flags.define(
    "config", "file in configs/, with its arguments after a colon", flag_values=FLAGS
)
flags.DEFINE_string("target", None, "v5e:AxB, v6e:AxB, v5p:AxBxC or h100", flag_values=FLAGS)
flags.DEFINE_integer(
    "per_device_batch",
    None,
    "images on each device; by default the config's batch is split over them",
    lower_bound=1,
    flag_values=FLAGS,
)
flags.DEFINE_boolean("eval", False, "the evaluation step, not the training step", flag_values=FLAGS)
config_flags.define("compare", "another config, to be shown beside the first", flag_values=FLAGS)
flags.DEFINE_list(
    "image_shape",
    None,
    "HEIGHT,WIDTH,CHANNELS of the stored images, if not the data set's usual one",
    flag_values=FLAGS,
)
flags.DEFINE_integer("num_classes", None, "of images of your own", lower_bound=2, flag_values=FLAGS)
flags.DEFINE_enum("format", "table", ["table", "json"], "what is printed", flag_values=FLAGS)
flags.DEFINE_string("json", None, "file to write the figures to, or -", flag_values=FLAGS)
flags.mark_flags_as_required(["config", "target"], flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Compiles one config or two, prints tables or JSON, and writes --json if asked."""
    command.refuse_arguments(argv)
    target = targets.find(FLAGS.target)
    shape = _image_shape(FLAGS.image_shape)
    from ferjax import json_output
    from ferjax.cli import tables
    from ferjax.performance import ahead_of_time, ahead_of_time_tables

    json_output.check(FLAGS.json, _inputs())
    made = []
    for config in (one for one in (FLAGS.config, FLAGS.compare) if one is not None):
        made.append(
            ahead_of_time.figures(
                config,
                target,
                per_device_batch=FLAGS.per_device_batch,
                evaluate=FLAGS.eval,
                image_shape=shape,
                num_classes=FLAGS.num_classes,
                announce=lambda: print(
                    f"Compiling for {target.name}, for minutes.", file=sys.stderr
                ),
            )
        )
    content = made[0] if len(made) == 1 else {"first": made[0], "second": made[1]}
    printed = json_output.write(FLAGS.json, content)
    if printed or (FLAGS.format == "json" and json_output.write("-", content)):
        return
    for figures in made:
        tables.print_tables(*ahead_of_time_tables.report(figures))
    if len(made) == 2:
        tables.print_tables(ahead_of_time_tables.comparison(*made))


def _inputs() -> list[str]:
    return [*filter(None, (config_flags.given_file(FLAGS[name]) for name in ("config", "compare")))]


def _image_shape(texts: list[str] | None) -> tuple[int, int, int] | None:
    """The flag as numbers; raises a UserError unless it has three positive ones."""
    if texts is None:
        return None
    if len(texts) != 3 or not all(re.fullmatch(r"[1-9][0-9]{0,4}", text) for text in texts):
        raise UserError(
            f"--image_shape is {','.join(texts)!r}; expected HEIGHT,WIDTH,CHANNELS, such as "
            "48,48,1."
        )
    height, width, channels = map(int, texts)
    if channels not in (1, 3):
        raise UserError(f"--image_shape has {channels} channels; images have 1 or 3.")
    return height, width, channels


if __name__ == "__main__":
    targets.prepare(os.environ)
    command.run(main, flag_values=FLAGS)
