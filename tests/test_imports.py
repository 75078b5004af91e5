"""Imports run down the floors, between rooms and within them, and importing ferjax stays light."""

import ast
from graphlib import CycleError, TopologicalSorter

# From the top to the bottom. A room is a folder or a file of ferjax/; it imports from the floors
# below its own. Imports inside functions count too, except in `ferjax` itself, whose names are
# loaded when they are first asked for.
FLOORS = [
    ["main", "evaluate", "predict", "benchmark", "aot"],
    ["analysis", "performance", "reproduce"],
    ["training"],
    ["evaluation", "config"],
    ["inference"],
    ["data", "models", "workdir", "json_output"],
    ["distributed", "cli", "filesystem"],
    ["interrupts", "local_files", "losses", "metrics", "object_store", "random_streams"],
    ["errors", "refusals", "stored_json"],
]
# Commands whose names are those of a room further down.
FRONT_DOORS = {"ferjax.data.preview", "ferjax.models.__main__", "ferjax.models.pack"}
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
LIGHT = {"ferjax"}


def modules(repository):
    """Module name -> its syntax tree, for every file of the package."""
    trees = {}
    for path in sorted((repository / "ferjax").rglob("*.py")):
        parts = path.relative_to(repository).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(), str(path))
    return trees


def imported(tree, known):
    """Names of the modules that a tree imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            children = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from ferjax import losses` imports the module ferjax.losses, not a name of ferjax.
            modules = children & known
            found |= modules or {node.module}
    return found


def arrows(repository):
    """Module -> the modules of ferjax that it imports."""
    trees = modules(repository)
    return {
        name: {target for target in imported(tree, set(trees)) if target in trees} - {name}
        for name, tree in trees.items()
        if name not in LIGHT
    }


def room_of(module):
    if module in FRONT_DOORS:
        return "main"
    return module.split(".")[1] if "." in module else ""  # `ferjax` itself holds names alone


def test_the_floors_hold_every_room_and_nothing_else(repository):
    rooms = {room_of(name) for name in modules(repository) if name not in LIGHT}
    assert rooms == set(FLOOR)
    assert len(list((repository / "ferjax").glob("[!_.]*"))) <= 30 and len(FLOORS) <= 9


def test_no_import_runs_up(repository):
    up = [
        f"{name} imports {target}"
        for name, targets in arrows(repository).items()
        for target in targets
        if room_of(target) not in ("", room_of(name))
        and FLOOR[room_of(target)] <= FLOOR[room_of(name)]
    ]
    assert up == []


def test_no_import_runs_in_a_circle(repository):
    try:
        tuple(TopologicalSorter(arrows(repository)).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_each_outside_writer_has_one_file(repository):
    owners = {
        "tensorboardX": {"ferjax.workdir.tensorboard"},
        "orbax": {"ferjax.workdir.checkpoint_files", "ferjax.workdir.checkpoints"},
    }
    for package, allowed in owners.items():
        users = {
            name
            for name, tree in modules(repository).items()
            if any(target.split(".")[0] == package for target in imported(tree, set()))
        }
        assert users == allowed, package


def test_nothing_imports_tensorflow_or_a_pickle(repository):
    for name, tree in modules(repository).items():
        roots = {target.split(".")[0] for target in imported(tree, set())}
        assert not roots & {"tensorflow", "pickle", "cloudpickle"}, name
        # Its safe loader reads .pth files where PyTorch happens to be installed.
        assert "torch" not in roots or name == "ferjax.models.weight_files", name


def test_configs_import_only_what_configs_are_made_of(repository):
    names = ("arguments", "datasets", "fields", "recipes", "starts")
    allowed = {f"ferjax.config.{name}" for name in names}
    for path in (repository / "configs").glob("*.py"):
        found = imported(ast.parse(path.read_text()), allowed)
        ours = {target for target in found if target.split(".")[0] == "ferjax"}
        assert ours <= allowed, path.name


def test_importing_ferjax_is_light(run_python):
    heavy = "{'jax', 'flax', 'tensorflow_datasets', 'matplotlib', 'orbax', 'grain', 'numpy'}"
    done = run_python(f"import sys, ferjax; print(sorted({heavy} & set(sys.modules)))")
    assert done.stdout.strip() == "[]"


def test_importing_everything_leaves_tensorflow_alone(run_python, repository):
    names = ", ".join(sorted(modules(repository)))
    done = run_python(f"import sys, {names}; print('tensorflow' in sys.modules)")
    assert done.stdout.strip() == "False"
