"""Reading stored examples by number: labels and other facts at once, images when indexed.

Pixels that are read are held against the SHA-256 that their record has of them, and whole splits
against the fingerprint of the data set (see `StoredSplit.digest`), with two exceptions: images that
stream, which would be hashed again and again, and a split of JPEG or PNG files of more than
`MOST_DECODED` that is never read as a whole.

Shape letters: N examples, B of them, H W C image, V entries of a ballot.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int, UInt8
from tensorflow_datasets.proto import tf_example_pb2

from ferjax.data.images import decoding
from ferjax.data.storage.fingerprint import example_digest, pixel_hash, split_digest
from ferjax.errors import UserError

# Records that are read at a time; they are in memory twice, as bytes and as arrays.
CHUNK = 4096
# Bytes of pixels up to which files are decoded for the fingerprint alone, which takes seconds.
MOST_DECODED = 512 << 20
# Decoding releases the GIL; reading a chunk of small records does not gain from more threads.
_THREADS = 8


@dataclass(frozen=True)
class Index:
    """The facts about the N examples of a stored split, without their pixels.

    Attributes:
      labels: int32 [N].
      keys: N names.
      pixel_hashes: N times 32 bytes.
      subjects: N names of the persons shown, each "" if not known.
      votes: int32 [N, V], V = 0 for a data set without votes.
    """

    labels: np.ndarray
    keys: tuple[str, ...]
    pixel_hashes: tuple[bytes, ...]
    subjects: tuple[str, ...]
    votes: np.ndarray


class StoredSplit:
    """The records of one stored split, opened when they are first read.

    Args:
      builder: the TFDS builder of a finished data set, for reading.
      name: the name of the split.

    Attributes:
      digest: the digest of the whole split (see `fingerprint.split_digest`), "" before it was read.
    """

    def __init__(self, builder: Any, name: str):
        self._builder, self.name = builder, name
        image = builder.info.features["image"]
        self.image_shape: tuple[int, int, int] = tuple(image.shape)
        self._as_files = isinstance(image, tfds.features.Image)
        self._opened: Any = None
        self.digest = ""
        # The fingerprint of rendered faces leaves their subjects out.
        rendered = (builder.info.metadata or {}).get("source_format") == "rendered"
        self._has_subjects = not rendered

    def __len__(self) -> int:
        return self._builder.info.splits[self.name].num_examples

    def index(self) -> Index:
        """Reads every record once, without keeping pixels; raises as `images` does."""
        return self._read(None)

    def read(self) -> tuple[Index, UInt8[np.ndarray, "N H W C"]]:
        """Reads every record once, images and all; raises as `images` does."""
        with self._readable():
            images = np.empty((len(self), *self.image_shape), np.uint8)
        return self._read(images), images

    def _read(self, images: np.ndarray | None) -> Index:
        facts: list[tuple[Any, ...]] = []
        digests: list[bytes] = []
        is_checked = not self._as_files or len(self) * math.prod(self.image_shape) <= MOST_DECODED
        with self._readable():
            for start in range(0, len(self), CHUNK):
                records = self._records(range(start, min(start + CHUNK, len(self))))
                found = [self._facts(record) for record in records]
                facts += found
                if images is not None:
                    pixels = images[start : start + CHUNK]
                elif is_checked:
                    pixels = np.empty((len(records), *self.image_shape), np.uint8)
                else:
                    continue
                self._decode(records, pixels)
                digests += map(self._digest, pixels, found)
            if len(digests) == len(facts):
                self.digest = split_digest(digests)
            return _index(facts)

    def _digest(self, image: np.ndarray, facts: tuple[Any, ...]) -> bytes:
        label, _, _, subject, votes = facts
        subject = subject if self._has_subjects else ""
        return example_digest(image, label, subject=subject, votes=votes)

    def images(
        self, positions: Int[np.ndarray, " B"], *, threads: int = _THREADS, verify: bool = True
    ) -> UInt8[np.ndarray, "B H W C"]:
        """The images at some positions, in that order; no other is read.

        Args:
          positions: of the images.
          threads: that decode.
          verify: whether the pixels are held against the SHA-256 in their record.

        Raises:
          UserError: the files are damaged.
        """
        out = np.empty((len(positions), *self.image_shape), np.uint8)
        with self._readable():
            for start in range(0, len(positions), CHUNK):
                chunk = positions[start : start + CHUNK].tolist()
                records = self._records(chunk)
                self._decode(records, out[start : start + CHUNK], threads, verify)
        return out

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Turns errors of the record reader into a UserError about damaged files."""
        try:
            yield
        except (OSError, RuntimeError, ValueError, IndexError, MemoryError) as error:
            raise UserError(
                f"the {self.name} split in {self._builder.data_dir} cannot be read ({error}): "
                "delete that folder and prepare it again."
            ) from error

    def _records(self, positions: Sequence[int]) -> list[Any]:
        # Records are parsed here, not by TFDS, which takes six times as long per example.
        if self._opened is None:
            self._opened = self._builder.as_data_source(
                self.name, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
            )
            if len(self._opened) != len(self):
                raise ValueError(f"{len(self._opened)} records found, {len(self)} expected")
        stored = self._opened.__getitems__(list(positions))
        records = [tf_example_pb2.Example.FromString(one).features.feature for one in stored]
        for position, record in zip(positions, records, strict=True):
            # A truncated file gives empty records.
            if "label" not in record:
                raise ValueError(f"record {position} is empty")
        return records

    def _facts(self, record: Any) -> tuple[Any, ...]:
        return (
            record["label"].int64_list.value[0],
            _text(record, "key"),
            bytes.fromhex(_text(record, "pixel_hash")),
            _text(record, "subject"),
            tuple(record["votes"].int64_list.value) if "votes" in record else (),
        )

    def _decode(
        self, records: Sequence[Any], out: np.ndarray, threads: int = _THREADS, verify: bool = True
    ) -> None:
        def one(number: int) -> None:
            data = records[number]["image"].bytes_list.value[0]
            if self._as_files:
                where = _text(records[number], "key")
                out[number] = decoding.decode(data, where, self.image_shape[2])
            else:
                out[number] = np.frombuffer(data, np.uint8).reshape(self.image_shape)
            if verify and pixel_hash(out[number]).hex() != _text(records[number], "pixel_hash"):
                raise ValueError(
                    f"the pixels of {_text(records[number], 'key')} do not have the SHA-256 in "
                    "their record"
                )

        if self._as_files and threads > 1 and len(records) > 1:
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(one, range(len(records))):
                    pass
        else:
            for number in range(len(records)):
                one(number)


class RecordImages:
    """Images that are read from their records when they are indexed; safe to share by threads.

    Args:
      parts: stored splits, and the positions in each that are meant, one part after the other.
    """

    dtype = np.uint8

    def __init__(self, parts: Sequence[tuple[StoredSplit, Int[np.ndarray, " _"]]]):
        self._splits = [split for split, _ in parts]
        self._part = np.concatenate(
            [np.full(len(positions), number) for number, (_, positions) in enumerate(parts)]
        )
        self._position = np.concatenate([positions for _, positions in parts])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return (len(self), *self._splits[0].image_shape)

    def __len__(self) -> int:
        return len(self._position)

    def __getitem__(self, indices: Any, /) -> UInt8[np.ndarray, "B H W C"]:
        """Reads and decodes the images at an array of indices or a slice."""
        part, position = self._part[indices], self._position[indices]
        out = np.empty((len(position), *self.shape[1:]), np.uint8)
        for number, split in enumerate(self._splits):
            rows = np.flatnonzero(part == number)
            if len(rows):
                # The caller already reads in several threads.
                out[rows] = split.images(position[rows], threads=1, verify=False)
        return out


def _text(record: Any, field: str) -> str:
    return record[field].bytes_list.value[0].decode()


def _index(facts: Sequence[tuple[Any, ...]]) -> Index:
    labels, keys, pixel_hashes, subjects, votes = zip(*facts, strict=True) if facts else ((),) * 5
    return Index(
        labels=np.asarray(labels, np.int32),
        keys=tuple(keys),
        pixel_hashes=tuple(pixel_hashes),
        subjects=tuple(subjects),
        votes=np.asarray(votes, np.int32).reshape(len(facts), -1),
    )
