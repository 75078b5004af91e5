"""The result of an audit in numbers: the fields of audit.json, and the tables on a terminal.

audit.json, format 1. An image is {"split", "position" (in the order of Source.load(split)), "key",
"label", and "subject" where the data set says}. A group is {"images", "labels", "splits",
"subjects", "conflict" (several labels), "leak" (several splits or several persons)}; groups are
listed in full, the worst first.

    format          1
    dataset, title, fingerprint, options (of the data set's scheme), classes
    remark          what makes a test on these splits optimistic; ""
    thresholds      min_contrast (grey levels), max_distance (bits), min_similarity
    figures         the counts of the summary, by name; see `figures`
    balance         for each split: split, counts (by class), ratio (largest class over smallest,
                    null where a class has no example)
    leaks           for each later and each earlier split: split, other, exact (images of `split`
                    whose pixels are in `other` too), near (images of `split` with only a near
                    duplicate there)
    exact_groups    exact copies
    near_groups     what near duplicates connect, with the exact copies of each
    near_pairs      for each: images (the first copy of both), similarity (-1 to 1), mirrored,
                    distance (bits of the hash), conflict (copies of both differ in their labels),
                    subjects_differ
    shared_subjects {person: {split: examples}} for persons in several splits
    black, constant, faint   images whose pixels are all 0; all equal; with less contrast than
                    thresholds.min_contrast, each with its "contrast"
    not_compared    how many distinct images have too little contrast to be compared
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ferjax.cli.tables import print_tables
from ferjax.data.audit import near_duplicates
from ferjax.data.audit.audit import Audit
from ferjax.data.audit.findings import Findings, Group
from ferjax.data.audit.pooled import Pool
from ferjax.errors import literal, one_line

FORMAT = 1


def figures(findings: Findings) -> dict[str, int]:
    """The counts of the summary, by name."""
    exact, near = findings.exact, findings.near
    conflicts = [group for group in exact if group.is_conflict]
    return {
        "examples": findings.num_rows,
        "distinct images": findings.num_distinct,
        "surplus exact copies": findings.num_rows - findings.num_distinct,
        "groups of exact copies": len(exact),
        "groups of exact copies with several labels": len(conflicts),
        "images in those": sum(len(group.rows) for group in conflicts),
        "pairs of near duplicates": len(findings.pairs),
        "pairs of near duplicates whose labels differ": len(findings.conflicts),
        "groups of near duplicates": len(near),
        "groups of near duplicates with several labels": sum(group.is_conflict for group in near),
        "groups of exact copies of several persons": _of_several_persons(exact),
        "pairs of near duplicates of several persons": len(findings.subject_pairs),
        "persons in several splits": len(findings.shared_subjects),
        "black images": len(findings.black),
        "other constant images": len(findings.constant),
        "faint images": len(findings.faint),
        "clean test images": len(findings.clean["test_clean"]),
        "clean test images without near duplicates": len(findings.clean["test_clean_near"]),
    }


def result(audit: Audit) -> dict[str, Any]:
    """The object that audit.json holds; see the head of this file."""
    findings = audit.findings
    return {
        "format": FORMAT,
        "dataset": audit.dataset,
        "title": audit.title,
        "fingerprint": audit.fingerprint,
        "options": dict(audit.options),
        "classes": list(audit.classes),
        "remark": audit.remark,
        "thresholds": {
            "min_contrast": findings.min_contrast,
            "max_distance": near_duplicates.MAX_DISTANCE,
            "min_similarity": near_duplicates.MIN_SIMILARITY,
        },
        "figures": figures(findings),
        "balance": [
            {
                "split": one.split,
                "counts": dict(zip(audit.classes, one.counts, strict=True)),
                "ratio": one.ratio,
            }
            for one in findings.balance
        ],
        "leaks": [
            {
                "split": leak.split,
                "other": leak.other,
                "exact": _images(audit, leak.exact),
                "near": _images(audit, leak.near),
            }
            for leak in findings.leaks
        ],
        "exact_groups": [_group(audit, one) for one in findings.exact],
        "near_groups": [_group(audit, one) for one in findings.near],
        "near_pairs": _near_pairs(audit),
        "shared_subjects": {
            name: dict(counts) for name, counts in findings.shared_subjects.items()
        },
        "black": _images(audit, findings.black),
        "constant": _images(audit, findings.constant),
        "faint": [
            image(audit, row) | {"contrast": round(float(findings.contrast[row]), 2)}
            for row in findings.faint
        ],
        "not_compared": findings.pairs.num_left_out,
    }


def _group(audit: Audit, one: Group) -> dict[str, Any]:
    return {
        "images": _images(audit, one.rows),
        "labels": [audit.classes[label] for label in one.labels],
        "splits": [audit.pool.splits[split] for split in one.splits],
        "subjects": list(one.subjects),
        "conflict": one.is_conflict,
        "leak": one.is_leak,
    }


def _near_pairs(audit: Audit) -> list[dict[str, Any]]:
    findings, pairs = audit.findings, audit.findings.pairs
    conflicts, persons = set(findings.conflicts.tolist()), set(findings.subject_pairs.tolist())
    return [
        {
            "images": _images(audit, audit.pool.first[[pairs.first[n], pairs.second[n]]]),
            "similarity": round(float(pairs.similarity[n]), 4),
            "mirrored": bool(pairs.mirrored[n]),
            "distance": int(pairs.distance[n]),
            "conflict": n in conflicts,
            "subjects_differ": n in persons,
        }
        for n in range(len(pairs))
    ]


def _images(audit: Audit, rows: Any) -> list[dict[str, Any]]:
    return [image(audit, int(row)) for row in rows]


def image(audit: Audit, row: int) -> dict[str, Any]:
    """One example as audit.json names it."""
    pool: Pool = audit.pool
    fields = {
        "split": pool.splits[pool.split[row]],
        "position": int(pool.position[row]),
        "key": pool.keys[row],
        "label": audit.classes[pool.labels[row]],
    }
    return fields | ({"subject": pool.subjects[row]} if pool.subjects[row] else {})


def tables(audit: Audit) -> list[Table]:
    """The summary, the leaks between splits and the balance of classes, for a terminal."""
    findings = audit.findings
    counted = [(name, f"{count:,}") for name, count in figures(findings).items()]
    leaks = [
        (f"{leak.split} in {leak.other}", f"{len(leak.exact):,}", f"{len(leak.near):,}")
        for leak in findings.leaks
    ]
    balance = [
        (name, *(f"{one.counts[label]:,}" for one in findings.balance))
        for label, name in enumerate(audit.classes)
    ]
    balance.append(("largest : smallest", *(ratio(one.ratio) for one in findings.balance)))
    return [
        _table(f"Audit of {audit.title}", ("", ""), counted),
        _table("Images of one split in another", ("", "exact copies", "only nearly"), leaks),
        _table("Classes", ("class", *(one.split for one in findings.balance)), balance),
    ]


def print_summary(audit: Audit, console: Console) -> None:
    """Prints `tables`, with an empty line before each."""
    print_tables(*tables(audit), console=console)
    if audit.remark:
        console.print(Text(literal(f"\nOptimistic: {audit.remark}.")))


def ratio(value: float | None) -> str:
    """The ratio of the largest to the smallest class, as text."""
    return "a class is empty" if value is None else f"{value:.1f}"


def _of_several_persons(groups: tuple[Group, ...]) -> int:
    return sum(len(group.subjects) > 1 for group in groups)


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Cells are plain text: a name in brackets is no markup."""
    table = Table(
        title=Text(one_line(title)),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for number, name in enumerate(header):
        table.add_column(
            Text(one_line(name)), justify="right" if number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table
