"""Who works in a remote folder: a marker that its holder keeps changing.

An object store has no lock that ends with its process. The holder of a marker rewrites it every
`BEAT_SECONDS`; a process that finds one waits. If it changes, its holder is alive; if not for
`GONE_SECONDS`, its holder is dead, and the marker is taken over. No clocks of two machines are
compared. A clean exit removes the marker, so only a start after a kill waits.

It is no lock: a process that was paused for longer than `GONE_SECONDS` continues until its next
beat finds the marker of another process; `check` then ends it before it saves.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from typing import Any

from etils import epath

from ferjax import filesystem, stored_json
from ferjax.cli import output
from ferjax.errors import FolderLost, UserError
from ferjax.workdir import schemas

BEAT_SECONDS = 15.0
# More than the retries of one beat take together.
GONE_SECONDS = 90.0
POLL_SECONDS = 5.0
# Two processes may take over the same marker: after this time the one that wrote last keeps it.
SETTLE_SECONDS = 2.0


class Lease:
    """The marker of a folder; held inside the block of a `with`.

    Args:
      marker: the object.
      folder: the folder that it marks, for messages.

    Raises:
      UserError: on entering, if another process holds it or it cannot be written.
    """

    def __init__(self, marker: epath.Path, folder: epath.Path):
        self._marker, self._folder = marker, folder
        self._fields: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "beat": 0,
        }
        self._lost: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="ferjax-lease", daemon=True)

    def __enter__(self) -> Lease:
        try:
            if not filesystem.create(self._marker, self._text()):
                self._wait_and_take()
        except OSError as error:
            raise UserError(
                f"The workdir {self._folder} cannot be written ({error}); name one that can, and "
                "check the bucket and the credentials of this machine."
            ) from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        try:
            if self._owner(self._read()) == self._fields["id"]:
                filesystem.remove(self._marker)
        except OSError:
            pass  # the next process waits in vain, and takes it

    def check(self) -> None:
        """Raises a FolderLost if another process has taken the folder meanwhile."""
        if self._lost is not None:
            raise FolderLost(
                f"{_who(self._lost)} has taken the workdir {self._folder}, because this process "
                f"gave no sign of life for {GONE_SECONDS:.0f} seconds. Nothing more is saved here."
            )

    def _wait_and_take(self) -> None:
        seen = self._read()
        if self._owner(seen) == self._fields["id"]:
            return  # created after all, and the answer was lost
        output.say(
            f"{self._folder} is marked as in use by {_who(seen)}; waiting up to "
            f"{GONE_SECONDS:.0f} seconds for a sign of life.",
            file=sys.stderr,
        )
        start = time.monotonic()
        while seen is not None and time.monotonic() - start < GONE_SECONDS:
            time.sleep(POLL_SECONDS)
            found = self._read()
            if found is not None and found != seen:
                self._refuse(found)
            seen = found
        if seen is None:
            if not filesystem.create(self._marker, self._text()):
                self._refuse(self._read())
            return
        filesystem.write(self._marker, self._text())
        time.sleep(SETTLE_SECONDS)
        found = self._read()
        if self._owner(found) != self._fields["id"]:
            self._refuse(found)

    def _refuse(self, found: dict[str, Any] | None) -> None:
        raise UserError(
            f"The workdir {self._folder} is in use by {_who(found)}; wait for it, or name another "
            "workdir."
        )

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                found = self._read()
                if self._owner(found) != self._fields["id"]:
                    self._lost = found or {}
                    return
                self._fields["beat"] += 1
                filesystem.write(self._marker, self._text())
            except OSError:
                continue  # the next beat may get through

    def _read(self) -> dict[str, Any] | None:
        try:
            return filesystem.load_json(self._marker, schemas.Holder)
        except FileNotFoundError:
            return None
        except stored_json.Unfit:  # of somebody, who is not known
            return {}

    def _text(self) -> bytes:
        return json.dumps(self._fields).encode()

    def _owner(self, found: dict[str, Any] | None) -> Any:
        return (found or {}).get("id")


def _who(fields: dict[str, Any] | None) -> str:
    if not fields:
        return "another process"
    return f"process {fields.get('pid')} on {fields.get('host')} (started {fields.get('started')})"
