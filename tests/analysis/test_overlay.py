"""Maps lie over the places of a face that they are about."""

import jax
import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.analysis.figures.overlay import grown, overlay, stretched
from ferjax.models import functional


@pytest.mark.parametrize(
    ("name", "options", "layer", "stored"),
    [
        ("resnet10", {"stem": "half", "width": 8}, "layer2", 32),
        ("resnet10", {"stem": "half", "width": 8}, "layer2", 80),
        ("vgg11", {"width": 8}, "stage2", 20),
    ],
)
def test_places_lie_where_their_receptive_fields_do(name, options, layer, stored):
    """The gradient of a place in the middle of a map is centred where `grown` puts the place.

    The images are resized from `stored` pixels to the 32 of the model.
    """
    model = models.create(name, num_classes=7, channels=1, rngs=nnx.Rngs(0), **options)
    graphdef, weights = functional.split_model(model)
    images = jax.random.uniform(jax.random.key(0), (4, stored, stored, 1))

    def middle(images):
        with models.recording() as values:
            shown = jax.image.resize(images, (4, 32, 32, 1), "bilinear")
            functional.forward(graphdef, weights, shown)
        maps = values[layer]
        place = maps[:, maps.shape[1] // 2, maps.shape[2] // 2]
        return (place * jax.random.normal(jax.random.key(1), place.shape)).sum(), maps.shape[1]

    gradient, side = jax.jit(jax.grad(middle, has_aux=True))(images)
    energy = np.square(gradient).sum(axis=(0, 3))
    heat = np.zeros((side, side))
    heat[side // 2, side // 2] = 1
    is_first = models.model_class(name).at_first_pixel
    size = (stored, stored)
    laid = grown(heat, size, image_size=32, at_first_pixel=is_first)
    for expected, found in zip(centre(laid), centre(energy), strict=True):
        assert found == pytest.approx(expected, abs=stored / 32)


def centre(weights):
    return [float(np.sum(one * weights) / weights.sum()) for one in np.indices(weights.shape)]


def test_an_overlay_is_bright_where_the_map_is():
    image = np.full((8, 8, 1), 100, np.float32)
    heat = np.zeros((4, 4))
    heat[0, 0] = 1.0
    found = overlay(image, heat, image_size=8, at_first_pixel=False)
    assert found.shape == (8, 8, 3) and found.dtype == np.uint8
    assert found[0, 0].sum() > found[7, 7].sum()
    np.testing.assert_array_equal(stretched(np.full((2, 2), 0.5)), np.zeros((2, 2)))
    assert stretched(np.array([[0.2, 0.4]])).tolist() == [[0.0, 1.0]]
