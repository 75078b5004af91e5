"""Values of config fields given to `main`.

The list of the first trial has no rows cli.14, 16, 18, 19, 21, 22, 24 and 25, which stood between
fields that were given nan: here they are floats in the same groups.
"""

from tests.measure.bad_inputs.case import Case, Stage
from tests.measure.bad_inputs.shared import training

_WEIGHT = "a number of at least 0 and at most 1000000"
_SHARE = "a number of at least 0 and at most 1"
_BELOW_ONE = "a number of at least 0 and below 1"
_SEED = "a whole number of at least 0 and below 4294967296"

# id, field, value, what is expected of it. The answer also says what the field is.
_OUT_OF_RANGE = [
    (4, "train.num_epochs", "-1", "a whole number of at least 1 and at most 100000"),
    (6, "train.num_epochs", str(10**30), "a whole number of at least 1 and at most 100000"),
    (8, "train.batch_size", "-8", "a whole number of at least 1"),
    (10, "evaluation.batch_size", str(10**12), "a whole number of at least 1 and at most 1048576"),
    (11, "optimizer.learning_rate", "nan", "a number of at least 0 and at most 100"),
    (12, "optimizer.weight_decay", "nan", "a number of at least 0 and at most 10"),
    (13, "optimizer.momentum", "nan", _BELOW_ONE),
    (14, "optimizer.epsilon", "nan", "a number above 0 and at most 1"),
    (15, "optimizer.clip_norm", "nan", _WEIGHT),
    (16, "optimizer.ema_decay", "nan", _BELOW_ONE),
    (17, "loss.weight", "nan", _WEIGHT),
    (18, "loss.pairwise_weight", "nan", _WEIGHT),
    (19, "loss.label_smoothing", "nan", _BELOW_ONE),
    (20, "augment.rotation", "nan", "a number of at least 0 and at most 180"),
    (21, "augment.flip", "nan", _SHARE),
    (22, "augment.erasing", "nan", _SHARE),
    (23, "train.watchdog_minutes", "nan", _WEIGHT),
    (24, "optimizer.plateau.factor", "nan", _BELOW_ONE),
    (25, "optimizer.plateau.threshold", "nan", _WEIGHT),
    (26, "optimizer.plateau.minimum", "nan", _SHARE),
    (27, "optimizer.learning_rate", "inf", "a number of at least 0 and at most 100"),
    (28, "loss.weight", "inf", _WEIGHT),
    (29, "augment.rotation", "inf", "a number of at least 0 and at most 180"),
    (30, "augment.erasing_aspect", "inf", "a number of at least 1 and at most 100"),
    (31, "train.watchdog_minutes", "inf", _WEIGHT),
    (32, "optimizer.warmup_epochs", "inf", "a number of at least 0 and at most 100000"),
    (33, "train.watchdog_minutes", "-1.0", _WEIGHT),
    (60, "seed", str(2**32), _SEED),
    (62, "seed", str(2**63), _SEED),
    (67, "dataset.num_threads", "1000000", "a whole number of at least 0 and at most 4096"),
    (70, "train.checkpoint_every_steps", "-1", "a whole number of at least 0"),
]
# id, field, value, what is expected of it: values of another type.
_OF_ANOTHER_TYPE = [
    (3, "train.num_epochs", "abc", "expected a whole number"),
    (5, "train.num_epochs", "1.5", "expected a whole number"),
    (42, "model.width", "abc", "expected a whole number"),
]
# id, what, overrides, what is said: one of each kind that was answered well.
_OTHERS = [
    (9, "a batch of 10^9", ["train.batch_size=1000000000"], "at most 1048576"),
    (34, "the larger first", ["augment.erasing_area=(0.9,0.1)"], "the smaller first"),
    (
        35,
        "a text for two numbers",
        ["augment.erasing=0.5", "augment.erasing_area=nonsense"],
        "augment.erasing_area[0] is 'nonsense'; expected a number above 0 and below 1",
    ),
    (36, "an unknown view", ["evaluation.test_views=('evil',)"], "one of single, flip, ten_crop"),
    (45, "two channels", ["model.channels=2"], "model.channels is 2; expected one of 1, 3"),
    (47, "an unknown attention", ["model.attention=evil"], "expected one of none, se, cbam"),
    (48, "a type that is near", ["model.dtype=float8"], "Did you mean 'float32'?"),
    (54, "a weight of NaN", ["loss.class_weights=1+nan"], "loss.class_weights[1] is nan"),
    (56, "weights of 0", ["loss.class_weights=0+0"], "expected a number above 0 among them"),
    (71, "3 parts of 8", ["optimizer.accumulation_steps=3"], "use 6 or 9"),
    (78, "an honest run that selects on test", ["protocol.selection=test"], "'paper'"),
    (80, "a path as a name", ["dataset.options.name=../../x"], "small letters, digits and _"),
]


def _ran(stage: Stage) -> None:
    assert not (stage.here / "ran").exists(), "the value of a field was run as code"


CASES = [
    *(
        Case(
            f"cli.{number}",
            f"{field}={value}",
            training(f"--config.{field}={value}"),
            says=[f"{field} is {value}; expected {expected}", "It is "],
        )
        for number, field, value, expected in _OUT_OF_RANGE
    ),
    *(
        Case(
            f"cli.{number}",
            f"{field}={value}",
            training(f"--config.{field}={value}"),
            says=[f"--config.{field} is {value!r}", expected],
            never=["int()"],
        )
        for number, field, value, expected in _OF_ANOTHER_TYPE
    ),
    *(
        Case(
            f"cli.{number}", what, training(*(f"--config.{one}" for one in overrides)), says=[said]
        )
        for number, what, overrides, said in _OTHERS
    ),
    Case(
        "cli.39",
        "code as the value of a field",
        training("--config.evaluation.test_views=__import__('os').system('touch ran')"),
        says=["evaluation.test_views", "expected one of single, flip, ten_crop"],
        check=_ran,
    ),
]
