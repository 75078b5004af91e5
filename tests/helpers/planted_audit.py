"""Small splits with every kind of finding in them, and the audit of such splits."""

import base64
import io

import numpy as np
from PIL import Image

from ferjax.data.audit import audit, image_scan, near_duplicates
from ferjax.data.audit.findings import find
from ferjax.data.audit.pooled import Pool
from ferjax.data.examples import Examples
from ferjax.data.storage.fingerprint import pixel_hash
from tests.helpers.planted import scaled, shifted, synthetic

FACES = synthetic(12)[..., None]
CLASSES = ("angry", "happy", "<b>odd</b>")


def examples(images, labels, keys=None, subjects=()):
    images = np.stack(images)
    return Examples(
        images=images,
        labels=np.asarray(labels, np.int32),
        keys=tuple(keys or (f"image {number}" for number in range(len(images)))),
        pixel_hashes=tuple(map(pixel_hash, images)),
        subjects=tuple(subjects),
    )


def brighter(image):
    return scaled(image[..., 0], 1.1)[..., None]


def moved(image):
    return shifted(image[..., 0], 2, -2)[..., None]


def flat(value):
    return np.full((48, 48, 1), value, np.uint8)


# Rows 0 to 4, 5 to 6, 7 to 11.
SPLITS = {
    "train": examples([FACES[0], FACES[1], FACES[0], FACES[2], flat(0)], [0, 1, 1, 0, 0]),
    "validation": examples([FACES[3], FACES[2]], [2, 0]),
    "test": examples([FACES[0], brighter(FACES[1]), FACES[4], moved(FACES[4]), FACES[4]], [0] * 5),
}


def audited(splits, **fields):
    pool = Pool(splits)
    scan = image_scan.scan(pool, pool.first)
    pairs = near_duplicates.find(scan.greys)
    findings = find(pool, scan, pairs, len(CLASSES), 5.0)
    return audit.Audit(
        **{
            "dataset": "planted",
            "title": "Planted",
            "fingerprint": "0" * 64,
            "options": {},
            "remark": "",
            "classes": CLASSES,
            "pool": pool,
            "findings": findings,
        }
        | fields
    )


def thumbnail_of(uri):
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))
