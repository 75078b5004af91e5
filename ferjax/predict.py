"""Name the expression of faces in image files.

Example:
    python -m ferjax.predict --workdir=runs/first face.png folder_of_faces --json=out.json

The images are crops of faces, like the training images; a folder is searched for images. Prints a
table with the probability of each class; --json writes the same as JSON.
"""

from __future__ import annotations

from absl import flags

from ferjax.cli import command

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "run directory of ferjax.main", flag_values=FLAGS)
flags.DEFINE_string("checkpoint", "best", "best or last", flag_values=FLAGS)
flags.DEFINE_string("json", None, "file to write the probabilities to", flag_values=FLAGS)
flags.mark_flag_as_required("workdir", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Reads every image, then classifies them all."""
    from ferjax.errors import UserError

    if len(argv) < 2:
        raise UserError(
            "There is nothing to classify: name image files or folders, as in "
            "python -m ferjax.predict --workdir=DIR face.png"
        )
    import sys

    import ferjax
    from ferjax import filesystem
    from ferjax.cli import output, tables
    from ferjax.data.images.files import find
    from ferjax.filesystem import write_json
    from ferjax.workdir.directory import own_files

    files = find(argv[1:], lambda text: output.say(text, file=sys.stderr))
    if FLAGS.json is not None:
        filesystem.check_output("--json", FLAGS.json, [*files, *own_files(FLAGS.workdir)])
    prediction = ferjax.load(FLAGS.workdir, checkpoint=FLAGS.checkpoint)(files)
    rows = {str(file): row.tolist() for file, row in zip(files, prediction[0], strict=True)}
    if FLAGS.json:
        images = [
            {
                "file": file,
                "label": prediction.names[row.index(max(row))],
                "probabilities": dict(zip(prediction.names, row, strict=True)),
            }
            for file, row in rows.items()
        ]
        write_json(filesystem.of(FLAGS.json), {"workdir": str(FLAGS.workdir), "images": images})
    tables.print_tables(tables.prediction_table(rows, prediction.names))


if __name__ == "__main__":
    command.run(main, flag_values=FLAGS)
