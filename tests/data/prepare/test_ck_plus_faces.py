"""Where the faces of CK+ are cut out of their frames, in numbers."""

import numpy as np

from ferjax.data.prepare.readers.ck_plus import faces
from tests.helpers.fake_ck_plus import landmarks


def test_the_square_of_a_tall_box():
    # 30 high: a side of 39, a quarter of 30 above the brows and a twentieth below the chin.
    np.testing.assert_allclose(faces.square(landmarks((10, 20, 30, 50))), (0.5, 12.5, 39))


def test_the_square_of_a_wide_box():
    np.testing.assert_allclose(faces.square(landmarks((10, 20, 50, 40))), (4, 0, 52))


def test_a_planted_face_is_where_it_belongs():
    frame = np.zeros((490, 640, 1), np.uint8)
    frame[180:280, 200:300] = 255
    face = faces.crop(frame, landmarks((200, 180, 300, 280)), 130)
    expected = np.zeros((130, 130, 1), np.uint8)
    expected[25:125, 15:115] = 255
    np.testing.assert_array_equal(face, expected)


def test_a_crop_keeps_fractions_of_a_pixel_when_it_is_resized():
    frame = np.zeros((490, 640, 1), np.uint8)
    frame[180:280, 200:300] = 255
    face = faces.crop(frame, landmarks((200, 180, 300, 280)), 48)
    share = (face[:, :, 0] / 255).sum() / 48**2
    np.testing.assert_allclose(share, (100 / 130) ** 2, rtol=2e-3)
    rows = np.flatnonzero(face[:, 24, 0] > 127)
    assert (rows[0], rows[-1]) == (round(25 / 130 * 48), round(125 / 130 * 48) - 1)


def test_a_square_that_leaves_the_frame_repeats_its_edge():
    frame = np.arange(200, dtype=np.uint8)[:, None, None] + np.zeros((200, 200, 1), np.uint8)
    # The square begins 20 rows above the frame and 10 columns left of it.
    face = faces.crop(frame, landmarks((5, 5, 105, 105)), 130)
    rows = np.clip(np.arange(-20, 110), 0, None)
    np.testing.assert_array_equal(face[:, :, 0], np.repeat(rows[:, None], 130, axis=1))
    # And at the right edge, where columns count.
    sideways = frame.transpose(1, 0, 2).copy()
    face = faces.crop(sideways, landmarks((95, 60, 195, 160)), 130)
    columns = np.clip(np.arange(80, 210), None, 199)
    np.testing.assert_array_equal(face[:, :, 0], np.repeat(columns[None], 130, axis=0))


def test_a_small_face_is_enlarged_smoothly():
    frame = np.full((49, 64, 1), 77, np.uint8)
    face = faces.crop(frame, landmarks((24, 18, 40, 38)), 128)
    assert face.shape == (128, 128, 1)
    assert (face == 77).all()
