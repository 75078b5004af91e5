"""SHA-256 of the content of a checkpoint, so that a changed byte is refused.

A digest depends on the values alone, not on the files, the devices or the processes that hold them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def of_arrays(tree: Any) -> str:
    """The digest of a pytree of arrays: of the path, type, shape and bytes of each.

    Every process of a run calls it, because arrays may be split over processes.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = {jax.tree_util.keystr(path): _on_host(leaf) for path, leaf in leaves}
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        digests = dict(zip(named, pool.map(_of_array, named.values()), strict=True))
    total = hashlib.sha256()
    for name, digest in sorted(digests.items()):
        total.update(f"{name} {named[name].dtype} {named[name].shape} {digest}\n".encode())
    return total.hexdigest()


def of_json(fields: Mapping[str, Any]) -> str:
    """The digest of a JSON object, whatever the order of its keys."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _on_host(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        if not leaf.is_fully_replicated:
            return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))
        leaf = leaf.addressable_data(0)
    return np.asarray(leaf)


def _of_array(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()
