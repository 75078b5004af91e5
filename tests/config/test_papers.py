"""The register of the papers' numbers is whole, its rows build, and nothing else repeats it."""

import collections
import functools
import math
import re
import tomllib
from decimal import Decimal

import pytest

from ferjax.cli import config_flags
from ferjax.config import checks, papers
from ferjax.errors import UserError
from ferjax.models import published

# Counted by hand, by table; "" is the abstract and the text.
COUNTS = {
    # Attention in 3 rows and losses in 3 rows, each on 3 data sets; CBAM on CK+ once more in table
    # 5; 8 values of lambda; the diagonals of 2 matrices of 7 classes; 2 numbers of the abstract and
    # 2 recalls of the text.
    "sun2021": {"table1": 9, "table2": 8, "table3": 7, "table4": 7, "table5": 10, "": 4},
    # 2 rows with loss and accuracy of training and test; both accuracies again in the text.
    "luo2023": {"table1": 8, "": 2},
    # The paper's own row and 6 that it compares with.
    "tam2021": {"table3": 7},
    # 4 trunks alone, 4 late, 3 early and 3 joint fusions; 2 attention fusions and the ablation.
    "tran2023": {"table1": 14, "table2": 3},
}
# The images that luo2023 tests are those of both splits.
BOTH = {"luo2023"}


def own(row, dataset, metric="accuracy"):
    """The numbers of a row; the first is its own."""
    return [one.value for one in row.printed if (one.dataset, one.metric) == (dataset, metric)]


ROWS = [
    pytest.param(table, row, id=f"{key}-{row.name}")
    for key, table in papers.tables().items()
    for row in table.rows
]
# Table, row and data set of each config that the register asks for.
MADE = [
    pytest.param(table, row, dataset, id=f"{table.key}-{row.name}-{dataset}")
    for table in papers.tables().values()
    for row in table.rows
    for dataset in table.datasets
    if not row.is_context
]


@functools.cache
def get_config_of(path):
    return config_flags.load(path, "the register")


def config_of(table, row, dataset, repository):
    path = str(repository / table.config)
    arguments = ",".join(filter(None, [row.arguments, f"dataset={dataset}"]))
    return config_flags.made(get_config_of(path), path, row.name, arguments)


@pytest.fixture(scope="module")
def text(repository):
    """The text of the register."""
    return (repository / "ferjax" / "config" / "papers.toml").read_text()


def decimals(value):
    """Every number of a part of the register, as its text has it."""
    if isinstance(value, list):
        return [found for item in value for found in decimals(item)]
    if not isinstance(value, dict):
        return []
    return [*([value] if "value" in value else []), *decimals(list(value.values()))]


def as_printed(text):
    """Paper -> its numbers, with values of type Decimal, which keep the digits."""
    exact = tomllib.loads(text, parse_float=Decimal)
    return {key: decimals(fields) for key, fields in exact.items()}


def found_in(number, text):
    """How often a number stands in a text, also without its leading zero."""
    digits = re.escape(str(number).removeprefix("0"))
    return len(re.findall(rf"(?<![\d.])0?{digits}(?!\d|\.\d)", text))


def test_the_register_has_every_number_of_the_papers():
    for paper, found in papers.papers().items():
        places = collections.Counter(
            one.where if any(one.where == table.name for table in found.tables) else ""
            for one in papers.numbers(paper)
        )
        assert places == COUNTS[paper]
    assert set(papers.papers()) == set(COUNTS)
    assert sum(len(papers.numbers(paper)) for paper in COUNTS) == 79


def test_each_number_stands_in_the_register_once(text):
    values = [number["value"] for found in as_printed(text).values() for number in found]
    assert len(values) == 79
    for value, count in collections.Counter(values).items():
        assert found_in(value, text) == count, f"{value} also stands in a remark or a comment"


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_a_row_of_a_table_is_well_formed(table, row):
    assert re.fullmatch(r"[a-z0-9_.]+", row.name) and row.title
    assert table.kind in ("scores", "confusion")
    assert not re.search(r"(^|,)(seed|dataset)=", row.arguments)
    assert row.printed and {one.dataset for one in row.printed} <= set(table.datasets)
    metrics = {one.metric for one in row.printed}
    if table.kind == "confusion":
        assert metrics == {"recall"}
    else:
        assert metrics <= {"accuracy", "loss", "train_accuracy", "train_loss"}
        assert all(own(row, dataset) for dataset in table.datasets)
    if row.is_context:
        assert (row.arguments, row.trunks, row.imagenet) == ("", (), "")


def test_a_confusion_matrix_has_the_recall_of_every_class(repository):
    manifest = tomllib.loads((repository / "third_party" / "datasets.toml").read_text())
    found = [table for table in papers.tables().values() if table.kind == "confusion"]
    assert [table.key for table in found] == ["sun2021/table3", "sun2021/table4"]
    for table in found:
        for row in table.rows:
            assert [one.class_name for one in row.printed] == manifest["fer2013"]["classes"]


@pytest.mark.parametrize("key", list(papers.tables()))
def test_a_table_names_each_row_once_and_orders_rows_that_it_has(key):
    table = papers.table(key)
    assert table.key == key and table.datasets
    rows = {row.name: row for row in table.rows}
    assert len(rows) == len(table.rows)
    assert len(set(table.orderings)) == len(table.orderings)
    rows |= {name: row for name, row in papers.rows(table.paper).items() if name not in rows}
    for lower, higher in table.orderings:
        assert {lower, higher} & {row.name for row in table.rows}
        assert not rows[lower].is_context and not rows[higher].is_context
        for dataset in table.datasets:
            assert own(rows[lower], dataset)[0] < own(rows[higher], dataset)[0], (lower, higher)


def test_rows_of_one_name_are_one_experiment():
    for paper, found in papers.papers().items():
        for row in (row for table in found.tables for row in table.rows):
            merged = papers.rows(paper)[row.name]
            for field in ("arguments", "trunks", "imagenet", "is_context"):
                assert getattr(row, field) == getattr(merged, field), (paper, row.name, field)


def test_a_row_of_several_tables_has_the_numbers_of_all():
    island = papers.rows("sun2021")["island"]
    assert island.title == "lambda 0.5; Res18 + CBAM, island loss"
    assert len(island.printed) == 1 + 7 + 3 and len(own(island, "ck_plus")) == 2


@pytest.mark.parametrize(("table", "row", "dataset"), MADE)
def test_every_row_makes_a_config_of_its_paper(table, row, dataset, repository):
    config = config_of(table, row, dataset, repository)
    checks.check(config)
    assert (config.paper, config.dataset.name) == (table.paper, dataset)
    assert config.paper_start == ("imagenet" if row.imagenet else "")
    if row.imagenet:
        assert published.FILES[row.imagenet] == published.file_of(config.model.name)
    assert not (row.imagenet and row.trunks)
    trunks = [papers.rows(table.paper)[name] for name in row.trunks]
    made = [config_of(table, trunk, dataset, repository) for trunk in trunks]
    assert tuple(one.model.name for one in made) == tuple(config.model.get("trunks", ()))
    assert all("fusion=none" in trunk.arguments and trunk.imagenet for trunk in trunks)


def test_rows_of_two_names_are_two_experiments(repository):
    names = collections.defaultdict(set)
    for table, row, dataset in (param.values for param in MADE):
        config = config_of(table, row, dataset, repository)
        names[table.paper, dataset, config.to_json()].add(row.name)
    assert all(len(found) == 1 for found in names.values()), names.values()


def test_numbers_of_a_text_are_about_rows_of_the_paper():
    for paper, found in papers.papers().items():
        for one in found.texts:
            row = papers.rows(paper)[one.row]
            of_tables = [
                printed.value
                for printed in row.printed
                if (printed.dataset, printed.metric, printed.class_name)
                == (one.dataset, one.metric, one.class_name)
            ]
            assert of_tables and one.value not in of_tables and one.remark


def test_numbers_that_no_count_of_images_gives_are_marked(text, repository):
    manifest = tomllib.loads((repository / "third_party" / "datasets.toml").read_text())
    wrong, marked = [], 0
    for paper, numbers in as_printed(text).items():
        for number in numbers:
            known = manifest[number["dataset"]].get("splits", {})
            metric = number.get("metric", "accuracy")
            if "test" not in known or metric not in ("accuracy", "recall"):
                continue  # nobody knows which images of CK+ the paper tests
            images = dict(zip(manifest[number["dataset"]]["classes"], known["test"], strict=True))
            total = sum(images.values()) + (sum(known["validation"]) if paper in BOTH else 0)
            count = images[number["class_name"]] if metric == "recall" else total
            mark = "" if is_share(number["value"], count) else f"no k/{count}"
            said = re.match(r"no k/\d+|", number.get("remark", ""))[0]
            marked += bool(said)
            if mark != said:
                wrong.append(f"{number}: the remark begins with {said!r}, expected {mark!r}")
    assert not wrong, "\n".join(wrong)
    assert marked > 20


def is_share(value, count):
    """Whether some k of `count` is `value` %, rounded or cut to its digits."""
    unit = Decimal(1).scaleb(value.as_tuple().exponent)
    near = math.floor(value * count / 100)
    errors = [Decimal(100 * k) / count - value for k in (near - 1, near, near + 1, near + 2)]
    return any(-unit / 2 <= error < unit for error in errors)


def test_configs_do_not_repeat_the_register(text, repository):
    sources = [*(repository / "configs").glob("*.py"), repository / "configs" / "README.md"]
    assert len(sources) == 1 + len(papers.papers())
    values = {number["value"] for found in as_printed(text).values() for number in found}
    for path in sources:
        source = path.read_text()
        repeated = [str(value) for value in values if found_in(value, source)]
        assert not repeated, f"{path.name} repeats {repeated}"


# Row of the README's table of results -> paper and row of the register.
RESULTS = {
    "sun2021, CBAM + island loss, 3.6 million parameters": ("sun2021", "island"),
    "the same with `recipe=strong`": ("sun2021", "island"),
    "its weights, trained on for 30 epochs": ("sun2021", "island"),
    "luo2023, CNN": ("luo2023", "cnn"),
    "luo2023, CNN with SE": ("luo2023", "se_cnn"),
    "tran2023, resnet18 alone": ("tran2023", "resnet18"),
    "tran2023, resnet34 alone": ("tran2023", "resnet34"),
    "tran2023, late fusion": ("tran2023", "late_resnet18_resnet34"),
    "tran2023, early fusion": ("tran2023", "early_resnet18_resnet34"),
    "tran2023, joint fusion": ("tran2023", "joint_resnet18_resnet34"),
    "tran2023, attention fusion": ("tran2023", "attention_resnet18_resnet34"),
}


def cells(text):
    """The cells of every line of a Markdown table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_readmes_results_have_the_papers_numbers(repository):
    lines = cells((repository / "README.md").read_text())
    begin = next(index for index, line in enumerate(lines) if line[:2] == ["row", "paper"])
    found = {line[0]: line[1] for line in lines[begin + 2 : begin + 2 + len(RESULTS)]}
    for label, (paper, name) in RESULTS.items():
        number, *rest = found[label].split()
        dataset = "raf_db" if "(RAF-DB," in rest else "fer2013"
        assert own(papers.rows(paper)[name], dataset) == [float(number)], label


def test_the_readmes_measured_tables_have_the_papers_numbers(repository):
    lines = cells((repository / "README.md").read_text())
    begin = next(at for at, line in enumerate(lines) if line[:2] == ["row", "paper, 200 epochs"])
    names = ("res18", "se", "cbam", "center", "island")
    for name, line in zip(names, lines[begin + 2 :], strict=False):
        numbers = [float(number) for number in re.findall(r"\d+\.\d+", line[1])]
        assert numbers == own(papers.rows("sun2021")[name], "fer2013"), line[0]


def test_the_training_guide_has_the_papers_numbers(repository):
    text = (repository / "ferjax" / "training" / "README.md").read_text()
    found = {line[0]: line[2:] for line in cells(text) if line[1:2] == ["paper"]}
    assert list(found) == [row.title for row in papers.rows("luo2023").values()]
    for row in papers.rows("luo2023").values():
        assert [one.metric for one in row.printed] == [
            "train_loss",
            "train_accuracy",
            "loss",
            "accuracy",
        ]
        assert [one.value for one in row.printed] == [float(cell) for cell in found[row.title]]
    said = re.findall(r"The paper reports\s+([\d.]+)", text)
    assert [float(number) for number in said] == own(papers.rows("sun2021")["island"], "fer2013")


def test_an_unknown_table_or_paper_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'sun2021/table5'"):
        papers.table("sun2021/tabel5")
    for look_up in (papers.rows, papers.numbers):
        with pytest.raises(UserError, match="expected one of sun2021, luo2023, tam2021, tran2023"):
            look_up("sun")
