"""audit.html: what an audit found as one page, without scripts and without anything to fetch.

This file collects the content of the page; page.html has its layout, and escapes every name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ferjax.cli import pages
from ferjax.data.audit import near_duplicates, report
from ferjax.data.audit.audit import Audit
from ferjax.data.audit.findings import Group

# The longer side of a thumbnail, in pixels; smaller images are kept as they are.
THUMBNAIL = 96

# Of one group: more different pictures, or more copies of one picture, are counted, not shown.
_MAX_PICTURES = 12
_MAX_COPIES = 12


def page(audit: Audit, max_groups: int = 50) -> str:
    """The text of the page.

    Args:
      audit: what was found.
      max_groups: how many groups, or images, a section shows at most; the worst come first, and
        what is left out is counted.
    """
    findings = audit.findings
    return pages.template("ferjax.data.audit", "page.html").render(
        title=f"Audit of {audit.title}",
        options=", ".join(
            f"{name}={value}" for name, value in audit.options.items() if value != ""
        ),
        fingerprint=audit.fingerprint,
        remark=audit.remark,
        summary=[(name, f"{count:,}") for name, count in report.figures(findings).items()],
        classes=_classes(audit),
        leaks=[
            (f"{leak.split} in {leak.other}", f"{len(leak.exact):,}", f"{len(leak.near):,}")
            for leak in findings.leaks
        ],
        persons=_persons(audit, max_groups),
        exact=_groups(audit, findings.exact, max_groups),
        near=_groups(audit, findings.near, max_groups),
        max_distance=near_duplicates.MAX_DISTANCE,
        min_similarity=near_duplicates.MIN_SIMILARITY,
        not_compared=findings.pairs.num_left_out,
        empty=_empty(audit, max_groups),
    )


def _classes(audit: Audit) -> dict[str, Any]:
    balance = audit.findings.balance
    rows = [
        (name, *(f"{one.counts[label]:,}" for one in balance))
        for label, name in enumerate(audit.classes)
    ]
    rows.append(("largest : smallest", *(report.ratio(one.ratio) for one in balance)))
    return {"header": ("class", *(one.split for one in balance)), "rows": rows}


def _persons(audit: Audit, max_groups: int) -> dict[str, Any]:
    shared = audit.findings.shared_subjects
    return {
        "known": any(audit.pool.subjects),
        "header": ("person", *audit.pool.splits),
        "rows": [
            (name, *(f"{counts.get(split, 0):,}" for split in audit.pool.splits))
            for name, counts in list(shared.items())[:max_groups]
        ],
        "left_out": len(shared) - max_groups,
    }


def _empty(audit: Audit, max_groups: int) -> list[dict[str, Any]]:
    findings = audit.findings
    kinds = {
        "Black": findings.black,
        "Of one colour, not black": findings.constant,
        f"Faint: less than {findings.min_contrast:g} grey levels of contrast": findings.faint,
    }
    return [
        {
            "title": title,
            "number": len(rows),
            "images_left_out": len(rows) - max_groups,
            **_pictures(audit, rows[:max_groups], max_groups),
        }
        for title, rows in kinds.items()
    ]


def _groups(audit: Audit, groups: Sequence[Group], max_groups: int) -> dict[str, Any]:
    return {
        "groups": [_group(audit, group) for group in groups[:max_groups]],
        "left_out": len(groups) - max_groups,
    }


def _group(audit: Audit, group: Group) -> dict[str, Any]:
    tags = {
        "several splits": len(group.splits) > 1,
        "several classes": group.is_conflict,
        "several persons": len(group.subjects) > 1,
    }
    return {
        "number": len(group.rows),
        "tags": [tag for tag, holds in tags.items() if holds],
        **_pictures(audit, group.rows, _MAX_PICTURES),
    }


def _pictures(audit: Audit, rows: Iterable[int], most: int) -> dict[str, Any]:
    """A figure for each different picture, with all rows that show it."""
    by_content: dict[int, list[int]] = {}
    for row in rows:
        by_content.setdefault(int(audit.pool.content[row]), []).append(row)
    return {
        "figures": [_figure(audit, copies) for copies in list(by_content.values())[:most]],
        "left_out": len(by_content) - most,
    }


def _figure(audit: Audit, rows: Sequence[int]) -> dict[str, Any]:
    names = [report.image(audit, row) for row in rows]
    return {
        "alt": f"{names[0]['label']} face of {names[0]['split']}: {names[0]['key']}",
        "source": pages.picture(audit.pool[np.array(rows[:1])][0], THUMBNAIL),
        "names": [(_said(name), name["key"]) for name in names[:_MAX_COPIES]],
        "more": max(len(rows) - _MAX_COPIES, 0),
    }


def _said(name: Mapping[str, Any]) -> str:
    """Split and class of an image, and the person where the data set says who it is."""
    person = f", {name['subject']}" if "subject" in name else ""
    return f"{name['split']}, {name['label']}{person}"
