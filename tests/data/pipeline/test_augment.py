"""Augmentation: exact geometry, the right frequencies, randomness keyed by the example alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from ferjax.data.pipeline import augment, geometry
from ferjax.data.pipeline.augment import Augmentation, example_keys

SIZE = 12


def keys(count, *, seed=0, epoch=0):
    return example_keys(seed, jnp.int32(epoch), jnp.arange(count, dtype=jnp.int32))


def images(count, channels=1):
    grey = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, channels))
    return jnp.asarray(grey, jnp.float32)


def shifted(image, dy, dx):
    """The image moved by whole pixels, edges repeated: the definition, by padding and cropping."""
    reach = 4
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return padded[reach + dy : reach + dy + SIZE, reach + dx : reach + dx + SIZE]


def test_no_augmentation_changes_nothing():
    batch = images(3)
    np.testing.assert_array_equal(Augmentation()(batch, keys(3)), batch)


def test_shift_and_flip_give_exactly_the_moved_images():
    batch = images(40, channels=3)
    out = np.asarray(Augmentation(shift=2, flip=0.5)(batch, keys(40)))
    found = set()
    for before, after in zip(np.asarray(batch), out, strict=True):
        matches = [
            (dy, dx, flip)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            for flip in (False, True)
            if np.array_equal(
                after, shifted(before, dy, dx)[:, ::-1] if flip else shifted(before, dy, dx)
            )
            or np.array_equal(after, shifted(before[:, ::-1], dy, dx) if flip else after * np.nan)
        ]
        assert matches, "an image that is none of the moved ones"
        found.add(matches[0])
    assert len(found) > 15


def test_rotation_by_zero_equals_the_exact_path():
    batch = images(16)
    exact = Augmentation(shift=3, flip=0.5)(batch, keys(16))
    resampled = Augmentation(shift=3, flip=0.5, rotation=30.0, rotation_probability=0.0)
    np.testing.assert_allclose(resampled(batch, keys(16)), exact, atol=1e-3)


def test_rotation_turns_a_quarter_exactly():
    image = images(1)[0]
    out = geometry.resample(
        image, jnp.zeros(2, jnp.int32), jnp.array(False), jnp.float32(np.pi / 2)
    )
    np.testing.assert_allclose(out, np.rot90(np.asarray(image), 3), atol=0.1)


def moved(image, *, flip, factor, shift, angle):
    """Mirror, magnify, shift, rotate as one affine map, by SciPy: the definition, in matrices."""
    mirror = np.diag([1.0, -1.0 if flip else 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([(SIZE - 1) / 2] * 2)
    matrix = mirror @ turn / factor
    offset = mirror @ np.asarray(shift) / factor + middle - matrix @ middle
    return ndimage.affine_transform(image[..., 0], matrix, offset, order=1, mode="nearest")


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_one_resampling_mirrors_magnifies_shifts_and_rotates_in_this_order(flip, factor):
    image = images(1)[0]
    out = geometry.resample(
        image,
        jnp.array([2.0, -1.0]),
        jnp.array(flip),
        jnp.float32(0.3),
        factor=jnp.float32(factor),
    )
    expected = moved(
        np.asarray(image, np.float64), flip=flip, factor=factor, shift=[2.0, -1.0], angle=0.3
    )
    np.testing.assert_allclose(out[..., 0], expected, atol=0.02)


def test_scale_magnifies_by_factors_drawn_evenly_from_its_range():
    # A ramp stays a ramp, and its slope is divided by the factor.
    ramp = jnp.broadcast_to(10.0 * jnp.arange(SIZE, dtype=jnp.float32)[:, None], (SIZE, SIZE))
    batch = jnp.broadcast_to(ramp[None, :, :, None], (300, SIZE, SIZE, 1))
    out = np.asarray(Augmentation(scale=(0.8, 1.25))(batch, keys(300)))
    factors = 10.0 / (out[:, 6, 6, 0] - out[:, 5, 6, 0])
    assert factors.min() >= 0.8 - 1e-3 and factors.max() <= 1.25 + 1e-3
    # 300 of an even distribution: its quartiles within four standard errors.
    quartiles = np.quantile(factors, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.9125, 1.025, 1.1375], atol=0.05)
    # About the centre.
    np.testing.assert_allclose(out[:, 5, 6, 0] + out[:, 6, 6, 0], 110.0, atol=1e-2)


def test_a_crop_has_the_pixels_of_a_window_anywhere_and_no_other_size():
    batch = images(60, channels=3)
    out = np.asarray(Augmentation(crop=(8, 10))(batch, keys(60)))
    assert out.shape == (60, 8, 10, 3)
    found = set()
    for before, after in zip(np.asarray(batch), out, strict=True):
        matches = [
            (top, left)
            for top in range(5)
            for left in range(3)
            if np.array_equal(after, before[top : top + 8, left : left + 10])
        ]
        assert matches, "a crop that is no window of its image"
        found.add(matches[0])
    assert len(found) == 15


@pytest.mark.parametrize("fields", [{}, {"scale": (0.8, 1.2)}, {"rotation": 20.0}])
def test_the_crop_is_one_of_the_moved_image(fields):
    batch = images(12)
    whole = np.asarray(Augmentation(shift=2, flip=0.5, **fields)(batch, keys(12)))
    cropped = np.asarray(Augmentation(shift=2, flip=0.5, crop=(9, 9), **fields)(batch, keys(12)))
    places = set()
    for moved_image, crop in zip(whole, cropped, strict=True):
        windows = {
            (top, left): np.abs(moved_image[top : top + 9, left : left + 9] - crop).max()
            for top in range(4)
            for left in range(4)
        }
        place = min(windows, key=windows.get)
        assert windows[place] < 0.02
        places.add(place)
    assert len(places) > 5


def test_the_new_augmentations_leave_the_draws_of_the_old_ones_alone():
    batch, old = images(20, channels=3), {"shift": 2, "flip": 0.5, "erasing": 0.5}
    before = np.asarray(Augmentation(**old)(batch, keys(20)))
    whole = Augmentation(**old, crop=(SIZE, SIZE))(batch, keys(20))
    np.testing.assert_array_equal(whole, before)
    scaled = Augmentation(**old, scale=(1.0, 1.0 + 1e-6))(batch, keys(20))
    np.testing.assert_allclose(scaled, before, atol=0.02)
    changed = Augmentation(**old, contrast=0.3, jitter_probability=0.0)(batch, keys(20))
    np.testing.assert_array_equal(changed, before)


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_and_contrast_are_those_of_torchvision(channels):
    """torchvision's ColorJitter calls these two of Pillow, which round to whole grey levels."""
    # Red is the brightest, so that luma is not the mean of the channels.
    dimmed = np.asarray(images(3, channels)) // np.array([1, 2, 4])[:channels]
    for image in dimmed.astype(np.uint8):
        pillow = Image.fromarray(image if channels == 3 else image[..., 0])
        for bright, contrasted in ((0.6, 1.0), (1.5, 1.0), (1.0, 0.5), (1.0, 1.6), (1.4, 0.7)):
            done = ImageEnhance.Contrast(ImageEnhance.Brightness(pillow).enhance(bright))
            expected = np.asarray(done.enhance(contrasted), np.float64).reshape(image.shape)
            out = augment.jitter(
                jnp.asarray(image, jnp.float32), jnp.float32(bright), jnp.float32(contrasted)
            )
            np.testing.assert_allclose(out, expected, atol=2.0)


def test_brightness_factors_lie_in_their_range_in_their_share_of_the_images():
    batch = jnp.full((400, 2, 2, 1), 100.0)
    jittered = Augmentation(brightness=0.4, jitter_probability=0.25)(batch, keys(400))
    factors = np.asarray(jittered)[:, 0, 0, 0] / 100.0
    changed = factors[factors != 1.0]
    assert abs(len(changed) / 400 - 0.25) < 0.09
    assert 0.6 <= changed.min() < 0.68 and 1.32 < changed.max() <= 1.4


def test_contrast_factors_lie_in_their_range_and_grey_levels_in_theirs():
    image = jnp.array([[40.0, 60.0], [40.0, 60.0]])[:, :, None]
    out = np.asarray(Augmentation(contrast=0.5)(jnp.tile(image[None], (200, 1, 1, 1)), keys(200)))
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)), 50.0, atol=1e-3)
    factors = (out[:, 0, 1, 0] - out[:, 0, 0, 0]) / 20.0
    assert 0.5 - 1e-4 <= factors.min() < 0.55 and 1.45 < factors.max() <= 1.5 + 1e-4
    extreme = Augmentation(brightness=1.0, contrast=1.0)(images(50), keys(50))
    assert float(extreme.min()) >= 0.0 and float(extreme.max()) <= 255.0


def test_both_ways_to_move_pixels_are_the_same():
    image = images(1, channels=3)[0]
    rows, columns = jnp.array([0, 0, *range(10)]), jnp.arange(SIZE)[::-1]
    np.testing.assert_array_equal(
        geometry._gather(image, rows, columns), geometry._select(image, rows, columns)
    )


def test_erasing_fills_one_rectangle_of_the_stated_area():
    blank = jnp.zeros((200, 24, 24, 1))
    out = np.asarray(Augmentation(erasing=0.5, erasing_area=(0.1, 0.2), fill=9.0)(blank, keys(200)))
    shares = []
    for image in out[..., 0]:
        rows, columns = np.nonzero(image)
        if len(rows):
            rectangle = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (rectangle == 9.0).all()
            shares.append(len(rows) / image.size)
    assert 70 < len(shares) < 130
    assert min(shares) > 0.07 and max(shares) < 0.24


def test_flip_frequency_is_its_probability():
    batch = jnp.tile(jnp.arange(SIZE, dtype=jnp.float32)[None, None, :, None], (600, SIZE, 1, 1))
    out = np.asarray(Augmentation(flip=0.25)(batch, keys(600)))
    flipped = (out[:, 0, 0, 0] > 0).mean()
    assert abs(flipped - 0.25) < 0.06


def test_subpixel_shifts_interpolate_between_the_whole_ones():
    ramp = jnp.broadcast_to(10.0 * jnp.arange(SIZE, dtype=jnp.float32)[:, None], (SIZE, SIZE))
    batch = jnp.broadcast_to(ramp[None, :, :, None], (200, SIZE, SIZE, 1))
    out = np.asarray(Augmentation(shift=1.5, subpixel=True)(batch, keys(200)))
    # In the middle a ramp of 10 a row moves by 10 times the shift; its edges are repeated.
    moved = (out[:, 5, 5, 0] - 50.0) / 10.0
    assert np.abs(moved).max() <= 1.5 + 1e-4
    assert np.abs(moved).max() > 1.4 and np.abs(moved.mean()) < 0.25
    assert np.abs(moved - np.round(moved)).max() > 0.4
    largest = 10.0 * (SIZE - 1)  # but for float32's rounding
    assert out.min() >= -1e-6 * largest and out.max() <= largest * (1 + 1e-6)


def test_desaturation_makes_all_channels_luma_in_its_share_of_the_images():
    batch = images(300, channels=3)
    out = np.asarray(Augmentation(desaturation=0.25)(batch, keys(300)))
    grey = np.asarray(batch) @ np.array([0.299, 0.587, 0.114])
    turned = np.array(
        [
            np.allclose(after, before[..., None], atol=1e-3)
            for after, before in zip(out, grey, strict=True)
        ]
    )
    kept = np.array(
        [np.array_equal(after, before) for after, before in zip(out, batch, strict=True)]
    )
    assert (turned ^ kept).all()
    assert abs(turned.mean() - 0.25) < 0.08


def test_desaturation_leaves_grey_images_alone():
    batch = images(4)
    np.testing.assert_array_equal(Augmentation(desaturation=1.0)(batch, keys(4)), batch)


def test_an_example_draws_the_same_alone_in_a_batch_and_in_any_order():
    augmentation = Augmentation(
        shift=2,
        flip=0.5,
        scale=(0.8, 1.2),
        rotation=20.0,
        crop=(9, 10),
        desaturation=0.5,
        brightness=0.3,
        contrast=0.3,
        jitter_probability=0.5,
        erasing=0.5,
    )
    batch, order = images(6, channels=3), np.array([3, 0, 5])
    whole = augmentation(batch, keys(6))
    some = augmentation(batch[order], example_keys(0, jnp.int32(0), jnp.asarray(order)))
    np.testing.assert_allclose(some, np.asarray(whole)[order], atol=1e-4)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}])
def test_seed_and_epoch_change_what_is_drawn(change):
    before = jax.random.key_data(keys(4))
    after = jax.random.key_data(keys(4, **change))
    assert not np.array_equal(before, after)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flip", 1.5),
        ("shift", -1),
        ("shift", 1.5),
        ("rotation", 200.0),
        ("desaturation", -0.1),
        ("scale", (1.2, 0.8)),
        ("scale", (0.0, 1.0)),
        ("brightness", float("nan")),
        ("erasing_area", (0.5, 0.1)),
        ("erasing_aspect", 0.5),
    ],
)
def test_what_would_be_another_augmentation_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"^{field} is .* out of its range"):
        Augmentation(**{field: value})
