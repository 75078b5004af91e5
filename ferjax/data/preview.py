r"""Draw training images as the network gets them: look before you train for hours.

Examples:
    python -m ferjax.data.preview --config=configs/cbam_island.py:dataset=synthetic
    python -m ferjax.data.preview --config=configs/cbam_island.py:recipe=strong --output=strong.png

Each row is an image of training: first as it is stored, then as the network gets it in one epoch
after the other: augmented, cropped, mixed and resized, before it is normalised.
"""

from __future__ import annotations

from absl import flags

from ferjax.cli import command, config_flags, huge_pages, output

FLAGS = flags.FlagValues()
config_flags.define(
    "config", "file in configs/, with its arguments after a colon", flag_values=FLAGS
)
flags.DEFINE_string("output", "preview.png", "the picture to write, a PNG", flag_values=FLAGS)
flags.DEFINE_integer("images", 8, "rows", lower_bound=1, upper_bound=64, flag_values=FLAGS)
flags.DEFINE_integer(
    "visits", 8, "columns beside the stored image", lower_bound=1, upper_bound=64, flag_values=FLAGS
)
flags.mark_flag_as_required("config", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Writes the picture, and says where it is."""
    command.refuse_arguments(argv)
    import numpy as np

    from ferjax import filesystem
    from ferjax.cli import pictures
    from ferjax.errors import UserError
    from ferjax.training import experiment, preview

    filesystem.check_output("--output", FLAGS.output)
    run = experiment.build(FLAGS.config)
    number = min(FLAGS.images, FLAGS.config.train.batch_size)
    found = preview.preview(run, number, FLAGS.visits)
    data = pictures.rows_of_images(found.rows(run.spec.labels))
    place = filesystem.of(FLAGS.output)
    try:
        filesystem.write(place, data)
    except OSError as error:
        raise UserError(
            f"--output: {place} cannot be written ({filesystem.problem(place, error)}); name a "
            "file that can be."
        ) from None
    low, high = int(np.min(found.shown)), int(np.max(found.shown))
    output.say(
        f"Written to {place}: {number} images of {run.config.dataset.name}, stored and in "
        f"{FLAGS.visits} epochs. The network gets {run.config.model.image_size} px and "
        f"{run.config.model.channels} channels; grey levels {low} to {high}."
    )


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
