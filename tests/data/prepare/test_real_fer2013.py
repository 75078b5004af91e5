"""The real FER2013, prepared once: what it holds, what the audit knows of it, and its copies."""

import json
import os

import numpy as np
import pytest

import ferjax
from ferjax.data import catalog, dataset
from ferjax.data.audit import image_scan, near_duplicates, report
from ferjax.data.audit.findings import find
from ferjax.data.audit.pooled import Pool
from ferjax.data.prepare import preparation
from ferjax.data.splits import clean
from ferjax.inference.shipped import manifest
from tests.helpers.planted import fer2013, measure

pytestmark = pytest.mark.skipif(
    not os.environ.get("FERJAX_TEST_FER2013"),
    reason="FERJAX_TEST_FER2013 does not name the zip of the real FER2013",
)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """(what preparation says, the data set opened)."""
    folder = tmp_path_factory.mktemp("real")
    prepared = preparation.prepare(catalog.FER2013, os.environ["FERJAX_TEST_FER2013"], folder)
    return prepared, dataset.open_dataset("fer2013", folder)


def test_it_is_whole(real):
    prepared, opened = real
    assert opened.num_examples == {"train": 28709, "validation": 3589, "test": 3589}
    assert opened.image_shape == (48, 48, 1)
    splits = {split: opened.load(split) for split in catalog.SPLITS}
    assert {split: part.counts(7) for split, part in splits.items()} == {
        "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
        "validation": (467, 56, 496, 895, 653, 415, 607),
        "test": (491, 55, 528, 879, 594, 416, 626),
    }
    assert sum(len(set(part.keys)) for part in splits.values()) == 35887
    black = [(part.images.max(axis=(1, 2, 3)) == 0).sum() for part in splits.values()]
    assert sum(black) == 12
    mask = clean.clean_test_mask(
        *(splits[split].pixel_hashes for split in ("test", "train", "validation"))
    )
    assert mask.sum() == 3268
    assert opened.fingerprint == prepared.fingerprint


def test_the_card_of_fer2013_small_tells_what_it_does(real):
    """Its kept predictions give its accuracies, and are those of the model on a sample."""
    _, opened = real
    figures = json.loads(manifest.entry("fer2013-small").card.with_suffix(".json").read_text())
    assert figures["data"]["fingerprint"] == opened.fingerprint
    test = opened.load("test")
    kept = {
        view: np.array(figures["predictions"][view].split(), int) for view in ("single", "flip")
    }
    splits = ("train", "validation")
    others = [opened.load(split, in_memory=False).pixel_hashes for split in splits]
    groups = {
        "test": np.ones(len(test), bool),
        "test_clean": clean.clean_test_mask(test.pixel_hashes, *others),
    }
    for view, predicted in kept.items():
        for group, mask in groups.items():
            found = (predicted == test.labels)[mask]
            expected = figures["scores"][view][group]
            assert found.mean() == pytest.approx(expected["accuracy"], abs=1e-9), (view, group)
            assert found.mean() > (0.655 if group == "test" else 0.64), (view, group)
    classifier = ferjax.load("fer2013-small")
    assert classifier.labels == opened.labels.names
    rows = np.arange(0, len(test), 57)  # 63: one batch
    shown = classifier.predict_arrays(test.images[rows]).probabilities
    mirrored = classifier.predict_arrays(test.images[rows][:, :, ::-1]).probabilities
    for view, made in (("single", shown), ("flip", (shown + mirrored) / 2)):
        # Two classes may be as probable as each other, and machines round differently.
        assert (made.argmax(axis=1) != kept[view][rows]).sum() <= 1, view


def test_the_audit_finds_the_known_figures(real):
    _, opened = real
    pool = Pool({split: opened.load(split, in_memory=False) for split in catalog.SPLITS})
    scan = image_scan.scan(pool, pool.first)
    nothing = near_duplicates.find(scan.greys[:0])
    findings = find(pool, scan, nothing, 7, 5.0)
    figures = report.figures(findings)
    assert figures["distinct images"] == 34_034
    assert figures["surplus exact copies"] == 1_853
    assert figures["groups of exact copies"] == 1_516
    assert figures["groups of exact copies with several labels"] == 57
    assert figures["images in those"] == 160
    assert figures["black images"] == 12
    assert figures["clean test images"] == 3_268
    in_train = {leak.split: len(leak.exact) for leak in findings.leaks if leak.other == "train"}
    assert in_train == {"validation": 280, "test": 288}


def test_planted_copies_are_found(real):
    faces = fer2013(real[1])[::20]
    found = measure(faces, np.arange(0, len(faces), 34))
    assert min(found.recall.values()) >= 0.98
    assert found.precision >= 0.999
