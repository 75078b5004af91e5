"""Writes mtcnn.npz: what the published MTCNN says of windows and of photographs.

    pip install mtcnn==1.0.0 tensorflow-cpu lz4 joblib scikit-image
    python tests/golden/make_mtcnn.py

Run it in an environment of its own: TensorFlow is no dependency of ferjax. The windows are parts of
photographs that come with scikit-image; `windows` of tests/inference/faces/test_mtcnn.py cuts the
same ones.
"""

from pathlib import Path

import numpy as np
import skimage.data
from mtcnn import MTCNN
from mtcnn.network.onet import ONet
from mtcnn.network.pnet import PNet
from mtcnn.network.rnet import RNet
from mtcnn.utils.tensorflow import load_weights

PHOTOGRAPHS = ("astronaut", "camera")


def windows(side):
    """Squares of a photograph around its face and elsewhere, uint8 [12, side, side, 3]."""
    photo = skimage.data.astronaut()
    corners = [(52 + 5 * k, 150 + 6 * k) for k in range(6)] + [(20, 60 * k) for k in range(6)]
    # Every second or third pixel: the face fills a window about as it does in use.
    step = 132 // side
    return np.stack([photo[y::step, x::step][:side, :side] for y, x in corners])


def main():
    made = {}
    for network, side in ((PNet, 44), (RNet, 24), (ONet, 48)):
        model = network()
        model.build()
        name = network.__name__.lower()
        model.set_weights(load_weights(f"{name}.lz4"))
        told = model((windows(side).astype(np.float32) - 127.5) / 128)
        names = ("offsets", "scores") if len(told) == 2 else ("offsets", "points", "scores")
        for part, values in zip(names, told, strict=True):
            made[f"{name}.{part}"] = np.asarray(values)[..., 1] if part == "scores" else values
    detector = MTCNN()
    for name in PHOTOGRAPHS:
        photo = getattr(skimage.data, name)()
        photo = photo if photo.ndim == 3 else np.stack([photo] * 3, axis=-1)
        for number, face in enumerate(detector.detect_faces(photo, threshold_onet=0.8)):
            x, y, width, height = face["box"]
            eyes = [face["keypoints"][eye] for eye in ("left_eye", "right_eye")]
            row = [x, y, x + width, y + height, *np.ravel(eyes), face["confidence"]]
            made[f"{name}.{number}"] = np.array(row, np.float32)
    arrays = {name: np.asarray(array, np.float32) for name, array in made.items()}
    np.savez_compressed(Path(__file__).parent / "mtcnn.npz", **arrays)
    for name, array in arrays.items():
        print(name, array.shape, array.ravel()[:9])


if __name__ == "__main__":
    main()
