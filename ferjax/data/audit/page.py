"""audit.html: what an audit found as one page, without scripts and without anything to fetch.

Every name is escaped and the page forbids itself to load anything, so that no file name can do more
than be read.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from ferjax.data.audit import near_duplicates, report
from ferjax.data.audit.audit import Audit
from ferjax.data.audit.findings import Group

# The longer side of a thumbnail, in pixels; smaller images are kept as they are.
THUMBNAIL = 96

# Of one group: more different pictures, or more copies of one picture, are counted, not shown.
_MAX_PICTURES = 12
_MAX_COPIES = 12

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1e23; --soft: #565d68; --paper: #fbfbfa; --card: #fff;
  --line: #d9dce1; --bad: #a3230f; --bad-paper: #fdeae6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ec; --soft: #a6adb8; --paper: #15171a;
  --card: #1e2125; --line: #363b42; --bad: #ffb4a4; --bad-paper: #48201a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.8rem; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.3rem; }
p { max-width: 46rem; } .soft, figcaption, caption { color: var(--soft); }
a { color: inherit; } nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0;
  list-style: none; }
table { border-collapse: collapse; margin: .75rem 0; } caption { text-align: left; }
th, td { padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; } th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; } tbody th { font-weight: 400; }
.scroll { overflow-x: auto; }
.group { margin: .75rem 0; padding: .75rem 1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; }
.group h3 { margin: 0 0 .5rem; font-size: 1rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { display: flex; gap: .6rem; margin: 0; align-items: flex-start; }
figure img { width: 6rem; height: 6rem; object-fit: contain; border-radius: .25rem;
  background: var(--line); }
figcaption ul { margin: 0; padding: 0; list-style: none; font-size: .85rem; max-width: 22rem;
  overflow-wrap: anywhere; } figcaption b { color: var(--ink); }
.tag { margin-left: .5rem; padding: 0 .5rem; border-radius: 1rem; font-size: .8rem;
  font-weight: 400; color: var(--bad); background: var(--bad-paper); }
"""


def page(audit: Audit, max_groups: int = 50) -> str:
    """The text of the page.

    Args:
      audit: what was found.
      max_groups: how many groups, or images, a section shows at most; the worst come first, and
        what is left out is counted.
    """
    sections = {
        "summary": ("Summary", _summary(audit)),
        "classes": ("Classes", _classes(audit)),
        "leaks": ("Leaks between splits", _leaks(audit)),
        "persons": ("Persons", _persons(audit, max_groups)),
        "exact": ("Exact copies", _exact(audit, max_groups)),
        "near": ("Near duplicates", _near(audit, max_groups)),
        "empty": ("Blank and faint images", _empty(audit, max_groups)),
    }
    links = "".join(
        f'<li><a href="#{name}">{title}</a></li>' for name, (title, _) in sections.items()
    )
    body = "\n".join(
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{text}\n</section>'
        for name, (title, text) in sections.items()
    )
    options = ", ".join(f"{name}={value}" for name, value in audit.options.items() if value != "")
    remark = f"<p><strong>Optimistic:</strong> {escape(audit.remark)}.</p>" if audit.remark else ""
    title = escape(f"Audit of {audit.title}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="soft">{escape(options or "Official splits")}; fingerprint
<code>{escape(audit.fingerprint[:12])}</code></p>
{remark}
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _summary(audit: Audit) -> str:
    rows = [(name, f"{count:,}") for name, count in report.figures(audit.findings).items()]
    return _table("What was counted", ("", "number"), rows)


def _classes(audit: Audit) -> str:
    balance = audit.findings.balance
    rows = [
        (name, *(f"{one.counts[label]:,}" for one in balance))
        for label, name in enumerate(audit.classes)
    ]
    rows.append(("largest : smallest", *(report.ratio(one.ratio) for one in balance)))
    return _table("Examples of each class", ("class", *(one.split for one in balance)), rows)


def _leaks(audit: Audit) -> str:
    rows = [
        (f"{leak.split} in {leak.other}", f"{len(leak.exact):,}", f"{len(leak.near):,}")
        for leak in audit.findings.leaks
    ]
    table = _table(
        "Images of one split that another holds too", ("", "exact copies", "only nearly"), rows
    )
    return (
        table + "<p>The pictures come first among the exact copies and near duplicates below.</p>"
    )


def _persons(audit: Audit, max_groups: int) -> str:
    if not any(audit.pool.subjects):
        return "<p>The data set does not say who is shown.</p>"
    shared = audit.findings.shared_subjects
    if not shared:
        return "<p>No person is in two splits.</p>"
    rows = [
        (name, *(f"{counts.get(split, 0):,}" for split in audit.pool.splits))
        for name, counts in list(shared.items())[:max_groups]
    ]
    return _table("Persons in several splits", ("person", *audit.pool.splits), rows) + _left_out(
        len(shared), max_groups, "persons"
    )


def _exact(audit: Audit, max_groups: int) -> str:
    groups = audit.findings.exact
    if not groups:
        return "<p>No image occurs twice.</p>"
    return (
        "<p>Each picture stands for all images that have exactly its pixels.</p>"
        + _groups(audit, groups[:max_groups])
        + _left_out(len(groups), max_groups, "groups")
    )


def _near(audit: Audit, max_groups: int) -> str:
    groups, left_out = audit.findings.near, audit.findings.pairs.num_left_out
    compared = (
        f"<p>Images that differ by mirroring, brightness, compression or a shift of a few pixels. "
        f"Perceptual hashes of 64 bits that differ in at most {near_duplicates.MAX_DISTANCE} "
        f"propose pairs; pixels that correlate by at least {near_duplicates.MIN_SIMILARITY:g} "
        f"confirm them. A group is what such pairs connect. {left_out:,} distinct images have too "
        "little contrast to be compared.</p>"
    )
    if not groups:
        return compared + "<p>There are none.</p>"
    shown = _groups(audit, groups[:max_groups])
    return compared + shown + _left_out(len(groups), max_groups, "groups")


def _empty(audit: Audit, max_groups: int) -> str:
    findings = audit.findings
    kinds = {
        "Black": findings.black,
        "Of one colour, not black": findings.constant,
        f"Faint: less than {findings.min_contrast:g} grey levels of contrast": findings.faint,
    }
    text = ""
    for title, rows in kinds.items():
        shown = rows[:max_groups]
        text += f'<div class="group"><h3>{escape(title)}: {len(rows):,}</h3>'
        text += f'<div class="pictures">{_pictures(audit, shown, max_groups)}</div></div>'
        text += _left_out(len(rows), max_groups, "images")
    return text


def _groups(audit: Audit, groups: Sequence[Group]) -> str:
    return "\n".join(_group(audit, number, group) for number, group in enumerate(groups, 1))


def _group(audit: Audit, number: int, group: Group) -> str:
    tags = {
        "several splits": len(group.splits) > 1,
        "several classes": group.is_conflict,
        "several persons": len(group.subjects) > 1,
    }
    marks = "".join(f'<span class="tag">{tag}</span>' for tag, holds in tags.items() if holds)
    return (
        f'<article class="group"><h3>{number}. {len(group.rows):,} images{marks}</h3>'
        f'<div class="pictures">{_pictures(audit, group.rows, _MAX_PICTURES)}</div></article>'
    )


def _pictures(audit: Audit, rows: Iterable[int], most: int) -> str:
    """A figure for each different picture, with all rows that show it."""
    by_content: dict[int, list[int]] = {}
    for row in rows:
        by_content.setdefault(int(audit.pool.content[row]), []).append(row)
    figures = [_figure(audit, copies) for copies in list(by_content.values())[:most]]
    return "".join(figures) + _left_out(len(by_content), most, "pictures")


def _figure(audit: Audit, rows: Sequence[int]) -> str:
    names = [report.image(audit, row) for row in rows]
    items = "".join(
        f"<li><b>{escape(_said(name))}</b> {escape(name['key'])}</li>"
        for name in names[:_MAX_COPIES]
    )
    if len(rows) > _MAX_COPIES:
        items += f"<li>and {len(rows) - _MAX_COPIES:,} more copies</li>"
    shown = f"{names[0]['label']} face of {names[0]['split']}: {names[0]['key']}"
    source = thumbnail(audit.pool[np.array(rows[:1])][0])
    return (
        f'<figure><img loading="lazy" alt="{escape(shown)}" src="{source}">'
        f"<figcaption><ul>{items}</ul></figcaption></figure>"
    )


def _said(name: Mapping[str, Any]) -> str:
    """Split and class of an image, and the person where the data set says who it is."""
    person = f", {name['subject']}" if "subject" in name else ""
    return f"{name['split']}, {name['label']}{person}"


def thumbnail(image: np.ndarray) -> str:
    """A data: URI of a uint8 [H, W, C] image, a PNG of at most `THUMBNAIL` pixels a side."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _left_out(total: int, shown: int, what: str) -> str:
    if total <= shown:
        return ""
    return f'<p class="soft">{total - shown:,} more {what} are not shown; audit.json has all.</p>'


def _table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(
        f'<th scope="col">{escape(cell)}</th>' if cell else "<td></td>" for cell in header
    )
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )
