"""How many files a second a host decodes, by threads and by grain's reader processes.

    python -m tests.measure.input_speed [--workers=1,2] [--batches=120] [--data_dir=DIR]

Reads 224x224 colour JPEG files of 90 % quality, made on first use, in batches of 64 as
`placement=stream` does. Prints for each number of workers images/s with so many threads in one
process, and with so many processes of one thread each (grain's `mp_prefetch`).
"""

import argparse
import dataclasses
import tempfile
import time

import grain
import numpy as np
from absl import flags

from ferjax.data.dataset import open_dataset

BATCH_SIZE = 64
OPTIONS = {
    "image_size": 224,
    "channels": 3,
    "jpeg_quality": 90,
    "num_train": 2100,
    "num_validation": 7,
    "num_test": 7,
}


@dataclasses.dataclass
class Reader:
    """Reads the pixels of a batch by its number; each process opens the data set for itself."""

    data_dir: str
    examples: object = None

    def __call__(self, number):
        if self.examples is None:
            self.examples = opened(self.data_dir)
        order = np.random.default_rng(number).permutation(len(self.examples))
        return self.examples.images[order[:BATCH_SIZE]]

    def __getstate__(self):
        return {"data_dir": self.data_dir, "examples": None}


def opened(data_dir):
    return open_dataset("synthetic", data_dir, **OPTIONS).load("train", in_memory=False)


def batches(reader, *, threads=1, processes=0):
    """An iterator of many batches of pixels."""
    dataset = grain.MapDataset.range(100_000).map(reader)
    dataset = dataset.to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    )
    if processes:
        options = grain.MultiprocessingOptions(num_workers=processes, per_worker_buffer_size=2)
        dataset = dataset.mp_prefetch(options)
    return iter(dataset)


def images_per_second(iterator, count):
    """After as many batches again, in which processes start and buffers fill."""
    for _ in range(count):
        next(iterator)
    start = time.perf_counter()
    for _ in range(count):
        next(iterator)
    seconds = time.perf_counter() - start
    if hasattr(iterator, "close"):
        iterator.close()
    return count * BATCH_SIZE / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--batches", type=int, default=120)
    parser.add_argument("--data_dir")
    arguments = parser.parse_args()
    flags.FLAGS.mark_as_parsed()  # grain's processes read flags
    with tempfile.TemporaryDirectory() as folder:
        data_dir = arguments.data_dir or folder
        examples = opened(data_dir)
        print(f"{'workers':>7}  {'threads':>8}  {'processes':>9}   images/s")
        for workers in map(int, arguments.workers.split(",")):
            by_threads = batches(Reader(data_dir, examples), threads=workers)
            threads = images_per_second(by_threads, arguments.batches)
            by_processes = batches(Reader(data_dir), processes=workers)
            processes = images_per_second(by_processes, arguments.batches)
            print(f"{workers:>7}  {threads:>8,.0f}  {processes:>9,.0f}", flush=True)


if __name__ == "__main__":
    main()
