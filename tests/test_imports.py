"""Imports point one way, and importing ferjax stays light."""

import ast
from graphlib import CycleError, TopologicalSorter

# From the bottom to the top. A module imports from its own layer or from lower ones, never from
# a higher one, and nowhere in a circle. Modules of a package that are not named are in its layer.
# Imports inside functions count too, except in `ferjax` itself, whose names are loaded when they
# are first asked for.
LAYERS = [
    ["ferjax", "ferjax.defaults", "ferjax.errors"],
    [
        "ferjax.arguments",
        "ferjax.command",
        "ferjax.config_errors",
        "ferjax.huge_pages",
        "ferjax.places",
    ],
    ["ferjax.distributed", "ferjax.peers"],
    ["ferjax.compiled", "ferjax.hardware"],
    [
        "ferjax.losses",
        "ferjax.objective",
        "ferjax.plateau",
        "ferjax.protocol",
        "ferjax.metrics",
        "ferjax.data.augment",
        "ferjax.data.clean",
        "ferjax.data.examples",
        "ferjax.data.labels",
        "ferjax.data.preprocess",
        "ferjax.data.views",
        "ferjax.models.attention",
        "ferjax.models.convolution",
        "ferjax.models.frozen",
        "ferjax.models.cpu_convolution",
        "ferjax.models.initialization",
        "ferjax.models.layers",
        "ferjax.models.named",
        "ferjax.models.norm",
        "ferjax.models.normalization",
        "ferjax.models.pooling",
        "ferjax.models.tiny_maps",
        "ferjax.models.tpu_convolution",
        "ferjax.models.weight_files",
        "ferjax.models.winograd",
    ],
    [
        "ferjax.checkpoints",
        "ferjax.data",
        "ferjax.evaluation",
        "ferjax.interruption",
        "ferjax.jsonl",
        "ferjax.lease",
        "ferjax.models",
        "ferjax.optim",
        "ferjax.profiling",
        "ferjax.progress",
        "ferjax.rundir",
        "ferjax.selection",
        "ferjax.sharding",
        "ferjax.step",
        "ferjax.tables",
        "ferjax.watchdog",
        "ferjax.writer",
    ],
    ["ferjax.config_datasets", "ferjax.programs"],
    ["ferjax.experiment_data"],
    ["ferjax.experiment"],
    ["ferjax.absent_data"],
    ["ferjax.ahead"],
    ["ferjax.classifier", "ferjax.report", "ferjax.summaries", "ferjax.throughput"],
    ["ferjax.cross_dataset"],
    ["ferjax.starting"],
    ["ferjax.agreement", "ferjax.late_metrics", "ferjax.stages"],
    ["ferjax.train"],
    ["ferjax.runs"],
    ["ferjax.ahead_tables"],
    ["ferjax.main", "ferjax.evaluate", "ferjax.predict", "ferjax.benchmark", "ferjax.aot"],
]
LAYER = {module: number for number, layer in enumerate(LAYERS) for module in layer}
PACKAGES = ("ferjax.compiled", "ferjax.data", "ferjax.hardware", "ferjax.models")
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
    trees = modules(repository)
    return {
        name: {target for target in imported(tree, set(trees)) if target in trees} - {name}
        for name, tree in trees.items()
        if name not in LIGHT
    }


def layer_of(name):
    package = next((package for package in PACKAGES if name.startswith(package + ".")), None)
    return LAYER.get(name, LAYER.get(package))


def test_every_module_has_a_layer(repository):
    assert [name for name in modules(repository) if layer_of(name) is None] == []


def test_no_import_runs_up(repository):
    up = [
        f"{name} imports {target}"
        for name, targets in arrows(repository).items()
        for target in targets
        if layer_of(target) > layer_of(name)
    ]
    assert up == []


def test_no_import_runs_in_a_circle(repository):
    try:
        tuple(TopologicalSorter(arrows(repository)).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_each_outside_writer_has_one_file(repository):
    owners = {"tensorboardX": {"ferjax.writer"}, "orbax": {"ferjax.checkpoints"}}
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
    allowed = {"ferjax.arguments", "ferjax.config_datasets", "ferjax.defaults"}
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
