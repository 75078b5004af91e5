"""The files of a run directory that belong to the whole run: config.json and result.json."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import filelock
from ml_collections import ConfigDict

from ferjax import filesystem, local_files, refusals, stored_json
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.workdir import schemas
from ferjax.workdir.lease import Lease

# Fields for where data lie and how failures are handled. They change results by rounding at most,
# so a resumed run may change them.
LOCATION_FIELDS = (
    "compilation_cache",
    "train.on_failed_save",
    "train.parameter_placement",
    "train.watchdog_minutes",
    "dataset.data_dir",
    "dataset.placement",
    "dataset.limit_mib",
    "dataset.num_threads",
)
# Where a run began; a folder of runs may have been moved since, with these in it.
STARTS = ("trunks_from", "init_from")

_MARK = ".processes"
# Entries of a run directory that ferjax writes or deletes.
ENTRIES = (
    "config.json",
    "result.json",
    "metrics.jsonl",
    "table.json",
    ".lock",
    _MARK,
    "checkpoints",
    "predictions",
    "report",
    "tensorboard",
)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class RunDirectory:
    """One run on disk: it belongs to a config from its first checkpoint on.

    Args:
      workdir: the folder, local or remote (gs://).
    """

    def __init__(self, workdir: str | os.PathLike[str]):
        self.path = filesystem.of(workdir)
        self._lease: Lease | None = None

    @contextlib.contextmanager
    def claim(self, config: ConfigDict) -> Iterator[None]:
        """Gives the folder to this config, or checks that it has it, and holds it inside the block.

        Without a checkpoint there is nothing to resume: the folder then takes another config, so
        that a refused one can be corrected.

        Raises:
          UserError: the folder holds a run of another config (the differences are listed), is not
            a folder, or is in use by another process; or an entry that ferjax writes is a link.
        """
        try:
            filesystem.make_folder(self.path)
        except OSError as error:
            raise UserError(
                f"The workdir {self.path} cannot be made ({refusals.problem(error)}); name a "
                "folder that can be written."
            ) from None
        if not filesystem.is_remote(self.path):
            local_files.refuse_links(self.path, ENTRIES, "workdir")
        with self._locked():
            self._adopt(config)
            yield

    def check_held(self) -> None:
        """Raises a UserError if another process has taken a remote folder; see `lease`."""
        if self._lease is not None:
            self._lease.check()

    def mark(self, token: str) -> None:
        """Leaves a mark that the other processes of the run look for."""
        filesystem.write_json(self.path / _MARK, {"token": token})

    def found_mark(self) -> str | None:
        """The mark that this process sees, or None."""
        try:
            return filesystem.load_json(self.path / _MARK, schemas.Mark)["token"]
        except (OSError, stored_json.Unfit):
            return None

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is something to resume or to use."""
        found = (self.path / "checkpoints").glob("*/[0-9]*")
        return any(path.name.isdigit() and filesystem.is_whole(path) for path in found)

    def config_fields(self) -> dict[str, Any]:
        """The fields of config.json.

        Raises:
          UserError: there is none, or it is damaged.
        """
        file = self.path / "config.json"
        try:
            if not filesystem.is_remote(self.path):
                local_files.check_folder(self.path)
        except PermissionError:
            pass  # to read the file says the same of it
        except OSError as error:
            raise self._no_run(refusals.problem(error)) from None
        try:
            found = filesystem.read_json(file, stored_json.Object, fix="restore it from a copy")
        except FileNotFoundError:
            raise self._no_run("it has no config.json") from None
        _check_names(found, file)
        return found

    def config(self) -> ConfigDict:
        """The config of the run."""
        return ConfigDict(_tuples(self.config_fields()))

    def result(self) -> dict[str, Any] | None:
        """The content of result.json (see `schemas.Result`), or None before the run has ended.

        Raises:
          UserError: it cannot be read, is damaged, or is that of a folder of several runs.
        """
        file = self.path / "result.json"
        fix = "restore it from a copy, or remove it: the command of the run makes it again"
        try:
            found = filesystem.read_json(file, stored_json.Object, fix=fix)
        except FileNotFoundError:
            return None
        if "over" in found:
            raise UserError(
                f"{self.path} is a folder of several runs, with a folder for each below it; name "
                "one of them, or another workdir for one run."
            )
        try:
            schemas.check_scores(stored_json.check(found, schemas.Result))
        except stored_json.Unfit as error:
            raise UserError(f"{file} {error}: {fix}.") from None
        return found

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes result.json, whole or not at all."""
        filesystem.write_json(self.path / "result.json", result)

    def _no_run(self, why: str) -> UserError:
        return UserError(
            f"{self.path} is not a run directory: {why}. Give the --workdir of a run of "
            "ferjax.main."
        )

    def _adopt(self, config: ConfigDict) -> None:
        self.result()  # refuses a folder of several runs, and a damaged file
        fields = json.loads(config.to_json())
        config_file = self.path / "config.json"
        if not filesystem.exists(config_file):
            if filesystem.exists(self.path / "checkpoints"):
                raise UserError(
                    f"{self.path} holds checkpoints but no config.json, so what they belong to is "
                    "unknown; name another workdir."
                )
            filesystem.write_json(config_file, fields)
            return
        others = list(differences(self.config_fields(), fields))
        if others and not self.has_checkpoint:
            filesystem.write_json(config_file, fields)
        elif others:
            shown = "; ".join(others[:5])
            more = f"; and {len(others) - 5} more" if len(others) > 5 else ""
            raise UserError(
                f"The workdir {self.path} holds the run of another config: {shown}{more}. Name "
                "another workdir, or give the config of this one to resume it."
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if filesystem.is_remote(self.path):
            with Lease(self.path / ".lock", self.path) as self._lease:
                yield
            return
        # The system releases the lock when the process ends, also when it is killed.
        lock = filelock.FileLock(self.path / ".lock", fallback_to_soft=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"The workdir {self.path} is in use by another process; wait for it, or name "
                "another workdir."
            ) from None
        except (OSError, NotImplementedError) as error:
            said = getattr(error, "strerror", None) or error
            if getattr(error, "errno", None) in _NOT_WRITABLE:
                raise UserError(
                    f"The workdir {self.path} cannot be written ({said}); name a folder that can "
                    "be."
                ) from None
            raise UserError(
                f"The workdir {self.path} cannot be locked ({said}), so that two runs could write "
                "there at once; mount that file system with locks, or name a workdir on another."
            ) from None
        try:
            yield
        finally:
            lock.release()


def own_files(workdir: str) -> list[Place]:
    """The files of a run directory that a command's output must not replace."""
    folder = filesystem.of(workdir)
    return [folder / name for name in ENTRIES]


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "", *, besides: Sequence[str] = ()
) -> Iterator[str]:
    """What two configs as JSON differ in, apart from places and the fields `besides`, in words."""
    for key in [*old, *(key for key in new if key not in old)]:
        path = f"{prefix}{key}"
        if path.endswith((*LOCATION_FIELDS, *besides)):  # also in the configs of a fusion's trunks
            continue
        before, after = old.get(key, "nothing"), new.get(key, "nothing")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{path}.", besides=besides)
        elif before != after:
            yield f"{path} is {before!r} there and {after!r} here"


def _check_names(value: Any, file: Place, path: str = "") -> None:
    """Refuses what no config can hold: keys that are no names, and objects in a list."""
    if isinstance(value, list):
        if any(isinstance(item, dict | list) for item in value):
            raise UserError(
                f"{file} has {path} with a list or an object in a list, expected plain values: "
                "restore it from a copy."
            )
        return
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        if not name.isidentifier() or name.startswith("_") or hasattr(ConfigDict, name):
            shown = name if len(name) <= 60 else f"{name[:57]}..."
            raise UserError(
                f"{file} has {path}{'.' if path else ''}{shown!s} as a field, expected the name "
                "of one: restore it from a copy."
            )
        _check_names(item, file, f"{path}.{name}" if path else name)


def _tuples(value: Any) -> Any:
    """JSON has lists where a config has tuples."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
