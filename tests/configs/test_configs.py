"""Every row of the paper is one argument of its config, and builds; bad fields are named."""

import jax
import pytest
from flax import nnx

from ferjax import models
from ferjax.config import papers
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.training import experiment
from tests.helpers import tiny

# Parameters of ResNet-18 with the 3x3 stem and one channel: 3 channels cost 1,152 more.
WITHOUT_CBAM = {"res18": 11_172_423 - 1_152, "se": 11_261_503 - 1_152}
WITH_CBAM = 11_262_303 - 1_152
ROWS = {
    row.arguments: WITHOUT_CBAM.get(name, WITH_CBAM) for name, row in papers.rows("sun2021").items()
}


@pytest.mark.parametrize("argument", [*ROWS, "attention=cbam,loss=softmax", "loss=island"])
def test_every_row_builds_with_the_papers_sizes(argument):
    config = tiny.module().get_config(argument)
    fields = {**dict(config.model), "num_classes": 7}
    model = nnx.eval_shape(lambda: models.create(**fields, rngs=nnx.Rngs(0)))
    assert models.parameter_count(model) == ROWS.get(argument, WITH_CBAM)
    assert (config.train.batch_size, config.train.num_epochs) == (128, 200)
    assert config.optimizer.weight_decay == 5e-4 and config.optimizer.learning_rate == 0.01


TRUNK = {
    "resnet18": 11_176_512,
    "resnet34": 21_284_672,
    "vgg11": 9_220_480,
    "vgg13": 9_404_992,
}
WHOLE = {
    "resnet18": 11_180_103,
    "resnet34": 21_288_263,
    "vgg11": 128_795_015,
    "vgg13": 128_979_527,
}
FUSION = {"late": 0, "early": 7_175, "joint": 7_175, "attention": 2_103_303}


def fusion_rows():
    for name, row in papers.rows("tran2023").items():
        fusion = name.split("_")[0]
        sizes = WHOLE if fusion == "late" else TRUNK
        if "local_attention=false" in row.arguments:
            yield row.arguments, 33_252_231
        elif row.trunks:
            yield row.arguments, sum(sizes[trunk] for trunk in row.trunks) + FUSION[fusion]
        else:
            yield row.arguments, WHOLE[name]


CNN = papers.rows("luo2023")
OTHER_ROWS = [
    ("vgg19_attention", papers.rows("tam2021")["vgg19_attention"].arguments, 123_018_409),
    ("vgg19_attention", "attention=none", 122_817_607),
    ("se_cnn", CNN["cnn"].arguments, 3_507_399),
    ("se_cnn", CNN["se_cnn"].arguments, 3_518_627),
    ("se_cnn", "attention=none,batch_norm=false", 3_505_607),
    ("se_cnn", "batch_norm=false", 3_516_835),
    *(("attention_fusion", argument, count) for argument, count in fusion_rows()),
]


@pytest.mark.parametrize(("name", "argument", "count"), OTHER_ROWS)
def test_every_row_of_the_other_papers_builds(name, argument, count):
    config = tiny.module(name).get_config(argument)
    fields = {**dict(config.model), "num_classes": 7}
    size, channels = config.model.image_size, config.model.channels
    model = nnx.eval_shape(lambda: models.create(**fields, rngs=nnx.Rngs(0)))
    assert models.parameter_count(model) == count
    images = jax.ShapeDtypeStruct((2, size, size, channels), "float32")
    logits, _ = nnx.eval_shape(lambda model, images: model(images), model.eval() or model, images)
    assert (logits.shape, logits.dtype) == ((2, 7), "float32")
    assert experiment.build(config).protocol.label == "honest"


COUNTS = [
    ({"stem": "imagenet"}, 11_180_103),
    ({"name": "resnet10", "stem": "imagenet"}, 4_909_383),
    ({"name": "resnet34", "stem": "imagenet"}, 21_288_263),
    ({"stem": "imagenet", "attention": "se"}, 11_269_183),
    ({"stem": "imagenet", "attention": "se", "se_bias": False}, 11_267_143),
    ({"stem": "imagenet", "attention": "cbam"}, 11_269_983),
    ({"stem": "small"}, 11_172_423),
    ({"stem": "half"}, 11_172_423),
    ({"stem": "small", "attention": "se"}, 11_261_503),
    ({"stem": "small", "attention": "cbam"}, 11_262_303),
]


@pytest.mark.parametrize(("fields", "count"), COUNTS)
def test_parameter_counts(fields, count):
    fields = {"name": "resnet18", "num_classes": 7, "channels": 3, **fields}
    model = nnx.eval_shape(lambda: models.create(**fields, rngs=nnx.Rngs(0)))
    assert models.parameter_count(model) == count


@pytest.mark.parametrize("stem", ["small", "half", "imagenet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_output_shapes(stem, channels):
    model = nnx.eval_shape(
        lambda: models.create(
            "resnet18",
            num_classes=7,
            channels=channels,
            stem=stem,
            dtype="bfloat16",
            rngs=nnx.Rngs(0),
        )
    )
    images = jax.ShapeDtypeStruct((2, 48, 48, channels), "float32")
    logits, features = nnx.eval_shape(lambda model, images: model(images), model, images)
    assert (logits.shape, logits.dtype) == ((2, 7), "float32")
    assert (features.shape, features.dtype) == ((2, 512), "float32")
    maps = nnx.eval_shape(lambda model, images: model.feature_map(images), model, images)
    side = {"small": 6, "half": 3, "imagenet": 2}[stem]
    assert (maps.shape, maps.dtype) == ((2, side, side, 512), "bfloat16")


def test_presets_and_lambda():
    get_config = tiny.module().get_config
    weights = {
        argument: (loss.weight, loss.pairwise_weight, loss.center_reduction)
        for argument in (
            "",
            "budget=cpu",
            "preset=sun2021",
            "preset=wen2016",
            "lambda=0.3",
            "lambda=0.3,pairwise=2",
            "pairwise=2",
            "loss=center",
            "center_reduction=mean",
        )
        for loss in [get_config(argument).loss]
    }
    assert weights == {
        "": (0.5, 0.5, "element"),
        "budget=cpu": (0.5, 0.5, "element"),
        "preset=sun2021": (0.5, 0.5, "mean"),
        "preset=wen2016": (0.003, 0.0, "mean"),
        "lambda=0.3": (0.3, 0.3, "element"),
        "lambda=0.3,pairwise=2": (0.3, 2.0, "mean"),
        "pairwise=2": (0.01, 2.0, "mean"),
        "loss=center": (0.01, 10.0, "mean"),
        "center_reduction=mean": (0.5, 0.5, "mean"),
    }


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("preset=sun2021,lambda=0.3", "give 'preset' or 'lambda', not both"),
        ("preset=sun2021,pairwise=2", "give 'preset' or 'pairwise', not both"),
        ("loss=center,pairwise=2", "'pairwise' would do nothing beside loss=center"),
        ("loss=center,pairwise_on=features", "'pairwise_on' would do nothing beside loss=center"),
        ("loss=softmax,center_reduction=sum", "'center_reduction' would do nothing"),
        ("center_distance=l1", "expected one of squared, norm"),
    ],
)
def test_weights_that_exclude_each_other_are_refused(argument, said):
    with pytest.raises(UserError, match=said):
        tiny.module().get_config(argument)


def test_every_reading_of_the_losses_reaches_the_objective(tmp_path):
    argument = "attention=none,center_reduction=element,center_distance=norm,pairwise_on=features"
    made = experiment.build(tiny.config(tmp_path, argument)).recipe.objective
    assert (made.reduction, made.distance, made.pairwise_on) == ("element", "norm", "features")


def test_paper_literal_changes_the_weight_decay_and_nothing_else():
    plain, literal = (tiny.module().get_config(text) for text in ("", "paper_literal"))
    assert literal.optimizer.weight_decay == 0.05
    literal.optimizer.weight_decay = plain.optimizer.weight_decay
    assert literal.to_json() == plain.to_json()


def test_an_option_of_a_model_that_does_not_exist_is_named(tmp_path):
    message = "stem is 'smal'; expected one of imagenet, small, half. Did you mean 'small'"
    with pytest.raises(UserError, match=message):
        experiment.build(tiny.config(tmp_path, model__stem="smal")).states.abstract()


def test_computing_twice_is_refused_where_it_saves_nothing():
    with pytest.raises(UserError, match=r"model\.remat is True, but vgg19 has no ResNet in it"):
        models.create("vgg19", num_classes=7, remat=True, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("cbam_island", ""),
        ("se_cnn", ""),
        ("vgg19_attention", "batch_norm=true"),
        ("attention_fusion", "local_gate=true"),
    ],
)
def test_batch_stats_reach_every_batch_norm(name, argument):
    config = tiny.module(name).get_config(argument)
    fields = {**dict(config.model), "num_classes": 7, "num_devices": 8}
    for batch_stats, groups in (("global", 1), ("per_device", 8)):
        model = nnx.eval_shape(
            lambda fields={**fields, "batch_stats": batch_stats}: models.create(
                **fields, rngs=nnx.Rngs(0)
            )
        )
        norms = [node for _, node in nnx.iter_modules(model) if isinstance(node, BatchNorm)]
        assert norms and {norm.groups for norm in norms} == {groups}


def test_a_data_set_that_is_not_prepared_says_how_to_obtain_and_prepare_it(tmp_path):
    config = tiny.module().get_config()
    config.dataset.data_dir = str(tmp_path)
    with pytest.raises(UserError) as error:
        _ = experiment.build(config).data.source
    message = str(error.value)
    assert f"FER2013 is not prepared in {tmp_path}" in message
    assert "Kaggle" in message
    assert "python -m ferjax.data.prepare --dataset=fer2013 --source=" in message


def test_a_batch_that_does_not_divide_over_the_devices_names_what_does(run_python):
    source = """
from ferjax.distributed import sharding
sharding.check_batch_size("train.batch_size", 100, sharding.make_mesh())
"""
    done = run_python(source, devices=8, check=False)
    message = "train.batch_size is 100, which does not divide evenly over 8 devices; use 96 or 104."
    assert message in done.stderr


def test_a_batch_that_divides_is_accepted():
    sharding.check_batch_size("train.batch_size", 7, sharding.make_mesh())
