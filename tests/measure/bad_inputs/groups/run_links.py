"""Links in a run folder that lead out of it, then the command of the run."""

from tests.measure.bad_inputs import shared
from tests.measure.bad_inputs.case import CANARY, Case, unharmed

_FIX = "ferjax writes and deletes there, and follows no link in a workdir. Put a copy in its place"


def _linked(entry, *, folder=False):
    """The command of a run in which an entry is a link: to a file, or to a folder with one."""

    def command(stage):
        run = stage.run()
        (run / "result.json").unlink()
        outside = stage.outside()
        if folder:
            outside.unlink()
            (stage.here / "theirs" / "best" / "99").mkdir(parents=True)
            outside = stage.here / "theirs"
            (outside / "best" / "99" / "kept").write_text(CANARY)
        link = run / entry
        if link.is_dir():
            link.rename(stage.here / "moved")
        else:
            link.unlink(missing_ok=True)
        link.symlink_to(outside)
        return "main", *shared.TINY, "--workdir=run"

    return command


def _folder_unharmed(stage):
    theirs = stage.here / "theirs"
    found = sorted(str(path.relative_to(theirs)) for path in theirs.rglob("*"))
    assert found == ["best", "best/99", "best/99/kept"], f"the linked folder holds {found}"
    assert (theirs / "best" / "99" / "kept").read_text() == CANARY, "a file behind a link changed"


_FILES = {
    "s_lock": ".lock",
    "s_metrics_itself": "metrics.jsonl",
    "s_result_itself": "result.json",
    "s_config_itself": "config.json",
    "s_mark": ".processes",
}
_FOLDERS = {"s_ckpt": "checkpoints", "s_tb": "tensorboard", "s_best": "checkpoints/best"}
_NAMES_OF_OLD = {"s_resultnew": "result.json.new", "s_metrics": "metrics.jsonl.new"}

CASES = [
    *(
        Case(
            f"res.{name}",
            f"{entry} is a link to a file outside",
            _linked(entry),
            says=[f"run/{entry} is a link to", _FIX],
            check=unharmed,
        )
        for name, entry in _FILES.items()
    ),
    *(
        Case(
            f"res.{name}",
            f"{entry} is a link to a folder outside",
            _linked(entry, folder=True),
            says=[f"run/{entry} is a link to", _FIX],
            check=_folder_unharmed,
        )
        for name, entry in _FOLDERS.items()
    ),
    *(
        Case(
            f"res.{name}",
            f"{entry}, which is nobody's name any more, is a link to a file outside",
            _linked(entry),
            code=0,
            says=["Resuming run after step 16"],
            check=unharmed,
        )
        for name, entry in _NAMES_OF_OLD.items()
    ),
]
