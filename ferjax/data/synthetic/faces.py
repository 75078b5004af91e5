"""Synthetic faces: who is seen, in what expression, pose and light, from (seed, index) alone.

Example `index` shows expression `index % 7` on the face of identity `index // 7`. Every quantity is
drawn from a Philox counter keyed with the seed and the index (or the identity), so that an image
does not depend on its batch or on the number of examples. Pixels are computed with sums, products,
quotients and square roots only, which IEEE 754 defines to the last bit; sines of the pose are
rounded from double precision. So every machine renders the same bytes.

B batch, H W C image. Lengths of a face are in units of half its width; x points right, y down, z to
the viewer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Int, UInt8

from ferjax.data.labels import FER2013
from ferjax.data.synthetic import action_units, draws, render

_EXAMPLE_STREAM, _IDENTITY_STREAM = 0, 1
_EXAMPLE_COLUMNS, _IDENTITY_COLUMNS = 112, 64
# Pixels per pass of the renderer. Its arrays stay in the processor's cache, and below the 128 KiB
# from which on glibc's malloc gives memory back to the kernel each time and fetches it by page.
_PIXELS_PER_PASS = 12 * 48 * 48

_LIGHT_SKIN, _DARK_SKIN = np.array([0.97, 0.82, 0.72]), np.array([0.50, 0.33, 0.25])
_LIGHT_HAIR, _DARK_HAIR = np.array([0.85, 0.72, 0.50]), np.array([0.08, 0.06, 0.06])
_LUMINANCE = np.array([0.299, 0.587, 0.114])

Values = Mapping[str, np.ndarray]  # [B] each, colours [B, 3]


def labels_of(indices: Int[np.ndarray, "B"]) -> Int[np.ndarray, "B"]:
    """The expression of each example, an index into `labels.FER2013.names`."""
    return indices % FER2013.num_classes


def identities_of(indices: Int[np.ndarray, "B"]) -> Int[np.ndarray, "B"]:
    """Who is seen in each example: seven in a row are the seven expressions of one person."""
    return indices // FER2013.num_classes


def render_faces(
    indices: Int[np.ndarray, "B"], *, seed: int = 0, image_size: int = 48, channels: int = 1
) -> UInt8[np.ndarray, "B H W C"]:
    """The images of the given examples.

    Args:
      indices: 0 <= index < 2**62; `labels_of` gives their labels.
      seed: the seed of the data set, 0 <= seed < 2**63.
      image_size: H = W in pixels. The same face is seen at every size.
      channels: 1 (luminance) or 3 (RGB).

    Returns:
      uint8 [B, H, W, C].
    """
    images = np.empty((len(indices), image_size, image_size, channels), np.uint8)
    count = max(1, _PIXELS_PER_PASS // image_size**2)
    for start in range(0, len(indices), count):
        block = indices[start : start + count]
        images[start : start + count] = _render_block(block, seed, image_size, channels)
    return images


def _render_block(
    indices: Int[np.ndarray, "B"], seed: int, image_size: int, channels: int
) -> UInt8[np.ndarray, "B H W C"]:
    generators = [draws.philox(seed, _EXAMPLE_STREAM, int(index)) for index in indices]
    example = draws.Draws.of(generators, _EXAMPLE_COLUMNS)
    people, person_of = np.unique(identities_of(indices), return_inverse=True)
    person = draws.Draws.of(
        (draws.philox(seed, _IDENTITY_STREAM, int(identity)) for identity in people),
        _IDENTITY_COLUMNS,
    )
    identity = {name: value[person_of] for name, value in draw_identity(person).items()}
    activations = action_units.draw_activations(labels_of(indices), example)
    view = draw_view(example)
    grain = np.stack(
        [draws.gaussians(generator, image_size * image_size * channels) for generator in generators]
    ).reshape(len(indices), image_size, image_size, channels)
    parameters = {**identity, **deform(identity, activations, view), **view}
    return render.rasterise(_single(parameters, channels), _single_grain(grain, view))


def draw_identity(person: draws.Draws) -> Values:
    """The lasting traits of a person: proportions [B] and colours [B, 3]."""
    skin_tone = person.unit()[:, None]
    hair_tone = person.unit()[:, None]
    skin = _LIGHT_SKIN + (_DARK_SKIN - _LIGHT_SKIN) * skin_tone
    hair = _LIGHT_HAIR + (_DARK_HAIR - _LIGHT_HAIR) * np.maximum(hair_tone, 0.8 * skin_tone)
    grey_hair = person.chance(0.12)[:, None]
    hair = np.where(grey_hair, 0.75 + 0.0 * hair, hair)
    iris_tone = person.unit()[:, None]
    iris = (
        np.array([0.40, 0.55, 0.65]) * (1.0 - iris_tone) + np.array([0.20, 0.10, 0.05]) * iris_tone
    )
    lips = skin * np.array([0.80, 0.52, 0.50]) * person.uniform(0.85, 1.1)[:, None]
    hair_style = person.unit()
    long_hair, bald = hair_style < 0.40, hair_style > 0.90
    beard = person.unit()
    return {
        "skin": skin,
        "hair": hair,
        "iris": iris,
        "lips": lips,
        "face_height": person.peaked(1.18, 1.42),
        "jaw_taper": person.peaked(0.10, 0.42),
        "eye_x": person.peaked(0.36, 0.46),
        "eye_y": person.peaked(-0.14, 0.02),
        "eye_width": person.peaked(0.17, 0.23),
        "eye_height": person.peaked(0.085, 0.125),
        "eye_tilt": person.peaked(-0.18, 0.18),
        "iris_radius": person.peaked(0.085, 0.105),
        "brow_y": person.peaked(-0.42, -0.33),
        "brow_thickness": person.peaked(0.025, 0.07),
        "brow_slope": person.peaked(-0.12, 0.12),
        "brow_arch": person.peaked(0.0, 0.09),
        "brow_density": person.uniform(0.55, 0.95),
        "nose_y": person.peaked(0.30, 0.44),
        "nose_width": person.peaked(0.14, 0.24),
        "mouth_y": person.peaked(0.68, 0.82),
        "mouth_width": person.peaked(0.30, 0.42),
        "mouth_rest": person.peaked(-0.05, 0.05),
        "lip_upper": person.peaked(0.035, 0.085),
        "lip_lower": person.peaked(0.05, 0.11),
        "hair_volume": np.where(bald, 0.0, person.uniform(0.05, 0.28)),
        "hair_length": np.where(long_hair, person.uniform(0.6, 1.8), person.uniform(-0.5, 0.1)),
        "hair_line": np.where(bald, -1.6, person.uniform(-0.98, -0.66)),
        "hair_side": person.uniform(0.84, 1.05),
        "fringe_slant": person.peaked(-0.30, 0.30),
        "beard": np.where(beard < 0.14, person.uniform(0.25, 0.8), 0.0),
        "moustache": np.where((beard > 0.05) & (beard < 0.20), person.uniform(0.4, 0.9), 0.0),
        "glasses": np.where(person.chance(0.15), person.uniform(0.6, 1.0), 0.0),
        "expressiveness": person.uniform(0.85, 1.1),
    }


def draw_view(example: draws.Draws) -> Values:
    """What changes from picture to picture: pose, light, camera, occlusion; [B], colours [B, 3]."""
    view = {
        "shift_x": example.peaked(-0.16, 0.16),
        "shift_y": example.peaked(-0.14, 0.14),
        "scale": example.peaked(
            0.60, 0.84
        ),  # half the face's width, in halves of the image's width
        "roll": example.peaked(-0.30, 0.30),  # radians, like the next two
        "yaw": example.peaked(-0.42, 0.42),
        "pitch": example.peaked(-0.18, 0.18),
        "asymmetry": example.peaked(-0.25, 0.25),
        "gaze_x": example.peaked(-0.10, 0.10),
        "gaze_y": example.peaked(-0.04, 0.04),
        "light_x": example.uniform(-0.8, 0.8),
        "light_y": example.uniform(-0.7, 0.3),
        "ambient": example.uniform(0.45, 0.75),
        "diffuse": example.uniform(0.25, 0.70),
        "contrast": example.uniform(0.80, 1.15),
        "brightness": example.uniform(-0.12, 0.12),
        "blur": example.uniform(0.0, 0.035),  # width of an edge, in halves of the image's width
        "noise": 0.03 * example.unit() * example.unit(),
    }
    backdrop = np.stack([example.unit() for _ in range(3)], axis=1)
    saturation = 0.4
    view["backdrop"] = saturation * backdrop + (1.0 - saturation) * backdrop[:, :1]
    view["backdrop_x"] = example.peaked(-0.35, 0.35)
    view["backdrop_y"] = example.peaked(-0.35, 0.35)
    view["shirt"] = np.stack([example.unit() for _ in range(3)], axis=1)
    # An object reaches in from a random side, or a blob (a hand, a microphone) covers a spot.
    angle = example.uniform(0.0, 2.0 * np.pi)
    view["edge_x"], view["edge_y"] = np.cos(angle), np.sin(angle)
    view["edge_at"] = np.where(example.chance(0.08), example.uniform(0.65, 1.00), 9.0)
    view["blob_x"] = example.uniform(-1.0, 1.0)
    view["blob_y"] = example.uniform(-0.6, 1.2)
    view["blob_radius"] = np.where(example.chance(0.10), example.uniform(0.12, 0.26), -9.0)
    tone = example.uniform(0.05, 0.95)[:, None]
    view["occluder"] = np.repeat(tone, 3, axis=1) * np.array([1.0, 0.92, 0.85])
    return view


def deform(identity: Values, activations: action_units.Activations, view: Values) -> Values:
    """The face's geometry under its action units, float64 [B] each."""
    au = {
        unit: np.clip(intensity * identity["expressiveness"], 0.0, 1.0)
        for unit, intensity in activations.items()
    }
    opening = np.maximum(au[25], 0.6 * au[26])
    return {
        # Together with the raisers the lowerer knits the brows more than it lowers them.
        "brow_inner": 0.16 * au[1] - 0.17 * au[4] * (1.0 - 0.6 * au[1]) - 0.08 * au[9],
        "brow_outer": 0.17 * au[2] - 0.06 * au[4] * (1.0 - 0.6 * au[2]) - 0.02 * au[9],
        "brow_knit": 0.09 * au[4] + 0.03 * au[9],
        "frown_lines": au[4],
        "forehead_lines_inner": np.maximum(au[1] - 0.4 * au[4], 0.0),
        "forehead_lines_outer": au[2],
        "lid_upper": 1.0 + 0.65 * au[5] - 0.22 * au[7] - 0.15 * au[6] - 0.30 * au[9],
        "lid_lower": 0.75 + 0.15 * au[5] - 0.60 * au[7] - 0.75 * au[6] - 0.30 * au[9],
        "cheek": au[6],
        "nose_wrinkle": au[9],
        "nose_lift": 0.07 * au[9] + 0.03 * au[10],
        "furrow": np.clip(0.15 + 0.7 * au[9] + 0.7 * au[12] + 0.6 * au[10], 0.0, 1.0),
        "mouth_half": identity["mouth_width"]
        * (1.0 + 0.38 * au[12] + 0.40 * au[20] - 0.30 * au[23] - 0.28 * au[26] - 0.08 * au[17]),
        "mouth_lift": 0.05 * au[12] + 0.03 * au[17] + 0.04 * au[10] - 0.10 * au[26],
        "corner": identity["mouth_rest"] - 0.26 * au[12] + 0.24 * au[15] + 0.06 * au[20],
        "chin_arch": 0.13 * au[17] + 0.05 * au[15],
        "chin_dent": au[17],
        "gap_upper": 0.05 * opening + 0.11 * au[10],
        "gap_lower": 0.08 * opening + 0.36 * au[26],
        "upper_lip": identity["lip_upper"] * (1.0 - 0.75 * au[23]) * (1.0 - 0.3 * au[12]),
        "lower_lip": identity["lip_lower"] * (1.0 - 0.75 * au[23]) * (1.0 - 0.3 * au[12]),
        "jaw_drop": 0.24 * au[26],
        "roll_cos": np.cos(view["roll"]),
        "roll_sin": np.sin(view["roll"]),
        "yaw_cos": np.cos(view["yaw"]),
        "yaw_sin": np.sin(view["yaw"]),
        "pitch_cos": np.cos(view["pitch"]),
        "pitch_sin": np.sin(view["pitch"]),
    }


def _single(parameters: Values, channels: int) -> Values:
    """Everything as float32; colours as [B, C], luminance for one channel."""
    narrowed = {}
    for name, value in parameters.items():
        if value.ndim == 2 and channels == 1:
            value = (
                value[:, 0] * _LUMINANCE[0]
                + value[:, 1] * _LUMINANCE[1]
                + value[:, 2] * _LUMINANCE[2]
            )[:, None]
        narrowed[name] = value.astype(np.float32)
    return narrowed


def _single_grain(
    grain: Float32[np.ndarray, "B H W C"], view: Values
) -> Float32[np.ndarray, "B H W C"]:
    return grain * view["noise"].astype(np.float32)[:, None, None, None]
