"""Draws faces into pixels: signed distances in face coordinates, turned into smooth coverage.

Both halves of the face are drawn at once through |x|; asymmetry enters as terms in x.
B batch, H W C image.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, UInt8

Parameters = Mapping[str, np.ndarray]
Plane = Float32[np.ndarray, "B H W"]

_SKULL = np.float32(1.3)  # half the head's height, for the curvature of its surface


class Canvas:
    """Pixels being painted, and the coordinates of every pixel on the face.

    Attributes:
      u, v: in the head's frame, roll, shift and scale undone, float32 [B, H, W].
      x, y: on the face's surface, yaw and pitch undone too, float32 [B, H, W].
      side: |x|.
      depth: how far the surface stands out, 1 at the middle, 0 at the rim.
      planes: C arrays float32 [B, H, W], in 0..1.
    """

    def __init__(self, p: Parameters, size: int, channels: int):
        self._p = p
        count = len(p["scale"])
        # Of a pixel's centre, over -1..1.
        grid = ((2.0 * np.arange(size) + 1.0) / size - 1.0).astype(np.float32)
        column, row = grid[None, None, :], grid[None, :, None]
        inverse = 1.0 / self["scale"]
        dx, dy = (column - self["shift_x"]) * inverse, (row - self["shift_y"]) * inverse
        self.u = dx * self["roll_cos"] + dy * self["roll_sin"]
        self.v = dy * self["roll_cos"] - dx * self["roll_sin"]
        flat = self.v * (1.0 / _SKULL)
        self.depth = np.sqrt(np.maximum(1.0 - self.u * self.u - flat * flat, 0.0))
        self.x = self.u * self["yaw_cos"] - self.depth * self["yaw_sin"]
        self.y = self.v * self["pitch_cos"] - self.depth * self["pitch_sin"]
        self.side = np.abs(self.x)
        self._sharpness = 1.0 / ((2.0 / size + self["blur"]) * inverse)
        self.column, self.row = column, row
        self.planes = [np.zeros((count, size, size), np.float32) for _ in range(channels)]

    def __getitem__(self, name: str) -> Float32[np.ndarray, "B 1 1"]:
        """A parameter, shaped to broadcast over the pixels."""
        return self._p[name][:, None, None]

    def inside(self, distance: Plane) -> Plane:
        """Coverage of the region where `distance` (overwritten) is positive."""
        distance *= self._sharpness
        distance += np.float32(0.5)
        return np.clip(distance, 0.0, 1.0, out=distance)

    def line(self, distance: Plane, half_width: float) -> Plane:
        """Coverage of a stroke, |distance| < half_width; faint where it is thinner than a pixel.

        It is the overlap of the stroke and the pixel, both seen across the stroke.
        """
        half = half_width * self._sharpness
        overlap = half + np.float32(0.5) - np.abs(distance) * self._sharpness
        return np.clip(overlap, 0.0, np.minimum(2.0 * half, 1.0), out=overlap)

    def paint(self, coverage: Plane, colour: Float32[np.ndarray, "B C"]) -> None:
        """Lays a colour over the pixels."""
        for channel, plane in enumerate(self.planes):
            step = colour[:, channel, None, None] - plane
            step *= coverage
            plane += step

    def darken(self, coverage: Plane, amount: Float32[np.ndarray, "B #H #W"] | float) -> None:
        """Multiplies the pixels by 1 - amount * coverage (both 0..1): wrinkles and shadows."""
        factor = 1.0 - amount * coverage
        for plane in self.planes:
            plane *= factor


def rasterise(
    parameters: Parameters, grain: Float32[np.ndarray, "B H W C"]
) -> UInt8[np.ndarray, "B H W C"]:
    """Paints one face per row of the parameters.

    Args:
      parameters: values by name, made in `faces`: float32 [B], colours [B, C].
      grain: the camera's noise, added at the end, float32 [B, H, W, C] in units of the full range.

    Returns:
      uint8 [B, H, W, C].
    """
    size, channels = grain.shape[1], grain.shape[3]
    canvas = Canvas(parameters, size, channels)
    for plane, tone in zip(canvas.planes, np.moveaxis(parameters["skin"], 1, 0), strict=True):
        plane += tone[:, None, None]
    _nose(canvas)
    _forehead(canvas)
    _beard(canvas, parameters)
    _mouth(canvas, parameters)
    _eyes(canvas, parameters)
    _brows(canvas, parameters)
    _hair(canvas, parameters)
    _light(canvas)
    _backdrop(canvas, parameters)
    _occlusion(canvas, parameters)
    images = np.stack(canvas.planes, axis=-1)
    images -= 0.5
    images *= parameters["contrast"][:, None, None, None]
    images += 0.5 + parameters["brightness"][:, None, None, None]
    images += grain
    return np.clip(images * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8)


def _eyes(c: Canvas, p: Parameters) -> None:
    dx = c.side - c["eye_x"]
    across = dx * (1.0 / c["eye_width"])
    bow = 1.0 - across * across
    dy = c.y - c["eye_y"] + c["eye_tilt"] * dx
    lid = 1.0 + c["asymmetry"] * c.x
    upper = dy + (c["eye_height"] * np.maximum(c["lid_upper"], 0.12)) * lid * bow
    lower = (c["eye_height"] * np.maximum(c["lid_lower"], 0.02)) * bow - dy
    ball = c.inside(np.minimum(upper, lower))
    c.paint(ball, np.full_like(p["skin"], 0.95))
    gaze = np.where(c.x < 0.0, -c["gaze_x"], c["gaze_x"])
    ix, iy = dx - gaze, dy + 0.02 - c["gaze_y"]
    from_pupil = np.sqrt(ix * ix + iy * iy)
    c.paint(c.inside(c["iris_radius"] - from_pupil) * ball, p["iris"])
    c.paint(c.inside(0.5 * c["iris_radius"] - from_pupil) * ball, np.zeros_like(p["skin"]))
    ends = c.inside(1.1 * c["eye_width"] - np.abs(dx))
    c.darken(c.line(upper, 0.028) * ends, 0.75)
    c.darken(c.line(lower, 0.012) * ends, 0.45)
    # Raised cheeks push a fold up under the eye and fan lines out of its outer corner.
    c.darken(c.line(dy - 0.17 * bow - 0.05, 0.02) * ends, 0.5 * c["cheek"])
    outside = c.inside(0.12 - np.abs(dx - 1.7 * c["eye_width"]))
    c.darken(c.line(np.abs(dy) - 0.4 * (dx - c["eye_width"]), 0.015) * outside, 0.6 * c["cheek"])
    rim = c.line(np.sqrt(dx * dx + dy * dy * 1.4) - 0.30, 0.03)
    bridge = c.line(c.y - c["eye_y"] + 0.04, 0.025) * c.inside(0.12 - c.side)
    c.darken(np.maximum(rim, bridge), c["glasses"])


def _brows(c: Canvas, p: Parameters) -> None:
    inner_end = 0.17 - c["brow_knit"]
    along = (c.side - inner_end) * (1.0 / (0.72 - inner_end))
    lift = c["brow_inner"] * (1.0 - along) + c["brow_outer"] * along
    lift = lift * (1.0 - c["asymmetry"] * c.x) + c["brow_arch"] * (4.0 * along * (1.0 - along))
    dy = c.y - c["brow_y"] + lift - c["brow_slope"] * (along - 0.5)
    thickness = c["brow_thickness"] * (1.25 - 0.6 * along)
    ends = np.minimum(along, 1.0 - along) * (0.72 - inner_end)
    coverage = c.inside(np.minimum(thickness - np.abs(dy), ends))
    c.paint(coverage * c["brow_density"], 0.7 * p["hair"])
    between = c.inside(0.15 - np.abs(c.y - c["brow_y"] - 0.10))
    c.darken(c.line(c.side - 0.055, 0.02) * between, 0.6 * c["frown_lines"])


def _forehead(c: Canvas) -> None:
    arch = 0.10 * c.x * c.x
    first, second = c.y + 0.62 - arch, c.y + 0.76 - arch
    lines = c.line(first, 0.018) + c.line(second, 0.018)
    middle = c.inside(0.35 - c.side)
    lateral = c.inside(0.70 - c.side)
    c.darken(lines * middle, 0.45 * c["forehead_lines_inner"])
    c.darken(lines * (lateral - middle), 0.45 * c["forehead_lines_outer"])


def _nose(c: Canvas) -> None:
    dy = c.y - c["nose_y"] + c["nose_lift"]
    width = c["nose_width"] * (1.0 + 0.2 * c["nose_wrinkle"])
    slope = np.clip(0.35 + 0.65 * (1.0 + dy * 2.0), 0.3, 1.0) * width
    bridge = c.inside(np.minimum(-dy, dy + 0.45))
    # The flank turned away from the light is the darker one.
    away = np.where(c.x * c["light_x"] < 0.0, np.float32(0.30), np.float32(0.12))
    c.darken(c.line(c.side - slope, 0.03) * bridge, away)
    c.darken(c.line(dy - 0.03 + 0.8 * c.side * c.side, 0.025) * c.inside(width - c.side), 0.35)
    nx = c.side - 0.5 * width
    c.darken(c.inside(0.045 - np.sqrt(nx * nx + dy * dy)), 0.65)
    wrinkled = c.inside(0.20 - c.side)
    fold = c.y - c["eye_y"] - 0.5 * c.side
    wrinkles = c.line(fold - 0.02, 0.02) + c.line(fold - 0.14, 0.02)
    c.darken(wrinkles * wrinkled, 0.65 * c["nose_wrinkle"])
    below = dy - 0.02
    furrow = c.side - width - 0.06 - 0.45 * below
    span = c.inside(np.minimum(below + 0.08, 0.36 - below))
    c.darken(c.line(furrow, 0.022) * span, 0.5 * c["furrow"])


def _mouth(c: Canvas, p: Parameters) -> None:
    across = c.x * (1.0 / c["mouth_half"])
    square = across * across
    bow = 1.0 - square
    # Beyond the corners bow is negative: the lips have crossed, and nothing is inside.
    bend = c["corner"] * (1.0 + 1.2 * c["asymmetry"] * c.x)
    dy = c.y - c["mouth_y"] + c["mouth_lift"] - bend * (square - 0.5) + c["chin_arch"] * bow
    top = dy + (c["gap_upper"] + c["upper_lip"]) * bow
    bottom = (c["gap_lower"] + c["lower_lip"]) * bow - dy
    c.paint(c.inside(np.minimum(top, bottom)), p["lips"])
    above, below = dy + c["gap_upper"] * bow, c["gap_lower"] * bow - dy
    ends = c["mouth_half"] - np.abs(c.x)
    hole = c.inside(np.minimum(np.minimum(above, below) + 0.016, ends))
    c.paint(hole, 0.25 * p["lips"])
    teeth = c.inside(np.minimum(np.minimum(above, below) - 0.01, 0.11 - above))
    # A gap thinner than a pixel still covers half of it: let the teeth fade with the gap.
    shown = np.minimum(12.0 * (c["gap_upper"] + c["gap_lower"]), 1.0)
    c.paint(teeth * hole * shown, np.full_like(p["skin"], 0.93))
    # The shadow under the lower lip, and the dent of a raised chin.
    c.darken(c.line(bottom + 0.07, 0.03) * c.inside(0.5 * c["mouth_half"] - np.abs(c.x)), 0.25)
    chin = c.y - c["mouth_y"] - 0.30 + 0.5 * c.x * c.x
    c.darken(c.line(chin, 0.035) * c.inside(0.2 - c.side), 0.45 * c["chin_dent"])


def _beard(c: Canvas, p: Parameters) -> None:
    jaw = c.inside(c.y - 0.55 + 0.45 * np.maximum(c.side - 0.5, 0.0) - 0.3 * (1.0 - c.side))
    c.paint(jaw * c["beard"], p["hair"])
    lip = c.y - c["mouth_y"] + c["mouth_lift"] + 0.16 - 0.2 * c.side
    moustache = c.line(lip, 0.055) * c.inside(0.32 - c.side)
    c.paint(moustache * c["moustache"], p["hair"])


def _outline(c: Canvas) -> Plane:
    """Distance to the rim of the head, positive inside."""
    low = np.maximum(c.v, 0.0)
    width = 1.0 - c["jaw_taper"] * low * low * 0.6
    half = np.where(c.v < 0.0, _SKULL, c["face_height"] + c["jaw_drop"])
    a, b = c.u / width, c.v / half
    return 0.5 * (1.0 - a * a - b * b)


def _hair(c: Canvas, p: Parameters) -> None:
    hairline = c["hair_line"] + c["fringe_slant"] * c.x + 0.35 * c.x * c.x
    front = np.maximum(hairline - c.y, np.minimum(c.side - c["hair_side"], c["hair_length"] - c.y))
    c.paint(c.inside(front), p["hair"])


def _light(c: Canvas) -> None:
    lit = c["light_x"] * c.u + c["light_y"] * c.v + 0.8 * c.depth
    shade = c["ambient"] + c["diffuse"] * np.maximum(lit, 0.0)
    for plane in c.planes:
        plane *= shade


def _backdrop(c: Canvas, p: Parameters) -> None:
    """Puts the head before a wall, hair at the back, neck and shoulders."""
    head = c.inside(_outline(c))
    faces, c.planes = c.planes, []
    ramp = c["backdrop_x"] * c.column + c["backdrop_y"] * c.row
    for tone in np.moveaxis(p["backdrop"], 1, 0):
        c.planes.append(np.broadcast_to(tone[:, None, None] + ramp, head.shape).copy())
    volume = 1.0 + c["hair_volume"]
    a, b = c.u / volume, np.minimum(c.v, 0.0) / (_SKULL * volume)
    back = np.minimum(0.5 * (1.0 - a * a - b * b), c["hair_length"] + 0.1 - c.v)
    shade = (p["ambient"] + 0.3 * p["diffuse"])[:, None]
    c.paint(c.inside(back), shade * p["hair"])
    side = np.abs(c.u)
    c.paint(c.inside(np.minimum(0.52 - side, c.v - 0.5)), 0.75 * shade * p["skin"])
    c.paint(c.inside(c.v - 1.45 - 0.35 * np.maximum(side - 0.4, 0.0)), p["shirt"])
    for plane, face in zip(c.planes, faces, strict=True):
        face -= plane
        face *= head
        plane += face


def _occlusion(c: Canvas, p: Parameters) -> None:
    c.paint(c.inside(c["edge_x"] * c.u + c["edge_y"] * c.v - c["edge_at"]), p["occluder"])
    dx, dy = c.u - c["blob_x"], c.v - c["blob_y"]
    c.paint(c.inside(c["blob_radius"] - np.sqrt(dx * dx + dy * dy)), p["occluder"])
