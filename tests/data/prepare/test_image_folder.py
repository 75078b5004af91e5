"""A user's own images: layouts, classes, sizes, and what is refused."""

import io
import operator

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from ferjax.data import catalog, dataset, label_maps
from ferjax.data.prepare import preparation
from ferjax.data.prepare.readers.image_folder import read as image_folder
from ferjax.errors import UserError
from ferjax.training import loop
from tests.helpers import tiny
from tests.helpers.fake_fer2013 import jpeg, write_folder, write_zip


def image(seed, size=(12, 12), mode="L", kind="PNG"):
    """The bytes of an image file of noise."""
    channels = {"L": (), "RGB": (3,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], *channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def split_files(splits=("train", "validation", "test"), classes=("sad", "happy"), each=2):
    return {
        f"{split}/{name}/{number}.png": image([seed, label, number])
        for seed, split in enumerate(splits)
        for label, name in enumerate(classes)
        for number in range(each)
    }


def class_files(each=20, classes=("sad", "happy")):
    return {
        f"{name}/{number}.png": image([label, number])
        for label, name in enumerate(classes)
        for number in range(each)
    }


def prepare(path, data_dir, name="mine", **options):
    return preparation.prepare(catalog.IMAGE_FOLDER, path, data_dir, name=name, **options)


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("form", ["folder", "zip", "zip of a folder"])
def test_splits_of_the_user(tmp_path, form):
    content = split_files()
    path = {
        "folder": lambda: write_folder(tmp_path / "a", content),
        "zip": lambda: write_zip(tmp_path / "a.zip", content),
        "zip of a folder": lambda: write_zip(tmp_path / "a.zip", content, "my faces/v1/"),
    }[form]()
    prepared = prepare(path, tmp_path / "data")
    assert prepared.names == ("happy", "sad")
    assert prepared.counts == dict.fromkeys(["train", "validation", "test"], (2, 2))
    assert prepared.notes == ()
    opened = dataset.open_dataset("image_folder", tmp_path / "data", name="mine")
    assert (opened.labels.name, opened.labels.names) == ("mine", ("happy", "sad"))
    assert opened.image_shape == (12, 12, 1)
    for split in ("train", "validation", "test"):
        examples = opened.load(split)
        assert len(examples) == 4
        for key, label, found in zip(examples.keys, examples.labels, examples.images, strict=True):
            assert key.split("/")[:2] == [split, opened.labels.names[label]]
            np.testing.assert_array_equal(found[:, :, 0], pixels(content[key]))


@pytest.mark.parametrize("names", [("Train", "VAL", "Test"), ("train", "valid", "test")])
def test_names_of_splits(tmp_path, names):
    reading = image_folder.read(write_folder(tmp_path / "a", split_files(names)))
    assert list(reading.splits) == ["train", "validation", "test"]
    assert reading.splits["validation"][0].key.startswith(names[1])


def test_validation_is_taken_from_train_where_it_is_missing(tmp_path):
    content = split_files(("train", "test"), each=20)
    prepare(write_folder(tmp_path / "a", content), tmp_path / "data")
    opened = dataset.open_dataset("image_folder", tmp_path / "data", name="mine")
    assert dict(opened.num_examples) == {"train": 36, "validation": 4, "test": 40}
    keys = {split: set(opened.load(split).keys) for split in ("train", "validation", "test")}
    assert all(key.startswith("train/") for key in keys["train"] | keys["validation"])
    assert not keys["train"] & keys["validation"]


def test_classes_at_the_top_are_split_by_a_seed(tmp_path):
    prepare(write_folder(tmp_path / "a", class_files()), tmp_path / "data")
    keys = {}
    for seed in (0, 0, 1):
        opened = dataset.open_dataset(
            "image_folder", tmp_path / "data", name="mine", split_seed=seed, test_share=0.25
        )
        splits = {split: opened.load(split) for split in ("train", "validation", "test")}
        assert splits["test"].counts(2) == (5, 5)
        assert splits["train"].counts(2)[0] + splits["validation"].counts(2)[0] == 15
        assert len(set().union(*(part.keys for part in splits.values()))) == 40
        found = {split: part.keys for split, part in splits.items()}
        assert (keys.setdefault(seed, found) == found) and (seed == 0 or found != keys[0])


def test_two_names_live_side_by_side(tmp_path):
    first = prepare(write_folder(tmp_path / "a", split_files()), tmp_path / "data", "first")
    other = split_files(classes=("a", "b", "c"))
    second = prepare(write_folder(tmp_path / "b", other), tmp_path / "data", "second")
    for prepared, name in ((first, "first"), (second, "second")):
        assert str(prepared.directory).startswith(f"{tmp_path}/data/image_folder/{name}/")
        opened = dataset.open_dataset("image_folder", tmp_path / "data", name=name)
        assert opened.fingerprint == prepared.fingerprint
        assert opened.labels.names == prepared.names
    with pytest.raises(UserError, match="A folder of images named third is not prepared in"):
        dataset.open_dataset("image_folder", tmp_path / "data", name="third")


def test_other_images_of_one_name_keep_both_by_another_name(tmp_path):
    prepare(write_folder(tmp_path / "a", split_files()), tmp_path / "data")
    other = write_folder(tmp_path / "b", split_files(each=3))
    with pytest.raises(UserError, match=r"with other content .* or another --name to keep both"):
        prepare(other, tmp_path / "data")


@pytest.mark.parametrize("name", ["", "Mine", "a/b", "../a", "1a", "2.0.0"])
def test_a_name_that_names_nothing(tmp_path, name):
    with pytest.raises(UserError, match=r"--name is .*needs a name of your own"):
        prepare(write_folder(tmp_path / "a", split_files()), tmp_path / "data", name)


def test_the_order_of_the_user(tmp_path):
    path = write_folder(tmp_path / "a", split_files())
    assert prepare(path, tmp_path / "data", labels="sad, happy").names == ("sad", "happy")
    opened = dataset.open_dataset("image_folder", tmp_path / "data", name="mine")
    assert opened.labels.names == ("sad", "happy")
    examples = opened.load("test")
    assert [opened.labels.names[label] for label in examples.labels] == [
        key.split("/")[1] for key in examples.keys
    ]


def error_of(path, **options):
    with pytest.raises(UserError) as caught:
        image_folder.read(path, **options)
    return str(caught.value)


def test_labels_and_folders_that_do_not_match(tmp_path):
    path = write_folder(tmp_path / "a", split_files())
    message = error_of(path, labels="sad,hapy")
    assert f"{path}/train/happy is a class that --labels does not list. Did you mean 'hapy'?" in (
        message
    )
    message = error_of(path, labels="sad,happy,angry")
    assert "--labels lists 'angry', and there is no folder of that class" in message
    assert "There are: happy, sad." in message
    assert "--labels names 'sad' twice" in error_of(path, labels="sad,happy,sad")


def test_one_size_is_asked_for(tmp_path):
    content = split_files() | {"train/sad/9.png": image(0, (13, 12))}
    with pytest.raises(UserError) as caught:
        prepare(write_folder(tmp_path / "a", content), tmp_path / "data")
    assert "train/sad/9.png has 13x12 pixels; 12 images have 12x12." in str(caught.value)
    assert "or give --image_size=12, which resizes all of them." in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_images_are_resized(tmp_path):
    flat = Image.new("L", (30, 10), 77)
    file = io.BytesIO()
    flat.save(file, "BMP")
    content = split_files() | {"test/sad/wide.bmp": file.getvalue()}
    path = write_folder(tmp_path / "a", content)
    prepared = prepare(path, tmp_path / "data", image_size=8)
    assert prepared.notes == ("1 image is not square and has been squeezed to 8x8 pixels.",)
    opened = dataset.open_dataset("image_folder", tmp_path / "data", name="mine")
    assert opened.image_shape == (8, 8, 1)
    examples = opened.load("test")
    np.testing.assert_array_equal(examples.images[examples.keys.index("test/sad/wide.bmp")], 77)
    wanted = Image.open(io.BytesIO(content["test/sad/1.png"])).resize((8, 8), Image.BILINEAR)
    found = examples.images[examples.keys.index("test/sad/1.png")]
    np.testing.assert_array_equal(found[:, :, 0], np.asarray(wanted))


@pytest.mark.parametrize("options", [{}, {"image_size": 12}])
def test_one_image_in_colour_makes_all_of_them_rgb(tmp_path, options):
    coloured = image(0, mode="RGB")
    content = split_files() | {"test/sad/colour.png": coloured}
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=120)
    path = write_folder(tmp_path / "a", content)
    prepare(path, tmp_path / "data", console=console, **options)
    # Images that are resized have as many channels as the headers of all of them tell.
    assert ("checking images again, in colour" in said.getvalue()) == (not options)
    opened = dataset.open_dataset("image_folder", tmp_path / "data", name="mine")
    assert opened.image_shape == (12, 12, 3)
    examples = opened.load("test")
    np.testing.assert_array_equal(
        examples.images[examples.keys.index("test/sad/colour.png")], pixels(coloured)
    )
    grey = pixels(content["test/sad/0.png"])[:, :, None]
    found = examples.images[examples.keys.index("test/sad/0.png")]
    np.testing.assert_array_equal(found, np.broadcast_to(grey, (12, 12, 3)))


@pytest.mark.parametrize("size", [0, -1, 100_000])
def test_sizes_that_are_no_sizes(tmp_path, size):
    path = write_folder(tmp_path / "a", split_files())
    assert f"--image_size is {size}; expected pixels from 1 to 2048" in error_of(
        path, image_size=size
    )


def test_jpeg_and_png_are_kept_and_the_rest_is_packed_as_png(tmp_path):
    content = {
        "a/1.jpg": jpeg(1, size=(12, 12)),
        "a/2.png": image(2),
        "b/3.bmp": image(3, kind="BMP"),
        "b/4.tif": image(4, mode="RGB", kind="TIFF"),
    }
    reading = image_folder.read(write_folder(tmp_path / "a", content))
    stored = {item.key: item.image() for item in reading.splits["whole"]}
    for name in ("a/1.jpg", "a/2.png"):
        assert stored[name] == content[name]
    for name in ("b/3.bmp", "b/4.tif"):
        assert stored[name].startswith(b"\x89PNG")
        np.testing.assert_array_equal(pixels(stored[name]), pixels(content[name]))


def test_what_is_left_out_is_counted(tmp_path):
    content = split_files() | {"train/sad/notes.txt": b"", "README.md": b"", "test/a.csv": b""}
    del content["test/happy/0.png"], content["test/happy/1.png"]
    prepared = prepare(write_folder(tmp_path / "a", content), tmp_path / "data")
    missing, others = prepared.notes
    assert missing == "test has no image of happy."
    assert others.startswith(
        "Left out, since they are no images: 3 empty files (README.md, test/a.csv, "
        "train/sad/notes.txt)."
    )
    assert missing in preparation.summary(catalog.IMAGE_FOLDER, prepared)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("1", "Move them into the folders of their classes"),
        ("train/1.png", "Move them into the folders of their classes"),
        ("train/sad/more/1.png", "move those in train/sad/more one folder up"),
        ("train/sad/test/1.png", "put the classes into the splits, as test/sad"),
        ("extra/sad/1.png", "Move them into the folders of their classes"),
        ("extra/1.JPG", "Move them into the folders of their classes"),
        ("train/anna/fear/1.png", "The outer folders (anna) look like persons or sources, and"),
    ],
)
def test_an_image_in_no_class(tmp_path, name, advice):
    message = error_of(write_folder(tmp_path / "a", split_files() | {name: image(0)}))
    assert f"{tmp_path}/a: 1 image lies outside the class folders ({name}); expected" in message
    assert "<split>/<class>/<image>" in message and advice in message


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_class_without_images(tmp_path, form):
    content = split_files()
    if form == "zip":
        path = write_zip(tmp_path / "a.zip", content | {"train/angry/": b""})
    else:
        path = write_folder(tmp_path / "a", content)
        (path / "train" / "angry").mkdir()
    assert "has no image in it: a class without examples cannot be learned" in error_of(path)
    assert "train/angry" in error_of(path)


def test_all_classes_without_images_and_what_was_left_out_are_told_at_once(tmp_path):
    content = class_files() | {
        "a/1.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2",
        "b/notes.txt": b"x",
    }
    message = error_of(write_folder(tmp_path / "a", content))
    assert message.startswith(f"2 of 4 class folders of {tmp_path}/a cannot be used")
    for name in "ab":
        assert f"\n  {tmp_path}/a/{name} has no image in it" in message
    assert message.count("1 video (a/1.mp4)") == message.count("(b/notes.txt)") == 1
    videos = {name: content["a/1.mp4"] for name in ("1.mp4", "2.mp4")}
    message = error_of(write_folder(tmp_path / "b", videos))
    assert "has 0 class folders (none)" in message and "2 videos (1.mp4, 2.mp4)" in message


def test_persons_above_classes(tmp_path):
    content = {
        f"{who}/{name}/1.png": image(0) for who in ("anna", "bob") for name in ("happy", "sad")
    }
    message = error_of(write_folder(tmp_path / "a", content))
    assert "The outer folders (anna, bob) look like persons or sources, and those in" in message
    assert "into one folder of that class" in message and "as happy/anna_1.jpg." in message
    assert "one folder up" not in message


def test_a_class_that_train_does_not_have(tmp_path):
    content = split_files() | {"test/hapy/1.png": image(0)}
    message = error_of(write_folder(tmp_path / "a", content))
    assert f"{tmp_path}/a/test/hapy is a class that train does not have. Did you mean 'happy'?" in (
        message
    )


@pytest.mark.parametrize("name", ["a=b", "a,b", " a", "\u0308a", "a\u200db", "a  (1)"])
def test_a_folder_that_cannot_name_a_class(tmp_path, name):
    content = split_files() | {f"train/{name}/1.png": image(0)}
    assert f"{name!r} cannot name a class" in error_of(write_folder(tmp_path / "a", content))


def test_classes_that_differ_in_capitals_alone(tmp_path):
    content = class_files(2, ("happy", "Happy", "sad"))
    message = error_of(write_folder(tmp_path / "a", content))
    assert "has the classes Happy and happy, which differ in capitals or accents alone" in message


def test_names_of_several_words(tmp_path):
    content = class_files(2, ("very happy", "Not-so_happy", "sad 2"))
    names = image_folder.read(write_folder(tmp_path / "a", content)).names
    assert names == ("Not-so_happy", "sad 2", "very happy")


def test_two_names_of_one_emotion(tmp_path):
    content = split_files(classes=("Angry", "anger", "happy", "happier"))
    (note,) = image_folder.read(write_folder(tmp_path / "a", content)).notes
    assert note.startswith("The classes Angry, anger mean one emotion, anger, and stay apart;")


def test_names_of_other_scripts(tmp_path):
    """A folder of macOS has its accents apart; commands have them in one letter."""
    apart, names = "cole\u0300re", ("col\u00e8re", "हिन्दी", "快乐")
    content = class_files(20, (apart, *names[1:]))
    prepared = prepare(write_folder(tmp_path / "a", content), tmp_path / "data")
    assert prepared.names == names
    table = preparation.summary(catalog.IMAGE_FOLDER, prepared).splitlines()[2:4]
    assert len({cell_len(line) for line in table}) == 1
    opened = dataset.open_dataset("image_folder", tmp_path / "data", name="mine")
    assert opened.labels.names == names
    for key, label in zip(*operator.attrgetter("keys", "labels")(opened.load("test")), strict=True):
        assert key.split("/")[0] == (apart, *names[1:])[label]
    config = opened.labels.names
    found = label_maps.parse(",".join(f"{name}={name}" for name in config), config, config)
    assert found.table == (0, 1, 2)
    both = write_folder(tmp_path / "b", class_files(1, (apart, names[0])))
    assert "which differ in capitals or accents alone" in error_of(both)


def test_a_class_of_a_zip_whose_names_are_in_an_unknown_encoding(tmp_path):
    for inside, named in ((b"col\x82re", None), ("colère".encode(), "colère")):
        content = class_files(2, ("c" * len(inside), "sad"))
        path = write_zip(tmp_path / "a.zip", content)
        path.write_bytes(path.read_bytes().replace(b"c" * len(inside) + b"/", inside + b"/"))
        if named:
            assert image_folder.read(path).names == (named, "sad")
        else:
            assert f"colére in {path}: the zip does not say how the name of this" in error_of(path)


def test_fewer_than_two_classes(tmp_path):
    message = error_of(write_folder(tmp_path / "a", class_files(2, ("sad",))))
    assert f"{tmp_path}/a has 1 class folder (sad), and telling classes apart takes two" in message
    (tmp_path / "b").mkdir()
    assert f"{tmp_path}/b has 0 class folders (none)" in error_of(tmp_path / "b")
    message = error_of(write_folder(tmp_path / "c", split_files(classes=("sad",))))
    assert f"{tmp_path}/c/train has 1 class folder (sad)" in message


SPLITS = {
    ("train", "val"): ("has the folders train, val and none named test", "mv {}/val {}/test"),
    ("train",): ("has the folders train and none named test", "drawn from it: --source={}/train"),
    ("test",): ("has the folders test and none named train", "--workdir=DIR --images={}/test. To"),
    ("val",): ("has the folders val and none named train", "--workdir=DIR --images={}/val. To"),
    ("train", "test", "val", "valid"): ("val and valid are both the validation split", "together"),
    ("train", "testing"): ("has the folders train and none", "\n  mv {}/testing {}/test"),
    ("train", "test", "dev-set"): ("other names (dev-set)", "\n  mv {}/dev-set {}/validation"),
    ("train", "dev"): ("If dev is the test split, rename it; valid", "\n  mv {}/dev {}/test"),
    ("Training", "dev"): ("(Training, dev). Folders", "/train\nIf dev is the test split, rename"),
    ("train", "val", "dev"): ("val and dev are both the validation split", "mv {}/dev {}/test"),
    ("train", "Training"): (
        "train and Training are both the train split",
        "Put the test images into",
    ),
    ("train", "test", "Training"): ("(Training). train and Training are both the train split", "."),
    ("Training", "test_images"): (
        "(Training, test_images)",
        "\n  mv {}/Training {}/train\n  mv {}",
    ),
    ("training",): ("other names (training)", "are called train, validation, val, valid, test, in"),
}


@pytest.mark.parametrize("splits", SPLITS)
def test_splits_that_are_missing_or_have_other_names(tmp_path, splits):
    found, advice = SPLITS[splits]
    path = write_folder(tmp_path / "a", split_files(splits))
    message = error_of(path)
    assert message.startswith(str(path)) and found in message
    assert advice.replace("{}", str(path)) in message
    message = error_of(write_zip(tmp_path / "a.zip", split_files(splits)))
    assert advice.replace("{}", "UNPACKED") in message


def test_a_split_without_images(tmp_path):
    path = write_folder(tmp_path / "a", split_files(("train", "test")))
    (path / "validation").mkdir()
    message = r"a has no image of the validation split; put images there, or remove what"
    with pytest.raises(UserError, match=message):
        prepare(path, tmp_path / "data")


def test_a_share_that_leaves_no_test_image_is_refused_before_training(tmp_path):
    prepare(write_folder(tmp_path / "a", class_files()), tmp_path / "data", name="mine")
    config = tiny.config(tmp_path / "data")
    config.dataset.name = "image_folder"
    config.dataset.options = {"name": "mine", "held_out": 0.1, "test_share": 0.0, "split_seed": 0}
    with pytest.raises(UserError, match=r"The test split of image_folder has no example, .*share"):
        loop.train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("options", [{}, {"image_size": 8}])
def test_frames_and_transparency_that_are_left_out_are_counted(options, tmp_path):
    content = class_files()
    frames = [Image.new("L", (12, 12), level) for level in (9, 8)]
    several = {"save_all": True, "append_images": frames[1:]}
    for name, first, form, more in (
        ("a.png", Image.new("LA", (12, 12), (9, 9)), "PNG", {}),
        ("b.tiff", frames[0], "TIFF", several),
        ("c.png", frames[0], "PNG", several),
    ):
        file = io.BytesIO()
        first.save(file, form, **more)
        content[f"sad/{name}"] = file.getvalue()
    path = write_folder(tmp_path / "a", content)
    frames, transparent = prepare(path, tmp_path / "data", **options).notes
    assert frames.startswith("2 images have several frames, of which the first is used (")
    assert transparent.startswith("1 image has transparent pixels, which are shown over white (")
