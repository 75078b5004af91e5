"""TensorBoard event files; the only file that imports a metric writer."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from ferjax.filesystem import Place
from ferjax.workdir.growing_files import Growing

_RGB = 3  # colours, in TensorBoard's summaries


class Events:
    """A TensorBoard event file of scalars and images; a remote one is uploaded whole at each flush.

    Written by the calling thread, one event per step: several times cheaper than tensorboardX's
    `SummaryWriter`, which hands each scalar to another thread through a process-wide queue.

    A file that a full disk cut off is left behind, and a new one begins with what was not flushed.
    """

    def __init__(self, folder: Place, resume_step: int):
        self._growing = Growing(folder)
        self._resume_step = resume_step
        self._unflushed: list[Event] = []
        self._num_files = 0
        self._file: EventsWriter | None = None
        if resume_step:
            start = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=resume_step + 1, session_log=start))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of one step."""
        summary = Summary(
            value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def images(self, step: int, values: Mapping[str, bytes]) -> None:
        """Writes PNG images of one step."""
        shown = []
        for tag, data in values.items():
            width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
            image = Summary.Image(
                height=height, width=width, colorspace=_RGB, encoded_image_string=data
            )
            shown.append(Summary.Value(tag=tag, image=image))
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=shown)))

    def flush(self) -> None:
        """Writes the events to disk, if that is possible; a later call tries again."""
        with self._retrying():
            if self._file is None:
                self._open()
            assert self._file is not None
            self._file.flush()
            self._growing.publish()
            self._unflushed.clear()

    def close(self, *, publish: bool) -> None:
        """Flushes and closes the file."""
        if publish:
            self.flush()
        with self._retrying():
            if self._file is not None:
                self._file.close()
            self._growing.close(publish=publish)

    def _write(self, event: Event) -> None:
        self._unflushed.append(event)
        if self._file is not None:
            with self._retrying():
                self._file.write_event(event)
        elif not self._num_files:
            with self._retrying():
                self._open()

    def _open(self) -> None:
        # The suffix keeps two starts within one second from sharing a file.
        suffix = f".{self._resume_step}.{os.getpid()}.{self._num_files}"
        self._num_files += 1
        self._file = EventsWriter(str(self._growing.local / "events"), suffix)
        for event in self._unflushed:
            self._file.write_event(event)

    @contextlib.contextmanager
    def _retrying(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            cut_off, self._file = self._file, None
            if cut_off is not None:
                with contextlib.suppress(OSError):
                    cut_off.close()
