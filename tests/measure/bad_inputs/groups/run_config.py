"""config.json of a run folder, damaged, given to `predict`."""

from tests.helpers import strangers as made
from tests.measure.bad_inputs import damaged_runs
from tests.measure.bad_inputs.case import Case

_FIX = "estore it from a copy"
_FILES = {
    "c_nonsense": ("text", "not json", "is damaged (Expecting value"),
    "c_list": ("a list", "[1, 2]", "holds [1, 2], expected an object"),
    "c_int": ("a number", "5", "holds 5, expected an object"),
    "c_empty": ("nothing", "", "is damaged (Expecting value"),
    "c_deep": ("100,000 objects in each other", damaged_runs.DEEP, "nested deeper than 64 levels"),
    "c_deeplist": (
        "100,000 lists in each other",
        damaged_runs.DEEP_LIST,
        "nested deeper than 64 level",
    ),
    "c_nonutf8": ("no UTF-8", b'{"seed": "\xff"}', "is damaged ('utf-8' codec"),
    "c_bigint": ("5,000 digits", '{"seed": ' + "9" * 5000 + "}", "is damaged (Exceeds the limit"),
}
_FIELDS = {
    "c_model_str": ("model", "x", "model is 'x'; expected a group"),
    "c_dataset_none": ("dataset", None, "dataset is None; expected a group"),
    "c_limit_str": ("dataset/limit_mib", "x", "dataset.limit_mib is 'x'; expected a whole number"),
    "c_evalbatch_str": (
        "evaluation/batch_size",
        "16",
        "evaluation.batch_size is '16'; expected a whole number",
    ),
    "c_evalbatch_float": (
        "evaluation/batch_size",
        16.5,
        "evaluation.batch_size is 16.5; expected a whole number",
    ),
    "c_views_int": ("evaluation/test_views", 3, "evaluation.test_views is 3; expected"),
    "c_protocol_extra": ("protocol/evil", 1, "no config field 'protocol.evil'"),
    "c_plateau_extra": ("optimizer/plateau/evil", 1, "no config field 'optimizer.plateau.evil'"),
    "c_mixedlist": (
        "departures",
        ["x", {"a": 1}],
        "has departures with a list or an object in a list, expected plain values",
    ),
    "c_key_dot": ("a.b", 1, "has a.b as a field, expected the name of one"),
    "c_seed_str": ("seed", "7", "seed is '7'; expected a whole number"),
    "c_seed_null": ("seed", None, "seed is None; expected a whole number"),
    "c_reserved": ("__class__", 1, "has __class__ as a field, expected the name of one"),
}
_OTHERS = {
    "c_empty_obj": (
        "an empty object",
        damaged_runs.file("config.json", "{}"),
        ["holds files of two runs", "in config.json and", "Restore the folder from a copy"],
    ),
    "c_dir": (
        "a folder",
        damaged_runs.replaced("config.json", made.folder),
        ["config.json cannot be read (it is a folder", _FIX],
    ),
    "c_fifo": (
        "a FIFO",
        damaged_runs.replaced("config.json", made.fifo),
        ["config.json cannot be read (it is a FIFO", _FIX],
    ),
    "c_socket": (
        "a socket",
        damaged_runs.replaced("config.json", made.a_socket),
        ["config.json cannot be read (it is a socket", _FIX],
    ),
}

CASES = [
    *(
        Case(
            f"run.{name}",
            f"config.json: {what}",
            damaged_runs.predict(damaged_runs.file("config.json", content)),
            says=["config.json", said, _FIX],
        )
        for name, (what, content, said) in _FILES.items()
    ),
    *(
        Case(
            f"run.{name}",
            f"config.json: {path} is {value!r}",
            damaged_runs.predict(damaged_runs.fields("config.json", (path, value))),
            says=["config.json", said, _FIX],
        )
        for name, (path, value, said) in _FIELDS.items()
    ),
    *(
        Case(f"run.{name}", f"config.json: {what}", damaged_runs.predict(damage), says=said)
        for name, (what, damage, said) in _OTHERS.items()
    ),
    Case(
        "run.c_missing",
        "no config.json: the checkpoint alone is enough to predict",
        damaged_runs.predict(damaged_runs.removed("config.json")),
        code=0,
        says=["0.png"],
    ),
    Case(
        "run.c_missing_evaluate",
        "no config.json, evaluated",
        damaged_runs.evaluate(damaged_runs.removed("config.json")),
        says=["run is not a run directory: it has no config.json", "Give the --workdir of a run"],
    ),
]
