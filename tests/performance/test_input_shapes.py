"""What programs are compiled for without the data is what the data would be."""

import jax
import pytest

from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.performance import input_shapes
from ferjax.training import experiment
from tests.helpers import tiny


def shapes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)


@pytest.mark.parametrize("placement", ["device", "stream"])
@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_shapes_are_those_of_the_prepared_data(data_dir, placement, sampling):
    config = tiny.config(data_dir, dataset__placement=placement, train__sampling=sampling)
    run = experiment.build(config)
    data = input_shapes.describe(config)
    assert data.placement == placement
    batches = run.training_input()
    table, batch = data.arguments(run.mesh, config.train.batch_size)
    assert shapes(batch) == shapes(next(batches))
    assert shapes(table) == shapes(batches.table)
    batches.close()
    (counted, *_) = run.data.evaluation_batches(
        "validation",
        run.data.groups("validation"),
        batch_size=config.evaluation.batch_size,
    )
    _, batch = data.arguments(run.mesh, config.evaluation.batch_size, groups=("validation",))
    assert shapes(batch) == shapes(counted)


def test_the_model_is_that_of_the_prepared_data(data_dir):
    config = tiny.config(data_dir, augment__crop=14 / 16)
    prepared, absent = experiment.build(config).spec, input_shapes.describe(config).spec()
    for name in ("model", "labels", "has_magnified_crops", "steps_per_epoch"):
        assert getattr(absent, name) == getattr(prepared, name), name
    for name in ("native_shape", "image_size", "order", "crop"):
        assert getattr(absent.preprocessing, name) == getattr(prepared.preprocessing, name), name


@pytest.mark.parametrize(
    ("argument", "image_shape", "num_train", "num_classes"),
    [
        ("", (48, 48, 1), 28709, 7),
        ("dataset=raf_db", (100, 100, 3), 11044, 7),
        ("dataset=raf_db,protocol=paper", (100, 100, 3), 12271, 7),
        ("dataset=ck_plus,fold=0", (128, 128, 1), 784, 7),
        ("dataset=ck_plus,fold=0,protocol=paper", (128, 128, 1), 882, 7),
        ("dataset=fer_plus,target=cross_entropy", (48, 48, 1), 28558, 8),
        ("dataset=synthetic", (48, 48, 1), 6006, 7),
    ],
)
def test_every_data_set_is_known_before_it_is_there(argument, image_shape, num_train, num_classes):
    data = input_shapes.describe(tiny.module().get_config(argument))
    assert (data.image_shape, data.num_train, len(data.labels)) == (
        image_shape,
        num_train,
        num_classes,
    )


def test_distributions_over_classes_are_targets():
    config = tiny.module().get_config("dataset=fer_plus,target=cross_entropy")
    data, mesh = input_shapes.describe(config), sharding.make_mesh()
    table, _ = data.arguments(mesh, 8)
    assert shapes(table.targets) == ((28558, 8), "float32")
    table, _ = data.arguments(mesh, 8, groups=("validation",))
    assert table.targets is None


def test_of_images_of_ones_own_the_classes_must_be_given():
    config = tiny.module().get_config("dataset=image_folder,name=mine")
    with pytest.raises(UserError, match="give it with --num_classes=NUMBER"):
        input_shapes.describe(config)
    data = input_shapes.describe(config, num_classes=5, image_shape=(64, 80, 3))
    assert data.image_shape == (64, 80, 3) and data.placement == "stream"
    assert input_shapes.describe(config, num_classes=5).image_shape == (48, 48, 1)
    with pytest.raises(UserError, match="--num_classes is 5, and fer2013 has 7"):
        input_shapes.describe(tiny.module().get_config(""), num_classes=5)
    config.dataset.placement = "device"
    with pytest.raises(UserError, match=r"--config\.dataset\.placement=stream"):
        input_shapes.describe(config, num_classes=5).arguments(sharding.make_mesh(), 8)
