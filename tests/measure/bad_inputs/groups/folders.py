"""Folders given to `prepare`, and names that it is given."""

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case
from tests.measure.bad_inputs.groups.archives import prepare

LINK = "only links to files below x are followed. Put a copy in its place"
NOT_UTF8 = "the name is not UTF-8, so that it cannot be stored; rename it"


def _folder(name, make):
    return made.with_entry(name, make)


def _link(target):
    def make(path):
        path.symlink_to(target)

    return make


def _hidden(path):
    """Two classes, hidden files in them, and what macOS and Windows add."""
    made.class_folders(path)
    for name in ("happy/.a.png", "sad/._0.png", ".git/x.png", "__MACOSX/x.png", "happy/Thumbs.db"):
        (path / name).parent.mkdir(exist_ok=True)
        made.image(path / name)


def _weird(path):
    """Names of images that are markup, escapes and two lines; all are images of a class."""
    made.class_folders(path)
    for name in ("<script>.png", "[b]x.png", "\x1b[31mred.png", "a\nb.png"):
        made.image(path / "happy" / name, seed=len(name) + 300)


REFUSED = [
    ("46", "a loop of links", _folder("happy/l.png", made.loop), "x/happy/l.png is a link to"),
    ("47", "a link out", _folder("happy/l.png", _link("/etc/passwd")), f"/etc/passwd; {LINK}"),
    ("48", "a link to its parent", _folder("happy/up", _link("..")), LINK),
    ("49", "a link to nothing", _folder("happy/l.png", made.dangling), LINK),
    (
        "50",
        "a FIFO in a class",
        _folder("happy/f.png", made.fifo),
        "x/happy/f.png cannot be read (it is a FIFO, and a regular file is expected)",
    ),
    ("52", "an image whose name is no UTF-8", _folder("happy/\udce9.png", made.image), NOT_UTF8),
    ("53", "a class whose name is no UTF-8", _folder("caf\udce9", made.folder), NOT_UTF8),
    ("55", "an image that is cut short", _folder("happy/99.png", made.cut), "99.png is a damaged"),
    ("56", "a bomb", _folder("happy/b.png", made.png_of(50_000)), "pixels, more than the"),
    (
        "60",
        "an empty image",
        _folder("happy/e.png", lambda path: path.touch()),
        "x/happy/e.png is not an image that can be read (0 bytes",
    ),
]
ARGUMENTS = [
    ("60b", "--image_size=-5", "--image_size is -5; expected pixels from 1 to 2048"),
    ("61", "--name=../../evil", "--name is '../../evil'; image_folder needs a name of your own"),
    ("63", "--dataset=../x", "there is no data set '../x'"),
    ("64", "--dataset=fer2013", "x is not FER2013: expected images named train/<class>/"),
    ("64b", "--name=", "--name is empty; give it a value, or leave it out"),
    ("65", "--source=none.zip", "there is nothing at none.zip"),
    (
        "65b",
        "--source=~nobody_here/x.zip",
        "--source is ~nobody_here/x.zip, and there is no home folder",
    ),
]
CASES = [
    *(
        Case(f"arch.{name}", f"a folder: {what}", prepare(make, name="x"), says=[says])
        for name, what, make, says in REFUSED
    ),
    *(
        Case(
            f"arch.{name}", what, prepare(made.class_folders, *what.split(), name="x"), says=[says]
        )
        for name, what, says in ARGUMENTS
    ),
    Case(
        "arch.44b",
        "a folder: hidden files and folders",
        prepare(_hidden, name="x"),
        code=0,
        says=["whole 12 12 24", "3 hidden files are left out (.git/x.png"],
    ),
    Case(
        "arch.57",
        "a folder: a bomb, with --image_size",
        prepare(_folder("happy/b.png", made.png_of(50_000)), "--image_size=16", name="x"),
        says=["happy/b.png has 2,500,000,000 pixels, more than the"],
    ),
    Case(
        "arch.66",
        "a folder: names that are markup and escapes",
        prepare(_weird, name="x"),
        code=0,
        says=["whole 16 12 28"],
    ),
]
