"""Augmentation: exact geometry, the right frequencies, randomness keyed by the example alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.data.pipeline import augment
from ferjax.data.pipeline.augment import Augmentation, example_keys
from ferjax.errors import UserError

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
    out = augment.resample(image, jnp.zeros(2, jnp.int32), jnp.array(False), jnp.float32(np.pi / 2))
    np.testing.assert_allclose(out, np.rot90(np.asarray(image), 3), atol=0.1)


def test_both_ways_to_move_pixels_are_the_same():
    image = images(1, channels=3)[0]
    rows, columns = jnp.array([0, 0, *range(10)]), jnp.arange(SIZE)[::-1]
    np.testing.assert_array_equal(
        augment._gather(image, rows, columns), augment._select(image, rows, columns)
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
    augmentation = Augmentation(shift=2, flip=0.5, rotation=20.0, desaturation=0.5, erasing=0.5)
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
    ("fields", "message"),
    [
        ({"flip": 1.5}, r"augment.flip is 1.5; a probability lies in \[0, 1\]"),
        ({"shift": -1}, "augment.shift is -1; it must be at least 0"),
        ({"rotation": 200.0}, "augment.rotation is 200.0; it must be at least 0 and at most 180"),
        ({"shift": 1.5}, "augment.shift is 1.5; without augment.subpixel it is a whole number"),
        ({"desaturation": -0.1}, r"augment.desaturation is -0.1; a probability lies in"),
        ({"erasing_area": (0.5, 0.1)}, "augment.erasing_area is"),
        ({"erasing_aspect": 0.5}, "augment.erasing_aspect is 0.5; expected >= 1"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Augmentation(**fields)
