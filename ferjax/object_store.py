"""The object store behind gs://: its client, its errors, and what is said while it is awaited."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from ferjax.errors import UserError, literal

SLOW_SECONDS = 5.0  # until it is said what a command waits for


def client() -> Any:
    """The file system behind gs://, the one that epath uses too; a UserError without gcsfs."""
    if importlib.util.find_spec("gcsfs") is None:
        raise UserError(
            "Paths that begin with gs:// need gcsfs, which is not installed: pip install "
            "'ferjax[gcs]'."
        )
    # Before gcsfs is imported: it would ask over gRPC of what kind each bucket is, which takes
    # minutes where that way is closed. Set to true, it knows zonal buckets.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import fsspec
    import fsspec.config

    # Checkpoints are written past gcsfs, which would go on believing an older listing.
    fsspec.config.conf.setdefault("gcs", {}).setdefault("use_listings_cache", False)
    log = logging.getLogger("gcsfs")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)  # its tracebacks; its errors are raised
    return fsspec.filesystem("gcs", finalize_on_close=True)


@contextlib.contextmanager
def asked(place: str | os.PathLike[str]) -> Iterator[None]:
    """Turns errors of gcsfs and the libraries below it into an OSError that names the place.

    Says what it waits for: without a network, gcsfs tries for half a minute.
    """
    said = f"waiting for {literal(os.fspath(place))}"
    slow = threading.Timer(SLOW_SECONDS, print, [said], {"file": sys.stderr, "flush": True})
    slow.daemon = True
    slow.start()
    try:
        yield
    except (OSError, UserError):
        raise
    except Exception as error:
        text = str(error) or type(error).__name__
        raise OSError(errno.EIO, text.splitlines()[0][:200], os.fspath(place)) from error
    finally:
        slow.cancel()
