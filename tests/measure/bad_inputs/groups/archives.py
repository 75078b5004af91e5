"""Archives given to `prepare` as a folder of images."""

import io
import tarfile
import zipfile

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage, unharmed

ESCAPES, ESCAPES_SHOWN = "\x1b[2J\x1b]0;pwned\x07", r"\x1b[2J\x1b]0;pwned\x07"
NO_CLASS = "cannot name a class; use letters a to z, digits, _, - and single words"
OUTSIDE = "which points outside the archive; no copy of the data set has such a name"
DAMAGED = "happy/0.png in x.zip is damaged ("
LIST = "x.zip is damaged: its list of files cannot be read ("


def prepare(make, *more, name="x.zip"):
    """A maker of a command line that prepares what `make` makes at a path; `more` may replace the
    flags that it has anyway. Another data set than image_folder has no --name.
    """
    usual = {
        "--dataset": "image_folder",
        "--name": "mine",
        "--source": name,
        "--data_dir": "data",
    }
    for flag in more:
        usual.pop(flag.partition("=")[0], None)
    if "--dataset" not in usual:
        usual.pop("--name", None)

    def command(stage: Stage):
        make(stage.here / name)
        return "prepare", *(f"{flag}={value}" for flag, value in usual.items()), *more

    return command


def _of_class(name, *, data=None):
    """A maker of a zip with one class more, whose four images are `data`."""

    def make(path):
        made.archive()(path)
        with zipfile.ZipFile(path, "a") as archive:
            for number in range(4):
                archive.writestr(f"{name}/{number}.png", data or made.image_bytes(number + 50))

    return make


def _with(name, data, mode=0):
    """A maker of a zip with one file more."""

    def make(path):
        made.archive()(path)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, data)

    return make


def _dotted(data):
    """Names that begin with ./ and are as long as those of the two classes."""
    return data.replace(b"happy/", b"./hap/").replace(b"sad/", b"./s/")


def _twice(data):
    return data.replace(b"happy/1.png", b"happy/0.png")


def _listed(offset, value):
    """A maker of a zip whose first listed member has other bytes at an offset."""

    def change(data):
        at = data.index(b"PK\x01\x02") + offset
        return data[:at] + value + data[at + len(value) :]

    return made.archive(change=change)


def _wrong_properties(data):
    """Gives the first LZMA member properties that no decoder has."""
    start = data.index(b"happy/0.png") + len(b"happy/0.png") + 4
    return data[:start] + b"\xff" + data[start + 1 :]


def _tar(form, mode="w"):
    """A maker of a tar of two classes, with a hard link."""

    def make(path):
        with tarfile.open(path, mode, format=form) as archive:
            for name in ("happy/0.png", "sad/0.png"):
                member = tarfile.TarInfo(name)
                member.size = len(made.image_bytes())
                archive.addfile(member, io.BytesIO(made.image_bytes()))
            link = tarfile.TarInfo("happy/1.png")
            link.type, link.linkname = tarfile.LNKTYPE, "/etc/passwd"
            archive.addfile(link)

    return make


def _beside_a_file(make):
    """The same zip, beside a file that nobody may change."""

    def both(path):
        make(path)
        Stage(path.parent, path.parent).outside()

    return both


DEFLATED, BZIP2, LZMA = zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
LINK = 0o120777
REFUSED = [
    ("5", "a link to /etc/passwd", _with("happy/l.png", "/etc/passwd", LINK), "is a link; a zip"),
    ("6", "a bomb of 300 MB", _with("happy/b.png", bytes(300_000_000)), "times as many; no data"),
    ("8", "a name twice", made.archive(change=_twice), "holds 2 files named 'happy/0.png'"),
    ("12", "encrypted", made.archive(change=made.encrypt_flag), "is encrypted; unpack x.zip with"),
    ("13", "a name that is no UTF-8", made.archive(change=made.not_utf8), LIST),
    ("15", "cut in half", made.archive(change=lambda data: data[: len(data) // 2]), "cut short or"),
    ("17", "an empty file", lambda path: path.touch(), "x.zip is neither a folder nor a zip"),
    ("18", "a FIFO", made.fifo, "x.zip: it is a FIFO, and a regular file is expected"),
    ("23", "a size that is too small", _listed(24, b"\x10\0\0\0"), DAMAGED),
    ("25", "an unknown compression", _listed(10, b"\x63\0"), "happy/0.png in x.zip cannot be unpa"),
    ("26", "damaged LZMA", made.archive(method=LZMA, change=made.damage_first_member), DAMAGED),
    ("27", "LZMA of no kind", made.archive(method=LZMA, change=_wrong_properties), DAMAGED),
    ("28", "damaged bzip2", made.archive(method=BZIP2, change=made.damage_first_member), DAMAGED),
    (
        "29",
        "damaged deflate",
        made.archive(method=DEFLATED, change=made.damage_first_member),
        DAMAGED,
    ),
    (
        "30",
        "a damaged image whose name has escapes of a terminal",
        _with(f"happy/{ESCAPES}.png", "no image"),
        f"happy/{ESCAPES_SHOWN}.png in x.zip is not an image that can be read",
    ),
    ("37", "a class with a newline", _of_class("a\nb"), rf"a\nb in x.zip: 'a\nb' {NO_CLASS}"),
    ("39", "a class of an emoji", _of_class("😀"), f"😀 in x.zip: '😀' {NO_CLASS}"),
    (
        "42",
        "a class with escapes of a terminal",
        _of_class("\x1b[31mred"),
        rf"\x1b[31mred in x.zip: '\x1b[31mred' {NO_CLASS}",
    ),
    ("54", "a member that needs version 9.9 to be unpacked", _listed(6, b"\x63"), LIST),
]
# Of 12 happy images and 12 sad ones in each.
ACCEPTED = [
    ("9", "names that begin with ./", made.archive(change=_dotted), ("whole 12 12 24",)),
    ("10", "happy//extra.png", made.archive(more=["happy//extra.png"]), ("whole 13 12 25",)),
    ("11", "happy/./extra.png", made.archive(more=["happy/./extra.png"]), ("whole 13 12 25",)),
    ("14", "a class with a space in it", _of_class("so so"), ("happy", "sad", "so so")),
    (
        "44",
        "a class whose name begins with a dot",
        _of_class(".dot"),
        ("whole 12 12 24", "4 hidden files are left out (.dot/0.png"),
    ),
]
UNPACKED = [
    ("33", "x.tar", _tar(tarfile.PAX_FORMAT), "x.tar is a tar archive: unpack it (tar -xf x.tar)"),
    ("33b", "y.tar", _tar(tarfile.USTAR_FORMAT), "y.tar is a tar archive: unpack it (tar -xf"),
    ("34", "x.tgz", _tar(tarfile.PAX_FORMAT, "w:gz"), "x.tgz is a gzip archive: unpack it (tar"),
    ("34b", "x.txz", _tar(tarfile.PAX_FORMAT, "w:xz"), "x.txz is an xz archive: unpack it (tar"),
    (
        "35",
        "x.rar",
        lambda path: path.write_bytes(b"Rar!\x1a\7\1\0"),
        "x.rar is a RAR archive: unp",
    ),
]
CASES = [
    *(
        Case(f"arch.{name}", f"a zip: {what}", prepare(make), says=[says])
        for name, what, make, says in REFUSED
    ),
    *(
        Case(f"arch.{name}", f"a zip: {what}", prepare(make), code=0, says=says)
        for name, what, make, says in ACCEPTED
    ),
    *(
        Case(f"arch.{name}", what, prepare(make, name=what), says=[says])
        for name, what, make, says in UNPACKED
    ),
    *(
        Case(
            f"arch.{name}",
            f"a zip: a file named {member}",
            prepare(_beside_a_file(made.archive(more=[member]))),
            says=[OUTSIDE],
            check=unharmed,
        )
        for name, member in (("1", "../outside"), ("2", "/outside"), ("3", "..\\..\\outside"))
    ),
]
