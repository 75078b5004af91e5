r"""Draw training images as the network gets them: look before you train for hours.

Examples:
    python -m ferjax.data.preview --config=configs/cbam_island.py:dataset=synthetic
    python -m ferjax.data.preview --config=configs/cbam_island.py:recipe=strong --output=strong.png

Each row is an image of training: first as it is stored, then as the network gets it in one epoch
after the other: augmented, cropped, mixed and resized, before it is normalised.
"""

from __future__ import annotations

import io
from typing import Any

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

_SIDE, _GAP, _HEAD = 96, 4, 14  # pixels
_INK, _PAPER = 32, 255


def main(argv: list[str]) -> None:
    """Writes the picture, and says where it is."""
    command.refuse_arguments(argv)
    import numpy as np

    from ferjax import filesystem
    from ferjax.errors import UserError
    from ferjax.training import experiment, preview

    filesystem.check_output("--output", FLAGS.output)
    run = experiment.build(FLAGS.config)
    number = min(FLAGS.images, FLAGS.config.train.batch_size)
    found = preview.preview(run, number, FLAGS.visits)
    rows = [
        (run.spec.labels[label], [stored, *shown])
        for stored, label, shown in zip(found.stored, found.labels, found.shown, strict=True)
    ]
    data = _picture(rows)
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


def _picture(rows: list[tuple[str, list[Any]]]) -> bytes:
    """A PNG with a row for each (label, images)."""
    import numpy as np
    from PIL import Image, ImageDraw

    columns = len(rows[0][1])
    size = (columns * (_SIDE + _GAP) + _GAP, len(rows) * (_SIDE + _GAP + _HEAD) + _GAP)
    page = Image.new("RGB", size, (_PAPER,) * 3)
    draw = ImageDraw.Draw(page)
    for row, (label, images) in enumerate(rows):
        top = row * (_SIDE + _GAP + _HEAD) + _GAP
        draw.text((_GAP, top), f"{label}: stored, then as trained on", fill=(_INK,) * 3)
        for column, image in enumerate(images):
            pixels = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
            shown = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            page.paste(shown, (_GAP + column * (_SIDE + _GAP), top + _HEAD))
    file = io.BytesIO()
    page.save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
