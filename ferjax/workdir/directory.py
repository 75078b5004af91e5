"""The files of a run directory that belong to the whole run: config.json and result.json."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import filelock
from ml_collections import ConfigDict

from ferjax import filesystem, local_files
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.workdir.lease import Lease

# Fields that change where the bytes lie, or what is done when something fails, but no number of
# the run beyond its rounding: a run may be resumed with others.
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
        """Makes the folder this config's, or checks that it is, and holds it inside the block.

        A run that has no checkpoint has nothing to resume: its folder takes another config, so that
        what was refused at the start can be put right.

        Raises:
          UserError: the folder holds a run of another config (the differences are listed), is not
            a folder, or is in use by another process; or an entry that ferjax writes is a link.
        """
        try:
            filesystem.make_folder(self.path)
        except OSError as error:
            raise UserError(
                f"The workdir {self.path} cannot be made ({error.strerror}); name a folder that "
                "can be written."
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
        """The mark that this process sees."""
        try:
            return json.loads(filesystem.read_bytes(self.path / _MARK))["token"]
        except (OSError, ValueError):
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
            return json.loads(filesystem.read_bytes(file))
        except FileNotFoundError:
            raise UserError(
                f"{self.path} is not a run directory: it has no config.json. Give the --workdir "
                "of a run of ferjax.main."
            ) from None
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error}).") from None
        except ValueError as error:
            raise UserError(f"{file} is damaged ({error}); restore it from a copy.") from None

    def config(self) -> ConfigDict:
        """The config of the run."""
        return ConfigDict(_tuples(self.config_fields()))

    def result(self) -> dict[str, Any] | None:
        """What result.json says, or None before the run has ended.

        Raises:
          UserError: it is damaged.
        """
        file = self.path / "result.json"
        try:
            return json.loads(filesystem.read_bytes(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error}).") from None
        except ValueError as error:
            raise UserError(
                f"{file} is damaged ({error}); restore it from a copy, or remove it: the command "
                "of the run makes it again."
            ) from None

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes result.json, whole or not at all."""
        filesystem.write_json(self.path / "result.json", result)

    def _adopt(self, config: ConfigDict) -> None:
        if "over" in (self.result() or {}):
            raise UserError(
                f"{self.path} is a folder of several runs, with a folder for each below it; name "
                "another workdir for one run."
            )
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
        differences = list(_differences(self.config_fields(), fields))
        if differences and not self.has_checkpoint:
            filesystem.write_json(config_file, fields)
        elif differences:
            shown = "; ".join(differences[:5])
            more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
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
        # The lock goes with the process, however it ends: a killed run leaves none behind.
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


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in [*old, *(key for key in new if key not in old)]:
        path = f"{prefix}{key}"
        if path.endswith(LOCATION_FIELDS):  # those of a fusion's trunks too
            continue
        before, after = old.get(key, "nothing"), new.get(key, "nothing")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, f"{path}.")
        elif before != after:
            yield f"{path} is {before!r} there and {after!r} here"


def _tuples(value: Any) -> Any:
    """JSON has lists where a config has tuples."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
