"""The plain command of a config is its paper's row, or is refused; what is no row says so."""

import tomllib

import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.config import starts
from ferjax.errors import UserError
from ferjax.models import published, weight_files, weights
from ferjax.training import experiment, loop, preflight, result, warm_start
from tests.helpers import tiny

REFUSED = [
    ("vgg19_attention", "", r"tam2021 starts .* vgg19-dcbb9e9d\.pth from .* init_from=FILE; or"),
    ("vgg19_attention", "batch_norm=true", r"vgg19_bn-c79401a0\.pth"),
    ("attention_fusion", "", r"resnet18-f37072fd\.pth and resnet34-b627a593\.pth .* trunk_init="),
    ("attention_fusion", "fusion=late,trunks=vgg11+vgg13", r"vgg11-8a719046\.pth and vgg13-19584"),
    ("attention_fusion", "fusion=none", r"Get resnet18-f37072fd\.pth from .* init_from=FILE"),
    ("attention_fusion", "dataset=fer2013", r"or give the argument from_scratch"),
]


@pytest.mark.parametrize(("name", "argument", "message"), REFUSED)
def test_without_its_papers_weights_a_run_is_refused_before_anything(
    tmp_path, name, argument, message
):
    config = tiny.module(name).get_config(argument)
    config.dataset.data_dir = str(tmp_path / "data")
    with pytest.raises(UserError, match=message):
        loop.train(config, str(tmp_path / "run"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("vgg19_attention", "init_from=vgg19.npz"),
        ("vgg19_attention", "from_scratch"),
        ("vgg19_attention", "dataset=synthetic"),
        ("attention_fusion", "trunk_init=a.npz+b.npz"),
        ("attention_fusion", "trunks_from=a+b"),
        ("attention_fusion", "init_from=a"),
        ("attention_fusion", "fusion=none,init_from=a.npz"),
        ("attention_fusion", "fusion=none,from_scratch"),
        ("attention_fusion", "from_scratch"),
        ("attention_fusion", "budget=cpu"),
        ("attention_fusion", "dataset=synthetic"),
        ("cbam_island", ""),
        ("se_cnn", ""),
    ],
)
def test_what_has_weights_or_needs_none_may_start(name, argument):
    preflight.check_start(tiny.module(name).get_config(argument))


def test_a_start_that_does_not_exist_is_named():
    config = tiny.module("vgg19_attention").get_config("init_from=a.npz")
    config.paper_start = "imagnet"
    with pytest.raises(UserError, match=r"paper_start is 'imagnet'.*Did you mean 'imagenet'"):
        preflight.check_start(config)


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("vgg19_attention", "from_scratch,init_from=a", r"give 'from_scratch' or 'init_from', not"),
        ("vgg19_attention", "from_scratch,dataset=synthetic", r"'from_scratch' would do nothing"),
        ("attention_fusion", "from_scratch,trunk_init=a+b", r"'trunk_init', not both"),
        ("cbam_island", "finetune", r"no weights to fine-tune without init_from=PATH"),
        ("cbam_island", "image_size=8", r"image_size='8' is too small; expected at least 16"),
        ("cbam_island", "image_size=big", r"image_size is 'big'; expected a whole number"),
        ("cbam_island", "channels=2", r"channels is 2; expected one of 1, 3"),
    ],
)
def test_arguments_that_do_not_go_together(name, argument, message):
    with pytest.raises(UserError, match=message):
        tiny.module(name).get_config(argument)


@pytest.mark.parametrize(
    ("name", "argument", "departures"),
    [
        ("vgg19_attention", "from_scratch", ("from scratch", "batch_norm=True")),
        (
            "vgg19_attention",
            "init_from=a.npz,image_size=96",
            ("image_size=96: the paper's is 224",),
        ),
        (
            "attention_fusion",
            "trunk_init=a+b,dataset=fer2013",
            ("dataset=fer2013: the paper's is r",),
        ),
        ("attention_fusion", "budget=cpu", ("budget=cpu", "from scratch")),
        ("cbam_island", "dataset=fer_plus", ("dataset=fer_plus: the paper's is fer2013 or ck_p",)),
        ("cbam_island", "dataset=raf_db", ()),
        ("cbam_island", "budget=cpu", ("budget=cpu",)),
        ("cbam_island", "finetune,init_from=a.npz", ("finetune",)),
        ("se_cnn", "dataset=synthetic", ("dataset=synthetic: the paper's is fer2013",)),
    ],
)
def test_what_is_no_row_of_the_paper_says_so(name, argument, departures):
    found = tiny.module(name).get_config(argument).departures
    assert len(found) == len(departures)
    assert all(text.startswith(start) for text, start in zip(found, departures, strict=True))


def test_trunks_from_scratch_are_said_of_their_fusion_too():
    config = tiny.module("attention_fusion").get_config("trunks_from=a+b")
    origins = [
        {"weights": "a", "departures": [starts.FROM_SCRATCH]},
        {"weights": "b", "departures": []},
        {"weights": "file"},
    ]
    assert result._departures(config.departures, origins) == [f"a: {starts.FROM_SCRATCH}"]
    scratch = tiny.module("attention_fusion").get_config("from_scratch")
    assert [one.departures for one in (scratch, *scratch.stages.values())] == [
        (starts.FROM_SCRATCH,)
    ] * 3
    assert result._departures(scratch.departures, origins) == [starts.FROM_SCRATCH]


def test_a_result_says_how_it_is_no_row(finished):
    assert finished[2]["departures"] == [
        "dataset=synthetic: the paper's is fer2013 or ck_plus or raf_db"
    ]


def test_the_files_are_those_of_the_manifest(repository):
    listed = tomllib.loads((repository / "third_party" / "weights.toml").read_text())["torchvision"]
    assert (listed["source"], listed["files"]) == (published.FOLDER, published.FILES)
    assert starts.FILES == weight_files.SUFFIXES


@pytest.mark.parametrize(
    ("argument", "size", "channels", "normalization"),
    [
        ("", 48, 1, "dataset"),
        ("image_size=96", 96, 1, "dataset"),
        ("channels=3", 48, 3, "imagenet"),
        ("dataset=raf_db", 100, 3, "dataset"),
        ("dataset=raf_db,channels=1", 100, 1, "dataset"),
        ("dataset=raf_db,init_from=resnet18.pth", 100, 3, "imagenet"),
        ("dataset=raf_db,init_from=runs/first", 100, 3, "dataset"),
        ("init_from=grey.npz", 48, 1, "dataset"),
        ("finetune,init_from=resnet18.pth", 224, 3, "imagenet"),
        ("finetune,init_from=resnet18.pth,image_size=112", 112, 3, "imagenet"),
    ],
)
def test_size_channels_and_normalisation_of_the_island_config(
    argument, size, channels, normalization
):
    config = tiny.module().get_config(argument)
    assert (config.model.image_size, config.model.channels) == (size, channels)
    assert config.preprocess.normalization == normalization


def test_imagenet_weights_are_fine_tuned_by_one_argument(data_dir, tmp_path):
    """One step of the whole recipe, shrunk: the attention is fresh, and everything moves."""
    path = tmp_path / "resnet18.npz"
    config = tiny.module().get_config(f"finetune,init_from={path}")
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("radam", 1e-4)
    assert (config.train.batch_size, config.train.num_epochs) == (48, 50)
    assert (config.model.stem, config.model.attention) == ("imagenet", "cbam")
    source = tiny.module().get_config("dataset=synthetic").dataset
    config.dataset = source
    config.dataset.data_dir = str(data_dir)
    config.dataset.options.update(image_size=16, num_train=56, num_validation=7, num_test=7)
    config.model.update(name="resnet10", width=8, image_size=32, dtype="float32")
    config.train.batch_size = 16
    run = experiment.build(config)
    fields = {**run.spec.model, "attention": "none", "num_classes": 1000}
    plain = weights.named(models.create(**fields, rngs=nnx.Rngs(3)))
    np.savez(path, **{name: torch_layout(array) for name, array in plain.items()})
    state, (origin,) = warm_start.initial_state(run, (), report=str)
    assert origin["fresh"] == [*(f"layer{stage}.0.cbam" for stage in range(1, 5)), "fc"]
    before = np.asarray(state.weights.params["conv1"]["kernel"][...])
    np.testing.assert_array_equal(before, plain["conv1.weight"])
    batches = run.training_input()
    state, metrics = run.train_step(state, batches.table, next(batches))
    batches.close()
    assert int(metrics["finite"]) == 1
    assert not np.array_equal(state.weights.params["conv1"]["kernel"][...], before)


def torch_layout(array):
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
