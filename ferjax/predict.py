"""Find the faces in photographs, and name their expressions.

Examples:
    python -m ferjax.predict --model=fer2013-small holiday.jpg
    python -m ferjax.predict --model=fer2013-small photos --output=marked
    python -m ferjax.predict --workdir=runs/first folder_of_faces --format=csv > out.csv

--model names a model that `python -m ferjax.models` lists, or a packed file; --workdir names a run.
Each face that is found is turned upright and cropped as the training images of the model are. An
image of about the size of the training images is taken for the crop of one face, in which no face
is looked for; --faces=crop takes all images for crops, --faces=detect none. A folder is searched
for images, which are told by their content. Results are written as they come, some images at a
time. Files that cannot be read are listed at the end; the others are done, and the exit code is 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from ferjax.cli import command

if TYPE_CHECKING:
    from ferjax.inference.classifier import Classifier
    from ferjax.inference.faces.seen import Seen
    from ferjax.inference.sinks import GrowingFile, StandardOutput

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "run directory of ferjax.main", flag_values=FLAGS)
flags.DEFINE_string(
    "model",
    None,
    "name of a model, see python -m ferjax.models; or a packed file",
    flag_values=FLAGS,
)
flags.DEFINE_string("checkpoint", "best", "of the run: best or last", flag_values=FLAGS)
flags.DEFINE_string(
    "faces",
    "auto",
    "detect: look for faces in every image; crop: in none; auto: in those that are larger than the "
    "training images",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "detector", "mtcnn", "mtcnn, yunet, or an ONNX file of YuNet", flag_values=FLAGS
)
flags.DEFINE_string(
    "output", None, "folder for pictures of the photographs with their faces", flag_values=FLAGS
)
flags.DEFINE_string(
    "format", "table", "of standard output: table, csv, json or jsonl", flag_values=FLAGS
)
flags.DEFINE_string(
    "json", None, "file to write the probabilities to, or - for --format=json", flag_values=FLAGS
)

# So many files take long enough for a bar.
_FEW = 64
_RENDERED = "This model was trained on rendered faces: what it says of real people means nothing."
_NO_FACE_LOOKED_FOR = (
    "No face was looked for: each image was taken for the crop of one face, as the training images "
    "are."
)


def main(argv: list[str]) -> None:
    """Looks at images while others are read, and writes what comes."""
    from ferjax.errors import UserError

    if len(argv) < 2:
        raise UserError(
            "There is nothing to classify: name image files or folders, as in "
            "python -m ferjax.predict --model=fer2013-small photo.jpg"
        )
    import contextlib
    import sys

    from ferjax import json_output
    from ferjax.cli import output
    from ferjax.data.images.files import find
    from ferjax.data.images.remarks import Tally
    from ferjax.data.images.unread import Unread
    from ferjax.inference.faces.marked import MarkedPictures
    from ferjax.inference.faces.seen import rows
    from ferjax.workdir.directory import own_files

    _check_flags()
    printed, to_file = _outputs()
    files = find(argv[1:], lambda text: output.say(text, file=sys.stderr))
    files = _without_output(files)
    inputs = [*files, *([] if FLAGS.workdir is None else own_files(FLAGS.workdir))]
    json_output.check(to_file, inputs)
    classifier = _classifier()
    pictures = None if FLAGS.output is None else MarkedPictures(FLAGS.output, inputs)
    if _is_rendered(classifier):
        output.say(_RENDERED, file=sys.stderr)
    sinks = _sinks(classifier, printed, to_file)
    noted, unread, looked, done, complete = Tally(), Unread(), _Looked(), 0, False
    try:
        for batch in _batches(classifier, files):
            for sink in sinks:
                sink.write([row for one in batch for row in rows(one)])
            for one in batch:
                noted.add(one.remarks, one.name)
                looked.add(one)
                if pictures is not None:
                    pictures.add(one, classifier.labels)
            done += len(batch)
            unread.add(one.problem for one in batch if one.problem)
        complete = True
    finally:
        with contextlib.ExitStack() as ends:  # each, also if another one fails
            for sink in sinks:
                ends.callback(sink.end, complete=complete)
        if not complete and done:
            said = f"{done:,} of {len(files):,} files were done, and their results are written."
            output.say(said, file=sys.stderr)
    written = () if pictures is None else (pictures.sentence(),)
    for sentence in (*noted.sentences(), *looked.sentences(), *written):
        output.say(sentence, file=sys.stderr)
    if unread.count:
        listed = "--format=csv, json and jsonl name all"
        raise unread.error(len(files), done="classified", listed=listed)


def _without_output(files: list[Path]) -> list[Path]:
    """The files without those in the folder of --output, which earlier commands have written."""
    import sys

    from ferjax.cli import output
    from ferjax.errors import UserError

    if FLAGS.output is None:
        return files
    folder = Path(FLAGS.output).resolve()
    kept = [one for one in files if not one.resolve().is_relative_to(folder)]
    if not kept:
        raise UserError(
            f"All images lie in --output={FLAGS.output}, where pictures are written; name another "
            "folder."
        )
    if len(kept) < len(files):
        left = f"{len(files) - len(kept):,} of the images lie in --output={FLAGS.output}"
        output.say(f"{left}, where pictures are written, and are left out.", file=sys.stderr)
    return kept


class _Looked:
    """Counts the images in which a face was looked for, and those in which none was."""

    def __init__(self) -> None:
        self._crops = self._photos = 0

    def add(self, one: Seen) -> None:
        self._crops += one.photo is None and not one.problem
        self._photos += one.photo is not None

    def sentences(self) -> tuple[str, ...]:
        """What a person should know about the crops."""
        if not self._crops:
            return ()
        if not self._photos:
            return (_NO_FACE_LOOKED_FOR,)
        return (
            f"No face was looked for in {self._crops:,} of {self._crops + self._photos:,} images, "
            "which are hardly larger than the training images: each was taken for the crop of one "
            "face.",
        )


def _check_flags() -> None:
    """Refuses flags that contradict each other or would do nothing."""
    from ferjax.errors import UserError, one_of
    from ferjax.inference.faces import in_photos

    if (FLAGS.workdir is None) == (FLAGS.model is None):
        found = "both are given" if FLAGS.model else "none is given"
        raise UserError(
            f"--model names a trained model and --workdir a run, and {found}: give one of them, "
            "such as --model=fer2013-small."
        )
    if FLAGS.workdir is not None and FLAGS.workdir.endswith(".safetensors"):
        raise UserError(f"--workdir is a run; a packed file is --model={FLAGS.workdir}.")
    if FLAGS.model is not None and FLAGS["checkpoint"].present:
        raise UserError("--checkpoint is of a run, and --model has one set of weights.")
    one_of("--faces", FLAGS.faces, in_photos.MODES)
    for name in ("detector", "output"):
        if FLAGS.faces == "crop" and FLAGS[name].present:
            raise UserError(
                f"--{name} is about faces that are found, and --faces=crop looks for none; leave "
                "one of them out."
            )


def _classifier() -> Classifier:
    import ferjax
    from ferjax.inference import loading, packed
    from ferjax.inference.shipped import manifest

    if FLAGS.workdir is not None:
        return ferjax.load(Path(FLAGS.workdir), checkpoint=FLAGS.checkpoint)
    if FLAGS.model.endswith(packed.SUFFIX):
        return ferjax.load(FLAGS.model)
    manifest.entry(FLAGS.model, "model")  # a folder of that name is a run, and --workdir's
    return loading.named(FLAGS.model).classifier()


def _is_rendered(classifier: Classifier) -> bool:
    from ferjax.data import catalog

    known = catalog.DATASETS.get(classifier.trained_on)
    return known is not None and known.is_made


def _sinks(
    classifier: Classifier, printed: str, to_file: str | None
) -> list[StandardOutput | GrowingFile]:
    """Where the results go."""
    from ferjax import filesystem
    from ferjax.inference import formats
    from ferjax.inference.sinks import GrowingFile, StandardOutput

    kind = "workdir" if FLAGS.model is None else "model"
    has_faces = FLAGS.faces != "crop" and classifier.framing is not None
    source = FLAGS.workdir if FLAGS.model is None else FLAGS.model

    def document(name: str) -> formats.Format:
        return formats.create(name, classifier.labels, source, kind=kind, has_faces=has_faces)

    sinks: list[StandardOutput | GrowingFile] = []
    if to_file is not None:
        sinks.append(GrowingFile(document("json"), filesystem.of(to_file)))
    return [*sinks, StandardOutput(document(printed), is_needed=to_file is None)]


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


def _batches(classifier: Classifier, files: list[Path]) -> Iterator[list[Seen]]:
    """What is seen in each batch of files, with a bar where nothing else shows the progress."""
    import contextlib
    import sys

    from rich.console import Console

    from ferjax.cli import progress

    shown: contextlib.AbstractContextManager = contextlib.nullcontext(lambda: None)
    if len(files) > _FEW and not sys.stdout.isatty():
        shown = progress.bar(Console(stderr=True), "classifying", len(files))
    with shown as on_file:
        for batch in classifier.photographs(files, mode=FLAGS.faces, detector=FLAGS.detector):
            for _ in batch:
                on_file()
            yield batch


if __name__ == "__main__":
    command.run(main, flag_values=FLAGS)
