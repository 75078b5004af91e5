"""Reads TensorBoard's event files."""

import struct
from pathlib import Path
from typing import NamedTuple

from tensorboardX.proto.event_pb2 import Event


class Shown(NamedTuple):
    """An image."""

    step: int
    tag: str
    png: bytes


def events(folder: Path) -> list[Event]:
    """All events, file after file."""
    found = []
    for file in sorted(folder.iterdir()):
        data, at = file.read_bytes(), 0
        while at < len(data):  # length, its checksum, event, its checksum
            (length,) = struct.unpack_from("<Q", data, at)
            found.append(Event.FromString(data[at + 12 : at + 12 + length]))
            at += 12 + length + 4
    return found


def images(folder: Path) -> list[Shown]:
    """All images."""
    return [
        Shown(event.step, value.tag, value.image.encoded_image_string)
        for event in events(folder)
        for value in event.summary.value
        if value.WhichOneof("value") == "image"
    ]
