"""Name the expression of faces in image files.

Examples:
    python -m ferjax.predict --workdir=runs/first face.png folder_of_faces
    python -m ferjax.predict --workdir=runs/first folder_of_faces --format=csv > out.csv

The images are crops of faces, like the training images; no face is looked for. A folder is searched
for images, which are told by their content. Results are written as they come, a batch at a time.
Files that cannot be read are listed at the end; the others are classified, and the exit code is 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from ferjax.cli import command

if TYPE_CHECKING:
    from ferjax.inference.classifier import Classifier
    from ferjax.inference.formats import Row

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "run directory of ferjax.main", flag_values=FLAGS)
flags.DEFINE_string("checkpoint", "best", "best or last", flag_values=FLAGS)
flags.DEFINE_string(
    "format", "table", "of standard output: table, csv, json or jsonl", flag_values=FLAGS
)
flags.DEFINE_string(
    "json", None, "file to write the probabilities to, or - for --format=json", flag_values=FLAGS
)
flags.mark_flag_as_required("workdir", flag_values=FLAGS)

# So many files take long enough for a bar.
_FEW = 64
_NO_FACE_LOOKED_FOR = (
    "No face was looked for: each image was taken for the crop of one face, as the training images "
    "are."
)


def main(argv: list[str]) -> None:
    """Classifies images while others are read, and writes what comes."""
    from ferjax.errors import UserError

    if len(argv) < 2:
        raise UserError(
            "There is nothing to classify: name image files or folders, as in "
            "python -m ferjax.predict --workdir=DIR face.png"
        )
    import contextlib
    import sys

    import ferjax
    from ferjax import filesystem, json_output
    from ferjax.cli import output
    from ferjax.data.images.files import find
    from ferjax.data.images.remarks import Tally
    from ferjax.data.images.unread import Unread
    from ferjax.inference import formats
    from ferjax.inference.sinks import GrowingFile, StandardOutput
    from ferjax.workdir.directory import own_files

    printed, to_file = _outputs()
    files = find(argv[1:], lambda text: output.say(text, file=sys.stderr))
    json_output.check(to_file, [*files, *own_files(FLAGS.workdir)])
    classifier = ferjax.load(FLAGS.workdir, checkpoint=FLAGS.checkpoint)
    names = classifier.labels
    sinks: list[StandardOutput | GrowingFile] = []
    if to_file is not None:
        document = formats.create("json", names, FLAGS.workdir)
        sinks.append(GrowingFile(document, filesystem.of(to_file)))
    document = formats.create(printed, names, FLAGS.workdir)
    sinks.append(StandardOutput(document, is_needed=to_file is None))
    noted, unread, complete, done = Tally(), Unread(), False, 0
    try:
        for rows in _batches(classifier, files):
            for sink in sinks:
                sink.write(rows)
            done += len(rows)
            for row in rows:
                noted.add(row.remarks, row.file)
            unread.add(row.problem for row in rows if row.problem)
        complete = True
    finally:
        with contextlib.ExitStack() as ends:  # each, also if another one fails
            for sink in sinks:
                ends.callback(sink.end, complete=complete)
        if not complete and done:
            said = f"{done:,} of {len(files):,} files were done, and their results are written."
            output.say(said, file=sys.stderr)
    remark = (_NO_FACE_LOOKED_FOR,) if unread.count < len(files) else ()
    for sentence in (*noted.sentences(), *remark):
        output.say(sentence, file=sys.stderr)
    if unread.count:
        listed = "--format=csv, json and jsonl name all"
        raise unread.error(len(files), done="classified", listed=listed)


def _outputs() -> tuple[str, str | None]:
    """The format of standard output, and the file that --json names, if any."""
    from ferjax import json_output
    from ferjax.errors import UserError, one_of
    from ferjax.inference import formats

    one_of("--format", FLAGS.format, formats.FORMATS)
    if not json_output.is_standard_output(FLAGS.json):
        return FLAGS.format, FLAGS.json
    if FLAGS["format"].present and FLAGS.format != "json":
        raise UserError(
            f"--json={FLAGS.json} and --format={FLAGS.format} both say what standard output gets; "
            "leave one of them out, or give --json the name of a file."
        )
    return "json", None


def _batches(classifier: Classifier, files: list[Path]) -> Iterator[list[Row]]:
    """The rows of each batch of files, with a bar where nothing else shows the progress."""
    import contextlib
    import sys

    from rich.console import Console

    from ferjax.cli import progress
    from ferjax.inference.formats import Row

    shown: contextlib.AbstractContextManager = contextlib.nullcontext(lambda: None)
    if len(files) > _FEW and not sys.stdout.isatty():
        shown = progress.bar(Console(stderr=True), "classifying", len(files))
    with shown as on_file:
        for batch in classifier.batches(files):
            rows = []
            for one in batch:
                values = [] if one.probabilities is None else one.probabilities.tolist()
                rows.append(Row(one.name, one.label, values, one.remarks, one.problem))
                on_file()
            yield rows


if __name__ == "__main__":
    command.run(main, flag_values=FLAGS)
