"""The prepare command: what it prints, what it refuses, and what it says next."""

import functools
import socket

import pytest

from ferjax.data import catalog, dataset
from ferjax.data.prepare import __main__ as prepare
from ferjax.data.prepare import preparation
from tests.helpers import fake_fer_plus
from tests.helpers.fake_fer2013 import COUNTS, SPEC, TOTAL, files, jpeg, write_folder, write_zip


@pytest.fixture
def zip_path(tmp_path):
    return write_zip(tmp_path / "fer2013.zip", files())


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setitem(catalog.DATASETS, "fer2013", SPEC)
    return tmp_path / "data"


@pytest.fixture
def run_command(run_main):
    """Runs the command in this process; returns its exit code, stdout and stderr."""
    return functools.partial(run_main, prepare)


def names_below(path):
    return sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file())


def test_the_command_prepares_and_says_what_it_made(run_command, zip_path, data_dir, monkeypatch):
    def connect(*_):
        raise AssertionError("preparation opened a network connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    arguments = ["--dataset=fer2013", f"--source={zip_path}", f"--data_dir={data_dir}"]
    code, out, err = run_command(*arguments)
    assert code == 0, err
    opened = dataset.open_dataset("fer2013", data_dir)
    assert f"FER2013 (zip) is ready: {data_dir}/fer2013/2.0.0" in out
    table = [line.split() for line in out.splitlines() if line.startswith(tuple(COUNTS))]
    assert table == [
        [split, *map(str, counts), str(sum(counts))] for split, counts in COUNTS.items()
    ]
    assert f"fingerprint {opened.fingerprint}" in out
    assert "python -m ferjax.main --config=configs/cbam_island.py:dataset=fer2013" in out
    assert f"--config.dataset.data_dir={data_dir}" in out
    assert f"writing: {TOTAL} of {TOTAL}" in err
    assert names_below(data_dir) == [
        "fer2013/.preparing",
        "fer2013/2.0.0/dataset_info.json",
        "fer2013/2.0.0/features.json",
        "fer2013/2.0.0/fer2013-test.array_record-00000-of-00001",
        "fer2013/2.0.0/fer2013-train.array_record-00000-of-00001",
        "fer2013/2.0.0/fer2013-validation.array_record-00000-of-00001",
        "fer2013/2.0.0/label.labels.txt",
        "fer2013/2.0.0/metadata.json",
    ]
    code, out, _ = run_command(*arguments)
    assert code == 0
    assert "had been prepared before, with the same content" in out


def test_other_content_needs_overwrite(run_command, tmp_path, zip_path, data_dir):
    arguments = ["--dataset=fer2013", f"--data_dir={data_dir}"]
    first = preparation.prepare(SPEC, zip_path, data_dir)
    other = write_zip(tmp_path / "other.zip", files(seed=1))
    code, _, err = run_command(*arguments, f"--source={other}")
    assert code == 2
    assert "already holds FER2013 with other content" in err
    assert "Pass --overwrite" in err
    assert dataset.open_dataset("fer2013", data_dir).fingerprint == first.fingerprint
    code, _, err = run_command(*arguments, f"--source={other}", "--overwrite")
    assert code == 0, err
    second = dataset.open_dataset("fer2013", data_dir)
    assert second.fingerprint != first.fingerprint
    assert len(second.load("train")) == sum(COUNTS["train"])


def test_a_missing_source_says_how_to_obtain_it(run_command, tmp_path):
    missing = tmp_path / "none.zip"
    code, _, err = run_command("--dataset=fer2013", f"--source={missing}")
    assert code == 2
    assert f"error: there is nothing at {missing}" in err
    assert "msambare/fer2013" in err
    assert "python -m ferjax.data.prepare --dataset=fer2013 --source=" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--dataset=fer2103", "--source=x"], "no data set 'fer2103'. Did you mean 'fer2013'?"),
        (["--dataset=fer2013"], "--source is required"),
        (["--dataset=synthetic"], "synthetic needs no preparation"),
        (["--source=x"], "--dataset is required"),
        (["--dataset=fer2013", "x.zip"], "unexpected argument 'x.zip'"),
        (["--dataset=fer2013", "--sorce=x"], "unknown flag --sorce. Did you mean '--source'?"),
    ],
)
def test_wrong_arguments(run_command, arguments, expected):
    code, out, err = run_command(*arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", [name for name in catalog.DATASETS if name != "synthetic"])
def test_every_data_set_says_how_it_is_obtained(run_command, tmp_path, name):
    spec = catalog.DATASETS[name]
    for arguments in ([], [f"--source={tmp_path}/none"]):
        code, out, err = run_command(f"--dataset={name}", *arguments)
        assert (code, out) == (2, "")
        assert spec.how_to_obtain in err
        assert f"python -m ferjax.data.prepare --dataset={name} " in err
    assert name in prepare.FLAGS["dataset"].help


def test_images_of_the_user_by_the_command(run_command, tmp_path, data_dir, monkeypatch):
    content = {f"{name}/{n}.jpg": jpeg([n]) for name in ("sad", "happy") for n in range(3)}
    path = write_folder(tmp_path / "a", content)
    arguments = ["--dataset=image_folder", "--name=mine", f"--source={path}"]
    options = ["--image_size=16", "--labels=sad,happy"]
    code, out, err = run_command(*arguments, *options, f"--data_dir={data_dir}")
    assert code == 0, err
    assert f"is ready: {data_dir}/image_folder/mine/2.0.0" in out
    assert [line.split() for line in out.splitlines()][2:4] == [
        ["split", "sad", "happy", "total"],
        ["whole", "3", "3", "6"],
    ]
    assert out.endswith(
        "Next, train on it:\n  python -m ferjax.main --config=configs/cbam_island.py:"
        "dataset=image_folder,name=mine --workdir=runs/mine "
        f"--config.dataset.data_dir={data_dir}\n"
    )
    assert dataset.open_dataset("image_folder", data_dir, name="mine").image_shape == (16, 16, 1)
    assert "reading a" not in err  # how many there are is not known, so that no share is shown
    monkeypatch.setenv("FERJAX_DATA_DIR", str(data_dir))
    code, out, err = run_command(*arguments, *options)
    assert code == 0, err
    assert out.endswith(":dataset=image_folder,name=mine --workdir=runs/mine\n")


def test_votes_by_the_command(run_command, tmp_path, data_dir, monkeypatch):
    monkeypatch.setitem(catalog.DATASETS, "fer_plus", fake_fer_plus.SPEC)
    path = fake_fer_plus.write_csv_form(tmp_path / "a")
    data_dir = data_dir / "with space"
    code, out, err = run_command("--dataset=fer_plus", f"--source={path}", f"--data_dir={data_dir}")
    assert code == 0, err
    assert "FER+ (fer2013new.csv and fer2013.csv) is ready" in out
    assert "2 of 27 rows of fer2013new.csv name no image" in out
    assert out.endswith(
        "configs/cbam_island.py:dataset=fer_plus --workdir=runs/fer_plus "
        f"--config.dataset.data_dir='{data_dir}'\n"
    )
    assert "reading a: 25 of 25" in err


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--name=mine", "--name is of image_folder alone; fer2013 has its own name"),
        ("--image_size=64", "fer2013 does not take --image_size. It takes none."),
        ("--labels=a,b", "fer2013 does not take --labels. It takes none."),
    ],
)
def test_options_of_another_data_set(run_command, zip_path, data_dir, option, expected):
    code, out, err = run_command(
        "--dataset=fer2013", f"--source={zip_path}", f"--data_dir={data_dir}", option
    )
    assert (code, out) == (2, "")
    assert expected in err
    assert not data_dir.exists()
