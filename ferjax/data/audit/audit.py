"""Runs an audit: looks at every distinct image of all splits once, compares them, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from ferjax.cli import progress
from ferjax.data import catalog
from ferjax.data.audit import image_scan, near_duplicates
from ferjax.data.audit.findings import Findings, find
from ferjax.data.audit.pooled import Pool
from ferjax.data.dataset import Source


@dataclass(frozen=True)
class Audit:
    """A data set and its findings.

    Attributes:
      dataset: its name.
      title: its name for people.
      fingerprint: the fingerprint of its content.
      options: the options of its scheme, by name.
      remark: what makes a test on these splits optimistic; "" if nothing does.
      classes: the names of its classes, in label order.
      pool: its examples.
      findings: the findings about these examples.
    """

    dataset: str
    title: str
    fingerprint: str
    options: Mapping[str, Any]
    remark: str
    classes: tuple[str, ...]
    pool: Pool
    findings: Findings


def audit(
    source: Source,
    *,
    min_contrast: float,
    console: Console,
) -> Audit:
    """Audits a prepared data set.

    Args:
      source: the data set, with the splits that its options give.
      min_contrast: in grey levels of standard deviation; images below it are reported as faint.
      console: where progress is shown.

    Raises:
      UserError: the prepared files are damaged.
    """
    # Images are read when they are looked at: a data set may be larger than memory.
    splits = [split for split in catalog.SPLITS if source.num_examples[split]]
    pool = Pool({split: source.load(split, in_memory=False) for split in splits})
    with progress.bar(console, "reading images", pool.num_distinct) as on_image:
        scan = image_scan.scan(pool, pool.first, on_image)
    with progress.bar(console, "comparing images", 2 * pool.num_distinct) as on_image:
        pairs = near_duplicates.find(scan.greys, on_image)
    findings = find(pool, scan, pairs, source.labels.num_classes, min_contrast)
    return Audit(
        dataset=source.name,
        title=catalog.find(source.name).title,
        fingerprint=source.fingerprint,
        options=source.options,
        remark=source.leak,
        classes=source.labels.names,
        pool=pool,
        findings=findings,
    )
