"""Results as tables for people: on a terminal they fit its width, elsewhere no line is folded.

K classes; rows of a confusion matrix are true classes, columns predicted ones. Rates are fractions
in [0, 1] and are shown in percent. Every text is shown literally.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ferjax.cli import output
from ferjax.errors import one_line
from ferjax.metrics import Metrics, SeedSummary, wilson


def score_table(scores: Mapping[str, Mapping[str, Metrics]], title: str = "Scores") -> Table:
    """Accuracy with its 95 % interval (see `interval`), macro-F1 and loss: a row for each score.

    Where examples lack a class, the macro-F1 of the classes present stands below the table.

    Args:
        scores: `scores[view][split]`, such as `{"single": {"test": ..., "test_clean": ...}}`.
        title: printed above.
    """
    table = _table(title)
    table.collapse_padding = True  # so that the columns fit a terminal
    table.add_column("view", no_wrap=True)
    table.add_column("images of", overflow="fold")
    for name in ("images", "accuracy", "95 % interval", "macro-F1", "loss"):
        table.add_column(name, justify="right", no_wrap=True)
    for view, row in scores.items():
        for split, metrics in row.items():
            add_row(
                table,
                view,
                split,
                str(metrics["num_examples"]),
                _percent(metrics["accuracy"]),
                _interval_of_accuracy(metrics),
                _percent(metrics["macro_f1"]),
                f"{metrics['loss']:.4f}",
            )
    present = [
        f"{view}, {split} {_percent(metrics['macro_f1_present'])}"
        for view, row in scores.items()
        for split, metrics in row.items()
        if metrics.get("macro_f1_present", metrics["macro_f1"]) != metrics["macro_f1"]
    ]
    if present:
        table.caption = _text(
            "A class without examples counts as 0 in macro-F1. Over the classes that have examples "
            f"it is: {'; '.join(present)}"
        )
        table.caption_justify = "left"
    return table


def calibration_table(
    scores: Mapping[str, Mapping[str, Any]], title: str = "Balance and calibration"
) -> Table:
    """Balanced accuracy, top-2 accuracy, and calibration before and after a temperature.

    ECE is the expected calibration error, NLL the negative log-likelihood.

    Args:
        scores: as in `score_table`, with the metrics of `evaluation.described`.
        title: printed above.
    """
    table = _table(title)
    table.collapse_padding = True
    table.add_column("view", no_wrap=True)
    table.add_column("images of", overflow="fold")
    for name in ("balanced", "top-2", "ECE", "ECE cal.", "NLL", "NLL cal."):
        table.add_column(name, justify="right", no_wrap=True)
    for view, row in scores.items():
        for split, metrics in row.items():
            after = metrics.get("calibrated")
            add_row(
                table,
                view,
                split,
                _percent(metrics["balanced_accuracy"]),
                _percent(metrics["top2_accuracy"]),
                _percent(metrics["calibration_error"]),
                "-" if after is None else _percent(after["calibration_error"]),
                f"{metrics['loss']:.4f}",
                "-" if after is None else f"{after['loss']:.4f}",
            )
    return table


def class_table(names: Sequence[str], metrics: Metrics, title: str = "Classes") -> Table:
    """Examples, recall with its 95 % interval, precision and F1 of each class.

    The intervals are Wilson's: they say how far the number of examples leaves the rate open, if
    these are independent draws. That of the accuracy below the table is the one of the metrics,
    where they have one. A class without examples has no recall and no F1, one that is never
    predicted no precision.
    """
    table = _table(title)
    table.add_column("class", overflow="fold")
    for name in ("examples", "recall", "95 % interval", "precision", "F1"):
        table.add_column(name, justify="right")
    columns = zip(
        names,
        metrics["confusion"],
        metrics["per_class_recall"],
        metrics["per_class_precision"],
        metrics["per_class_f1"],
        strict=True,
    )
    for number, (name, counts, recall, precision, f1) in enumerate(columns):
        examples = sum(counts)
        predicted = sum(row[number] for row in metrics["confusion"])
        shown = [_percent(recall), interval(counts[number], examples)] if examples else ["-", "-"]
        shown += [_percent(precision) if predicted else "-", _percent(f1) if examples else "-"]
        add_row(table, name, str(examples), *shown)
    table.caption = _text(
        f"accuracy {_percent(metrics['accuracy'])} of {metrics['num_examples']:,}, 95 % interval "
        f"{_interval_of_accuracy(metrics)}"
    )
    table.caption_justify = "left"
    return table


def interval(hits: int, total: int) -> str:
    """Wilson's 95 % interval of a rate in percent; `total` is at least 1."""
    return _ends(wilson(hits, total))


def confusion_table(
    names: Sequence[str],
    confusion: Sequence[Sequence[int]],
    title: str = "Confusion matrix (rows: true class, columns: predicted class)",
) -> Table:
    """Counts; names of columns that do not fit side by side go over several lines."""
    table = _table(title)
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(_text(name), justify="right", overflow="fold")
    for name, counts in zip(names, confusion, strict=True):
        add_row(table, name, *map(str, counts))
    return table


def figure_table(rows: Mapping[str, str], title: str) -> Table:
    """Named figures that carry their own units."""
    table = _table(title)
    table.add_column("")
    table.add_column("", justify="right")
    for name, figure in rows.items():
        add_row(table, name, figure)
    return table


def plain_table(title: str, columns: Sequence[str], names: int = 2) -> Table:
    """An empty table for `add_row`; so many columns on the left hold names, the others figures."""
    table = _table(title)
    for number, name in enumerate(columns):
        table.add_column(
            _text(name), justify="left" if number < names else "right", overflow="fold"
        )
    return table


def add_row(table: Table, *cells: str) -> None:
    """Adds a row whose cells are shown as they are: brackets in a name are no markup."""
    table.add_row(*map(_text, cells))


def seed_table(summaries: Mapping[str, SeedSummary], title: str) -> Table:
    """Mean, standard deviation and 95 % interval over seeds, one row per named fraction."""
    table = _table(title)
    table.add_column("")
    for name in ("runs", "mean", "sd", "95 % interval"):
        table.add_column(name, justify="right")
    for name, summary in summaries.items():
        sd, interval = "-", "-"
        if summary["sd"] is not None:
            sd = _percent(summary["sd"])
        if summary["ci95"] is not None:
            interval = " to ".join(map(_percent, fractions(summary["ci95"])))
        add_row(table, name, str(summary["n"]), _percent(summary["mean"]), sd, interval)
    return table


def fractions(ends: Sequence[float]) -> list[float]:
    """The ends of an interval of a fraction; Student's may lie beyond 0 and 1."""
    return [min(max(end, 0.0), 1.0) for end in ends]


def points(difference: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return f"{100 * difference:+.2f}"


def points_interval(ends: tuple[float, float] | None) -> str:
    """An interval of such a difference; a dash where there is none."""
    return "-" if ends is None else " to ".join(map(points, ends))


def print_tables(*tables: Table, console: Console | None = None) -> None:
    """Prints tables on standard output, or on `console`, with an empty line before each."""
    if console is None:
        with output.page() as console:
            print_tables(*tables, console=console)
        return
    for table in tables:
        for text in (table.title, table.caption):
            # Rich folds both at the width of the table, however wide the console is.
            if isinstance(text, Text) and console.width == output.UNFOLDED:
                text.no_wrap, text.overflow = True, "ignore"
        console.print()
        console.print(table)


def _ends(found: Sequence[float]) -> str:
    return f"{100 * found[0]:.1f} to {100 * found[1]:.1f} %"


def _interval_of_accuracy(metrics: Metrics) -> str:
    """That of the metrics, which may know that images are of the same persons; else Wilson's."""
    found = dict(metrics).get("intervals")
    if isinstance(found, Mapping) and "accuracy" in found:
        return _ends(found["accuracy"])
    hits = sum(counts[number] for number, counts in enumerate(metrics["confusion"]))
    return interval(hits, metrics["num_examples"])


def _table(title: str) -> Table:
    return Table(
        title=_text(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )


def _text(text: str) -> Text:
    return Text(one_line(text))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
