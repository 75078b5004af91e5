"""Where faces lie in the images that a run trains on."""

from __future__ import annotations

import json

import numpy as np

from ferjax.data.run_data import RunData
from ferjax.distributed import processes
from ferjax.inference.faces import measuring
from ferjax.inference.faces.alignment import Framing

# By what decides which images train: runs of one process often share it.
_MEASURED: dict[tuple[str, str], Framing | None] = {}


def framing(data: RunData) -> Framing | None:
    """Measures it once for each data set, in the process that saves checkpoints.

    Returns:
      None in other processes, and where few images show a face that is found.
    """
    if not processes.is_main():
        return None
    source = data.source
    key = source.fingerprint, json.dumps(source.options, sort_keys=True)
    if key not in _MEASURED:
        images = data.examples("train").images
        _MEASURED[key] = measuring.measure(images, np.arange(len(images)))
    return _MEASURED[key]
