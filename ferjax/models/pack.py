"""Pack the model of a finished run into one file, with its model card.

Examples:
    python -m ferjax.models.pack --workdir=runs/long --output=mine.safetensors
    python -m ferjax.predict --model=mine.safetensors holiday.jpg

Beside mine.safetensors come mine.md, the card, and mine.json, all its figures: the packed model is
tested on the test split of the run's data set as published and without leaked images, by class, for
its calibration, and on images made worse. --nocard writes the model alone and reads no test images.
"""

from __future__ import annotations

import shlex

from absl import flags

from ferjax.cli import command, huge_pages

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "run directory of ferjax.main", flag_values=FLAGS)
flags.DEFINE_string("output", None, "file to write, NAME.safetensors", flag_values=FLAGS)
flags.DEFINE_string(
    "dtype", "bfloat16", "of the parameters: bfloat16 or float32", flag_values=FLAGS
)
flags.DEFINE_bool("card", True, "whether to test and describe the model", flag_values=FLAGS)
flags.DEFINE_string(
    "data_dir", None, "where the data set is prepared; the run's by default", flag_values=FLAGS
)
flags.mark_flags_as_required(["workdir", "output"], flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Writes the files, and says where they are."""
    command.refuse_arguments(argv)
    from ferjax.analysis.card import write
    from ferjax.cli import output
    from ferjax.errors import one_of
    from ferjax.inference import packed

    one_of("--dtype", FLAGS.dtype, tuple(packed.DTYPES))
    written = write.pack(
        FLAGS.workdir, FLAGS.output, dtype=FLAGS.dtype, card=FLAGS.card, data_dir=FLAGS.data_dir
    )
    for place in written:
        output.say(f"Written to {place}.")
    file = shlex.quote(str(written[0]))
    output.say(f"Try: python -m ferjax.predict --model={file} PHOTO")


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
