"""Every file of a source that is no image, or another one than it should be, is told in one run."""

import zipfile

import pytest

from ferjax.data import catalog
from ferjax.data.prepare import preparation
from ferjax.errors import UserError
from tests.helpers import fake_ck_plus, fake_fer2013, fake_fer_plus, fake_raf_db
from tests.helpers import strangers as made
from tests.helpers.fake_fer2013 import jpeg, write_folder, write_zip
from tests.helpers.fake_raf_db import jpeg as coloured

CK = fake_ck_plus.some()
FOLDER = {f"{name}/{number}.jpg": jpeg(number) for name in ("happy", "sad") for number in range(15)}
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50)
VIDEO = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(50)
SOURCES = {
    "image_folder": (catalog.IMAGE_FOLDER, FOLDER, {}),
    "image_folder, resized": (catalog.IMAGE_FOLDER, FOLDER, {"image_size": 16}),
    "fer2013": (fake_fer2013.SPEC, fake_fer2013.files(), {}),
    "fer_plus": (fake_fer_plus.SPEC, fake_fer_plus.folder_files(), {}),
    "raf_db": (fake_raf_db.SPEC, fake_raf_db.kaggle(fake_raf_db.faces()), {}),
    "raf_db of its authors": (
        fake_raf_db.SPEC,
        fake_raf_db.official(fake_raf_db.faces()),
        {},
    ),
    "CK+48": (fake_ck_plus.spec(CK), fake_ck_plus.ck_48(CK), {}),
    "ck_plus": (fake_ck_plus.spec(CK), fake_ck_plus.official(CK), {}),
}
DAMAGES = [
    (lambda data: data[: 2 * len(data) // 3], "is a damaged image ("),
    (lambda _: b"", "is not an image that can be read: it is an empty file (0 bytes"),
    (lambda _: b"moved to [b]", "is not an image that can be read: it is a text file (12 bytes"),
]


def refused(spec, path, tmp_path, **options):
    if spec is catalog.IMAGE_FOLDER:
        options["name"] = "mine"
    with pytest.raises(UserError) as caught:
        preparation.prepare(spec, path, tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()
    return str(caught.value)


@pytest.mark.parametrize("write", [write_folder, write_zip])
@pytest.mark.parametrize("name", SOURCES)
def test_all_of_them_are_told_at_once(name, write, tmp_path):
    spec, content, options = SOURCES[name]
    content = dict(content)
    images = sorted(one for one in content if one.endswith((".jpg", ".png")))
    # Of CK+ the last frames of a sequence are read, of which these are the last ones.
    used = [one for one in images if name != "ck_plus" or "S005/001/" in one][-3:]
    for one, (damage, _) in zip(used, DAMAGES, strict=True):
        content[one] = damage(content[one])
    lines = refused(spec, write(tmp_path / "a", content), tmp_path, **options).splitlines()
    assert lines[0].startswith("3 of ")
    assert lines[0].endswith(f"images of {tmp_path}/a cannot be used, and nothing is stored:")
    for line, one, (_, expected) in zip(lines[1:4], used, DAMAGES, strict=True):
        assert one in line and expected in line
    advice = "\n".join(lines[4:])
    assert "Put whole files in their places" in advice
    assert ("or take them out" in advice) == (spec is catalog.IMAGE_FOLDER)
    assert "ownload" not in "".join(lines)


@pytest.mark.parametrize("first", [True, False])
def test_the_first_twenty_are_named_and_all_are_counted(first, tmp_path):
    content = dict(FOLDER)
    for one in sorted(content)[:25] if first else sorted(content)[5:]:
        content[one] = b"x"
    message = refused(catalog.IMAGE_FOLDER, write_folder(tmp_path / "a", content), tmp_path)
    lines = message.splitlines()
    assert lines[0].startswith("25 of 30 images") and len(lines) == 23
    wrong = [name for name in sorted(content) if content[name] == b"x"][:20]
    assert [line.split(" is not")[0] for line in lines[1:21]] == [
        f"  {tmp_path}/a/{name}" for name in wrong
    ]
    assert lines[21] == "  and 5 more."


def test_one_of_them_takes_one_line(tmp_path):
    path = write_folder(tmp_path / "a", FOLDER | {"sad/7.jpg": b"moved"})
    assert refused(catalog.IMAGE_FOLDER, path, tmp_path) == (
        f"{path}/sad/7.jpg is not an image that can be read: it is a text file (5 bytes, beginning "
        "with b'moved')."
    )


def test_sizes_that_differ_from_that_of_most(tmp_path):
    # The first by path is not what most are.
    content = FOLDER | {
        "happy/0.jpg": jpeg(0, size=(40, 48)),
        "sad/3.jpg": jpeg(0, size=(9, 9)),
        "sad/4.jpg": b"",
    }
    message = refused(catalog.IMAGE_FOLDER, write_folder(tmp_path / "a", content), tmp_path)
    lines = message.splitlines()
    assert lines[1].endswith("happy/0.jpg has 40x48 pixels; 27 images have 48x48.")
    assert lines[2].endswith("sad/3.jpg has 9x9 pixels; 27 images have 48x48.")
    assert "sad/4.jpg is not an image" in lines[3]
    assert "or give --image_size=48, which resizes all of them." in message


@pytest.mark.parametrize("name", ["raf_db", "CK+48"])
def test_sizes_that_a_data_set_does_not_have(name, tmp_path):
    spec, content, _ = SOURCES[name]
    images = sorted(one for one in content if one.endswith((".jpg", ".png")))
    changed = {one: coloured(0, 0, 64) for one in images}
    message = refused(spec, write_folder(tmp_path / "a", content | changed), tmp_path)
    lines = message.splitlines()
    assert lines[0].startswith(f"{len(images)} of {len(images)} images")
    assert "has 64x64 pixels; an" in lines[1]
    # What to do about it is said once.
    assert len(lines) == 23 and lines[-1].startswith("Use ")


def test_damaged_members_of_a_zip(tmp_path):
    def change(data):
        first = made.damage_first_member(data)
        at = first.index(b"sad/3.png") + 40
        return first[:at] + bytes(255 - one for one in first[at : at + 9]) + first[at + 9 :]

    path = made.archive(method=zipfile.ZIP_DEFLATED, change=change)(tmp_path / "a.zip")
    message = refused(catalog.IMAGE_FOLDER, path, tmp_path)
    assert message.startswith("2 of 24 images of ")
    for name in ("happy/0.png", "sad/3.png"):
        assert f"  {name} in {path} is damaged (" in message
    assert message.count("Download the zip again.") == 1


def test_names_in_the_list_are_literal(tmp_path):
    content = FOLDER | {f"sad/{made.EVIL}.png": b"", "sad/[b].png": b"", "sad/:cat:.png": b""}
    message = refused(catalog.IMAGE_FOLDER, write_folder(tmp_path / "a", content), tmp_path)
    for name in (made.EVIL_SHOWN, "[b]", ":cat:"):
        assert f"  {tmp_path}/a/sad/{name}.png is not an image" in message
    assert "\x1b" not in message


def test_an_image_is_told_by_its_content(tmp_path):
    content = FOLDER | {"sad/a": jpeg(31), "sad/b.jfif": jpeg(32), "sad/c.txt": jpeg(33)}
    content |= {"sad/d.mp4": VIDEO, "e.mov": VIDEO, "sad/f.csv": b"a,b\n", "g": b"8BPS" + bytes(9)}
    prepared = preparation.prepare(
        catalog.IMAGE_FOLDER, write_folder(tmp_path / "a", content), tmp_path / "data", name="mine"
    )
    assert prepared.counts == {"whole": (15, 18)}
    (note,) = prepared.notes
    assert note.startswith("Left out, since they are no images: 1 Photoshop image (g); ")
    assert "2 videos (e.mov, sad/d.mp4)" in note and "1 text file (sad/f.csv)" in note
    assert note.count("About a video: save its frames") == 1
    assert note.count("About a Photoshop image: convert it to PNG or JPEG.") == 1


def test_heic_without_its_decoder(tmp_path, monkeypatch):
    monkeypatch.setattr("ferjax.data.images.kinds._is_installed", lambda form: form != "HEIF")
    path = write_folder(tmp_path / "a", FOLDER | {"sad/x": HEIC})
    (note,) = preparation.prepare(catalog.IMAGE_FOLDER, path, tmp_path / "other", name="mine").notes
    assert "1 HEIC image (sad/x)" in note and "pip install pi-heif" in note
    path = write_folder(tmp_path / "b", FOLDER | {"sad/x.heic": HEIC, "sad/y.JPG": HEIC})
    message = refused(catalog.IMAGE_FOLDER, path, tmp_path)
    assert "2 of 32 images" in message and message.count("pip install pi-heif") == 1
