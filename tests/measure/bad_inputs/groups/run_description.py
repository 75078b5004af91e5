"""What the best checkpoint of a run folder says of itself, damaged, given to `predict`.

Its own digest is made anew, as by somebody who wants it to be used. Where config.json and
result.json would contradict it first, they are not there.
"""

from tests.helpers import strangers as made
from tests.helpers.edited import GONE, edit_checkpoints
from tests.measure.bad_inputs import damaged_runs
from tests.measure.bad_inputs.case import Case

_FIX = "estore it from a copy, use the version of ferjax that wrote it, or train again in an empty"
_FIX_FILES = "resume the run, restore the folder from a copy, or train again in an empty workdir"
_SPEC = {
    "m_nomodel": ("model", GONE, "has no field 'model', expected an object"),
    "m_nolabels": ("labels", GONE, "has no field 'labels', expected class names"),
    "m_labels_str": ("labels", "happy", 'has labels = "happy", expected class names'),
    "m_labels_long": (
        "labels",
        ["a", "b", "c"],
        "has model.num_classes = 2, expected 3 by its lab",
    ),
    "m_labels_int": ("labels", 5, "has labels = 5, expected class names"),
    "m_labels_same": (
        "labels",
        ["x", "x"],
        'has labels = ["x", "x"], expected class names, none of them empty or there twice',
    ),
    "m_labels_space": ("labels", ["a", " "], "none of them empty or there twice"),
    "m_model_extra": ("model/evil", 1, "has model.evil, expected the options of resnet18"),
    "m_model_name": ("model/name", "evil", "model is 'evil'; expected one of resnet10"),
    "m_model_width_str": ("model/width", "8", 'has model.width = "8", expected a value like 64'),
    "m_model_width0": ("model/width", 0, "width is 0; it must be at least 1"),
    "m_model_width_huge": (
        "model/width",
        10**6,
        "has model.width = 1000000, expected a value like 64",
    ),
    "m_model_classes": ("model/num_classes", 3, "has model.num_classes = 3, expected 2 by its lab"),
    "m_model_list": ("model", [1], "has model = [1], expected an object"),
    "m_model_size": (
        "model/image_size",
        10**7,
        "has model.image_size = 10000000, expected a whole number from 1 to 4096",
    ),
    "m_pp_list": ("preprocessing", [1], "has preprocessing = [1], expected an object"),
    "m_pp_extra": ("preprocessing/evil", 1, "preprocessing has the fields"),
    "m_pp_shape_str": (
        "preprocessing/native_shape",
        "abc",
        'has preprocessing.native_shape = "abc", expected height, width and 1 or 3 channels',
    ),
    "m_pp_mean_str": (
        "preprocessing/mean",
        ["x"],
        'has preprocessing.mean[0] = "x", expected a number from -1000 to 1000',
    ),
    "m_pp_shape0": (
        "preprocessing/native_shape",
        [0, 16, 1],
        "has preprocessing.native_shape[0] = 0, expected a whole number from 1",
    ),
    "m_pp_ch5": (
        "preprocessing/native_shape",
        [16, 16, 5],
        "has preprocessing.native_shape = [16, 16, 5], expected height, width and 1 or 3 channels",
    ),
    "m_pp_shape": (
        "preprocessing/native_shape",
        [10**6, 10**6, 1],
        "has preprocessing.native_shape[0] = 1000000, expected a whole number from 1 to 32768",
    ),
    "m_pp_std_zero": (
        "preprocessing/std",
        [0.0],
        "has preprocessing.std[0] = 0.0, expected a number from 1e-06 to 1000",
    ),
}
_NOT_A_NUMBER = "its description is damaged (NaN is no number of JSON)"
_META = {
    "m_int": ([], "5", "its description holds 5, expected an object"),
    "m_trunc": ([], '{"format": 4, "sp', "its description is damaged"),
    "m_pp_std0": ([("spec/preprocessing/std", [float("nan")])], None, _NOT_A_NUMBER),
}
_OTHER_WEIGHTS = {
    "attention_se": ("attention", "se"),
    "attention_none": ("attention", None),
    "width": ("width", 16),
    "depth": ("name", "resnet34"),
}


def _alone(damage):
    """A damage to a run whose checkpoints are all that it has."""
    return damaged_runs.every(
        damage, damaged_runs.removed("config.json"), damaged_runs.removed("result.json")
    )


def _spec(*changes):
    return lambda run: edit_checkpoints(run, *((f"spec/{path}", to) for path, to in changes))


def _meta(changes, content):
    def damage(run):
        edit_checkpoints(run, *changes)
        if content is not None:
            (file,) = run.glob("checkpoints/best/*/meta/metadata")
            file.write_text(content)

    return damage


CASES = [
    *(
        Case(
            f"run.{name}",
            f"checkpoint: {path} is {'missing' if value is GONE else repr(value)}",
            damaged_runs.predict(_alone(_spec((path, value)))),
            says=["The checkpoint in run", said, _FIX],
        )
        for name, (path, value, said) in _SPEC.items()
    ),
    *(
        Case(
            f"run.{name}",
            f"checkpoint: meta is {content or changes}",
            damaged_runs.predict(_meta(changes, content)),
            says=["The best checkpoint of step 8 in ", "checkpoints/best", said, _FIX_FILES],
        )
        for name, (changes, content, said) in _META.items()
    ),
    Case(
        "run.m_labels_markup",
        "checkpoint: labels that are markup, escapes and lines, shown as they are",
        damaged_runs.predict(_alone(_spec(("labels", ["[/b]", made.EVIL])))),
        code=0,
        says=["[/b]", made.EVIL_SHOWN[:8]],  # a heading has eight characters
    ),
    Case(
        "run.nanjson",
        "checkpoint: a standard deviation of NaN, with --json",
        damaged_runs.predict(_meta(*_META["m_pp_std0"][:2]), "--json=nan.json"),
        says=[_NOT_A_NUMBER, _FIX_FILES],
        check=lambda stage: _assert_absent(stage.here / "nan.json"),
    ),
    Case(
        "run.m_format",
        "checkpoint: format 99",
        damaged_runs.predict(lambda run: edit_checkpoints(run, ("format", 99))),
        says=["has format 99, and this version of ferjax reads formats 3 and 4", "Use the version"],
    ),
    Case(
        "run.m_unsigned",
        "checkpoint: other labels, and the digest of the old ones",
        damaged_runs.predict(
            lambda run: damaged_runs.fields(
                "checkpoints/best/8/meta/metadata", ("spec/labels", ["sad", "happy"])
            )(run)
        ),
        says=["description does not have the SHA-256 that it was saved with", _FIX_FILES],
    ),
    Case(
        "run.m_model_attention",
        "checkpoint: another attention than in config.json",
        damaged_runs.predict(_spec(("model/attention", "se"))),
        says=['two runs: model.attention is "cbam" in config.json and "se" in the checkpoint'],
    ),
    *(
        Case(
            f"run.m_model_{name}",
            f"checkpoint: model.{path} is {value!r}, without config.json",
            damaged_runs.predict(_alone(_spec((f"model/{path}", value)))),
            says=[
                "best checkpoint of step 8",
                "its weights are not those of the model",
                _FIX_FILES,
            ],
        )
        for name, (path, value) in _OTHER_WEIGHTS.items()
    ),
]


def _assert_absent(path):
    assert not path.exists(), f"{path.name} was written"
