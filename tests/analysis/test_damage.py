"""Images are damaged more by more, and the same again whatever they are with."""

import jax
import numpy as np
import pytest

from ferjax.analysis import damage


@pytest.mark.parametrize("kind", damage.KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_damage_grows_and_is_the_same_again(kind, channels):
    rng = np.random.default_rng(0)
    smooth = jax.image.resize(
        rng.uniform(0, 255, (4, 6, 6, channels)), (4, 48, 48, channels), "cubic"
    )
    images = np.clip(np.asarray(smooth), 0, 255).astype(np.uint8)
    before = images.copy()
    differences = []
    for strength in kind.strengths:
        found = damage.damaged(images, kind, strength)
        assert found.dtype == np.uint8 and found.shape == images.shape
        later = damage.damaged(images[2:], kind, strength, 2)
        np.testing.assert_array_equal(later, found[2:])
        differences.append(np.abs(found.astype(float) - images).mean())
    np.testing.assert_array_equal(images, before)
    assert 0 < differences[0] < differences[1] < differences[2]
