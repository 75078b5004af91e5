"""The files of the best checkpoint of a run folder, damaged, given to `predict`."""

import shutil

from tests.helpers import strangers as made
from tests.measure.bad_inputs import damaged_runs
from tests.measure.bad_inputs.case import Case

_BEST = "checkpoints/best/8"
_FIX = "resume the run, restore the folder from a copy, or train again in an empty workdir"


def _arrays(change, item=f"{_BEST}/weights"):
    """Lets `change` alter the bytes of every file of arrays in an item."""

    def damage(run):
        for path in (run / item).rglob("d/*"):
            path.write_bytes(change(path.read_bytes()))

    return damage


def _flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _renamed(old, new):
    return lambda run: (run / old).rename(run / new)


def _no_last(stage):
    assert not (stage.here / "run" / "checkpoints" / "last").exists(), "reading made a folder"


_REFUSED = {
    "a_nostate": (
        "no weights",
        damaged_runs.removed(f"{_BEST}/weights"),
        "its arrays in weights are missing",
    ),
    "m_missing": (
        "no description",
        damaged_runs.removed(f"{_BEST}/meta"),
        "its description, meta/metadata, is missing",
    ),
    "a_trunc": ("arrays cut short", _arrays(lambda content: content[:100]), "weights"),
    "a_empty": ("empty arrays", _arrays(lambda content: b""), "weights"),
    "a_flip": ("a flipped byte in each file of arrays", _arrays(_flip), "weights"),
    "a_manifest": (
        "a manifest of nonsense",
        damaged_runs.file(f"{_BEST}/weights/manifest.ocdbt", "garbage"),
        "weights",
    ),
    "a_metadata": (
        "a list of arrays that is an empty object",
        damaged_runs.file(f"{_BEST}/weights/_METADATA", "{}"),
        "weights/_METADATA",
    ),
    "a_metadata_text": (
        "a list of arrays that is nonsense",
        damaged_runs.file(f"{_BEST}/weights/_METADATA", "garbage"),
        "weights/_METADATA",
    ),
    "a_metadata_deep": (
        "a list of arrays that is nested deeply",
        damaged_runs.file(f"{_BEST}/weights/_METADATA", damaged_runs.DEEP),
        "weights/_METADATA",
    ),
    "a_metadata2": (
        "no list of arrays",
        damaged_runs.removed(f"{_BEST}/weights/_METADATA"),
        "weights/_METADATA",
    ),
    "a_shapes": (
        "orbax's list of shapes that is a number",
        damaged_runs.file(f"{_BEST}/weights/array_metadatas/process_0", "5"),
        "its arrays in weights cannot be read",
    ),
    "a_fifo": (
        "a FIFO for a manifest",
        damaged_runs.replaced(f"{_BEST}/weights/manifest.ocdbt", made.fifo),
        "it is a FIFO",
    ),
    "a_link": (
        "a link to a folder",
        lambda run: (run / _BEST / "weights" / "more").symlink_to("/"),
        "more in it is a link",
    ),
}
_USED = {
    "a_sharding": (
        "a file of shardings that is nonsense",
        damaged_runs.file(f"{_BEST}/weights/_sharding", "garbage"),
    ),
    "a_ckptmeta": (
        "orbax's own file that is nonsense",
        damaged_runs.file(f"{_BEST}/_CHECKPOINT_METADATA", "garbage"),
    ),
    "a_commit": ("no mark of being whole", damaged_runs.removed(f"{_BEST}/commit_success.txt")),
    "a_step_name": (
        "a folder whose name is no step",
        lambda run: made.folder(run / "checkpoints" / "best" / "x9"),
    ),
}

CASES = [
    *(
        Case(
            f"run.{name}",
            f"checkpoint: {what}",
            damaged_runs.predict(damage),
            says=["The best checkpoint of step 8 in ", "cannot be used", said, _FIX],
        )
        for name, (what, damage, said) in _REFUSED.items()
    ),
    *(
        Case(
            f"run.{name}",
            f"checkpoint: {what}; the weights are whole",
            damaged_runs.predict(damage),
            code=0,
            says=["0.png"],
        )
        for name, (what, damage) in _USED.items()
    ),
    Case(
        "run.a_emptystep",
        "checkpoint: a later one is an empty folder",
        damaged_runs.predict(lambda run: made.folder(run / "checkpoints" / "best" / "9")),
        says=["checkpoint of step 9", "its description, meta/metadata, is missing", _FIX],
    ),
    Case(
        "run.a_last",
        "the last checkpoint has no training arrays: the run is resumed from the one before it",
        damaged_runs.train(damaged_runs.removed("checkpoints/last/16/training"), finished=False),
        code=0,
        says=[
            "of step 16 cannot be read (its arrays in training are missing); trying the one before",
            "Using the last checkpoint of step 8 instead",
            "Resuming run after step 8",
        ],
    ),
    Case(
        "run.a_last_both",
        "a flipped byte in each file of arrays of both last checkpoints",
        damaged_runs.train(
            damaged_runs.every(
                _arrays(_flip, "checkpoints/last/16"), _arrays(_flip, "checkpoints/last/8")
            ),
            finished=False,
        ),
        says=[
            "No last checkpoint in",
            "can be read: step 16: its arrays in",
            "step 8: its",
            "empty",
        ],
    ),
    Case(
        "run.a_nolast",
        "no checkpoint to resume from: the best one is read, and no folder made",
        damaged_runs.predict(damaged_runs.removed("checkpoints/last")),
        code=0,
        says=["0.png"],
        check=_no_last,
    ),
    Case(
        "run.a_none",
        "no best checkpoint in a finished run",
        damaged_runs.predict(damaged_runs.removed("checkpoints/best")),
        says=["is a finished run whose 'best' checkpoint is missing", "Restore"],
    ),
    Case(
        "run.a_ckptfile",
        "a file in the place of the folder of checkpoints",
        damaged_runs.predict(
            damaged_runs.every(
                lambda run: shutil.rmtree(run / "checkpoints"),
                damaged_runs.file("checkpoints", "x"),
            )
        ),
        says=["run is a finished run whose 'best' checkpoint is missing", "Restore"],
    ),
]
