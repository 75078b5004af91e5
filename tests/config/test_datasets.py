"""Every config takes every data set, each with its own rows, splits and protocol."""

import inspect

import jax
import pytest
from flax import nnx

from ferjax import models
from ferjax.config import datasets, papers
from ferjax.data import catalog
from ferjax.data.splits import splitters
from ferjax.data.synthetic.builder import prepare_synthetic
from ferjax.errors import UserError
from ferjax.training import experiment
from tests.helpers import tiny

CONFIGS = ("cbam_island", "se_cnn", "vgg19_attention", "attention_fusion")
# The parameters of ResNet-18 with the 3x3 stem, with one channel and with three.
BLOCKS = {"res18": 11_172_423, "se": 11_261_503, "cbam": 11_262_303}
LAMBDA = papers.table("sun2021/table2").rows
ROWS = set(papers.rows("sun2021")) - {row.name for row in LAMBDA} | {"island"}


def joined(*arguments):
    return ",".join(filter(None, arguments))


@pytest.mark.parametrize(("dataset", "side", "channels"), [("ck_plus", 48, 1), ("raf_db", 100, 3)])
@pytest.mark.parametrize("row", sorted(ROWS))
def test_rows_of_the_other_data_sets_build(dataset, side, channels, row):
    arguments = papers.rows("sun2021")[row].arguments
    config = tiny.module().get_config(joined(f"dataset={dataset}", arguments))
    assert (config.model.image_size, config.model.channels) == (side, channels)
    fields = {**dict(config.model), "num_classes": 7}
    model = nnx.eval_shape(lambda: models.create(**fields, rngs=nnx.Rngs(0)))
    count = BLOCKS.get(row, BLOCKS["cbam"])
    assert models.parameter_count(model) == count - (1_152 if channels == 1 else 0)
    if row in ("res18", "island"):
        images = jax.ShapeDtypeStruct((2, side, side, channels), "float32")
        logits, _ = nnx.eval_shape(lambda model, images: model(images), model, images)
        assert logits.shape == (2, 7)
    assert experiment.build(config).protocol.label == "honest"


@pytest.mark.parametrize("row", LAMBDA, ids=lambda row: row.name)
def test_the_sweep_of_lambda_on_ck_plus(row):
    value = float(row.title.removeprefix("lambda "))
    config = tiny.module().get_config(joined("dataset=ck_plus", row.arguments))
    assert config.to_json() == tiny.module().get_config(f"dataset=ck_plus,lambda={value}").to_json()
    assert config.loss.weight == config.loss.pairwise_weight == value
    island = tiny.module().get_config("dataset=ck_plus")
    island.loss.weight = island.loss.pairwise_weight = value
    assert config.to_json() == island.to_json(), "nothing else differs from the row that builds"


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("dataset", catalog.DATASETS)
@pytest.mark.parametrize("protocol", ["honest", "paper"])
def test_every_config_takes_every_data_set(name, dataset, protocol):
    mine = ",name=mine" if dataset == "image_folder" else ""
    config = tiny.module(name).get_config(f"dataset={dataset},protocol={protocol}{mine}")
    options = config.dataset.options.to_dict()
    if dataset != "synthetic":
        known = splitters.options(catalog.find(dataset).scheme)
        assert set(options) <= set(known)
        assert all(isinstance(value, type(known[key])) for key, value in options.items())
    run = experiment.build(config)
    assert run.protocol.label == {"honest": "honest", "paper": "optimistic"}[protocol]
    for stage in config.stages.values():
        assert stage.dataset.to_dict() == config.dataset.to_dict()
        assert stage.protocol.to_dict() == config.protocol.to_dict()


def test_the_options_of_the_synthetic_faces_are_those_of_their_builder():
    config = tiny.module().get_config("dataset=synthetic")
    parameters = inspect.signature(prepare_synthetic).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    assert config.dataset.options.to_dict() == defaults


def test_the_data_sets_of_the_catalog_are_those_of_the_configs():
    assert set(datasets.NAMES) == set(catalog.DATASETS)


def test_trunks_follow_the_fold_of_their_fusion():
    config = tiny.module("attention_fusion").get_config("dataset=ck_plus")
    assert config.stages.resnet18.dataset.options.fold == splitters.ALL_FOLDS
    config.dataset.options.fold = 3
    assert [stage.dataset.options.fold for stage in config.stages.values()] == [3, 3]


def test_the_papers_protocol_folds_by_images_and_says_that_persons_leak():
    config = tiny.module().get_config("dataset=ck_plus,protocol=paper,fold=2")
    assert config.dataset.options.split_by == "image"
    remark = experiment.build(config).protocol.remark
    assert remark.startswith("OPTIMISTIC: selected on test") and "same persons" in remark
    config = tiny.module().get_config("dataset=ck_plus,protocol=paper,split_by=subject")
    assert "same persons" not in experiment.build(config).protocol.remark


def test_the_papers_protocol_trains_on_all_of_raf_db():
    honest, paper = (
        tiny.module().get_config(f"dataset=raf_db,protocol={protocol}").dataset.options.held_out
        for protocol in ("honest", "paper")
    )
    assert (honest, paper) == (0.1, 0.0)


def test_an_honest_protocol_refuses_folds_that_leak():
    config = tiny.module().get_config("dataset=ck_plus,fold=2")
    config.dataset.options.split_by = "image"
    with pytest.raises(UserError, match=r"'honest', but the folds are of single images.*'paper'"):
        experiment.build(config)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("dataset=image_folder", "needs the name that the images were prepared under"),
        ("fold=3", "'fold' would do nothing beside dataset=fer2013: it needs dataset=ck_plus"),
        ("dataset=ck_plus,split_by=image", "it needs protocol=paper"),
        ("dataset=raf_db,target=majority", "it needs dataset=fer_plus"),
        ("dataset=rafdb", "dataset is 'rafdb'; expected .*Did you mean 'raf_db'"),
    ],
)
def test_arguments_of_another_data_set_are_refused(argument, message):
    with pytest.raises(UserError, match=message):
        tiny.module().get_config(argument)
