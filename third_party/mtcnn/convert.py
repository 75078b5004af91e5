"""Converts the published weights of MTCNN to the file that ferjax carries.

    pip download --no-deps mtcnn==1.0.0 && unzip mtcnn-1.0.0-py3-none-any.whl 'mtcnn/assets/*'
    pip install joblib lz4
    python third_party/mtcnn/convert.py mtcnn/assets/weights OUTPUT.safetensors

The published files are pickles: a file of another checksum is not opened. Convolutions stay
[height, width, in, out]. The first dense layer of RNet and of ONet reads its maps column by
column; its rows are sorted, so that it reads them as they lie in memory.
"""

import hashlib
import io
import sys
from pathlib import Path

import joblib
import numpy as np
from safetensors.numpy import save

# The checksum of each file, its layers in the order of the file, and the side of the maps that the
# first dense layer reads.
NETWORKS = {
    "pnet": (
        "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        ("conv1", "conv2", "conv3", "box", "score"),
        None,
    ),
    "rnet": (
        "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
        ("conv1", "conv2", "conv3", "dense", "box", "score"),
        3,
    ),
    "onet": (
        "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
        ("conv1", "conv2", "conv3", "conv4", "dense", "box", "points", "score"),
        3,
    ),
}
LINEAR = ("box", "points", "score")  # the others are followed by a PReLU


def main(source: Path, target: Path) -> None:
    """Writes the file of all three networks."""
    arrays = {}
    for network, (checksum, layers, side) in NETWORKS.items():
        data = (source / f"{network}.lz4").read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != checksum:
            sys.exit(f"{source / network}.lz4 has the SHA-256 {found}, expected {checksum}")
        given = iter(joblib.load(io.BytesIO(data)))
        for layer in layers:
            kernel = next(given)
            if layer == "dense":
                kernel = kernel.reshape(side, side, -1, kernel.shape[1])
                kernel = kernel.swapaxes(0, 1).reshape(-1, kernel.shape[-1])
            arrays[f"{network}.{layer}.kernel"] = kernel
            arrays[f"{network}.{layer}.bias"] = next(given)
            if layer not in LINEAR:
                arrays[f"{network}.{layer}.slope"] = next(given).reshape(-1)
        assert next(given, None) is None
    tidy = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    target.write_bytes(save(tidy))
    print(f"{target}: {target.stat().st_size:,} bytes, SHA-256 {_sha256(target)}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
