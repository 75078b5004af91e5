"""From votes to labels: numbers worked by hand."""

import numpy as np
import pytest

from ferjax.data.splits import votes

# Ballot, its majority or None, its shares in the eight classes or None. Single votes are struck.
CASES = [
    # 4 + 3 + 2 are left: 4 is less than half of 9; 4 + 3 hold more than 75 %.
    ((4, 0, 0, 1, 3, 2, 0, 0, 0, 0), None, {0: 4 / 7, 4: 3 / 7}),
    # 6 + 2 are left: 6 is more than half of 8, and alone among the classes.
    ((6, 0, 1, 1, 0, 0, 0, 0, 2, 0), 0, {0: 1}),
    ((0, 10, 0, 0, 0, 0, 0, 0, 0, 0), 1, {1: 1}),
    # 5 is half of 10, and not more.
    ((5, 0, 5, 0, 0, 0, 0, 0, 0, 0), None, {0: 1 / 2, 2: 1 / 2}),
    # 5 + 4 are left, one vote struck: 5 is more than half of 9.
    ((0, 0, 0, 4, 5, 0, 1, 0, 0, 0), 4, {3: 4 / 9, 4: 5 / 9}),
    # 2 are left of ten: all of what is left.
    ((1, 1, 1, 1, 1, 1, 1, 2, 1, 0), 7, {7: 1}),
    # Nothing is left.
    ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), None, None),
    # Unknown and no face lead; that they have more than half does not make them a class.
    ((0, 0, 0, 0, 0, 0, 0, 0, 7, 3), None, None),
    ((3, 0, 0, 0, 0, 0, 0, 1, 6, 0), None, None),
    ((2, 2, 0, 0, 0, 0, 0, 0, 0, 6), None, None),
    # Unknown does not lead, and counts in the half: 4 of 7 are more.
    ((0, 0, 4, 1, 1, 0, 1, 0, 3, 0), 2, {2: 1}),
    # 4 of 9 are not, and unknown comes before the 2.
    ((0, 0, 4, 0, 1, 0, 2, 0, 3, 0), None, None),
    # 5 + 3 are 80 %.
    ((5, 3, 2, 0, 0, 0, 0, 0, 0, 0), None, {0: 5 / 8, 1: 3 / 8}),
    # 4 are less than 75 %, and of the three classes with 2 none comes first: four classes.
    ((4, 2, 2, 2, 0, 0, 0, 0, 0, 0), None, None),
    # 3 + 3 hold more than half, beside an unknown that is level with them.
    ((3, 0, 3, 0, 0, 0, 0, 1, 3, 0), None, {0: 1 / 2, 2: 1 / 2}),
    # No face ends it after 3 of 10.
    ((3, 2, 2, 0, 0, 0, 0, 0, 0, 3), None, None),
    # A class that is level with no face is taken.
    ((3, 3, 2, 0, 0, 0, 0, 0, 0, 2), None, {0: 3 / 8, 1: 3 / 8, 2: 2 / 8}),
    # Votes that are not ten in all: 2 of 2.
    ((0, 0, 0, 0, 0, 2, 0, 0, 0, 0), 5, {5: 1}),
]
BALLOTS = np.array([ballot for ballot, _, _ in CASES], np.int32)


def test_the_entries_of_a_ballot():
    assert ",".join(votes.ENTRIES) == (
        "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    )


def test_majority():
    labels, kept = votes.majority(BALLOTS)
    found = [int(label) if keep else None for label, keep in zip(labels, kept, strict=True)]
    assert found == [label for _, label, _ in CASES]
    assert labels.dtype == np.int32


def test_shares():
    shares, kept = votes.distribution(BALLOTS)
    assert shares.dtype == np.float32
    for row, (ballot, _, wanted) in enumerate(CASES):
        assert kept[row] == (wanted is not None), ballot
        expected = [(wanted or dict.fromkeys(range(8), 1 / 8)).get(k, 0) for k in range(8)]
        np.testing.assert_allclose(shares[row], expected, rtol=1e-6, err_msg=str(ballot))


def by_the_release(ballot):
    """The shares of one ballot by Barsoum et al.'s rules, vote by vote; None if it is dropped."""
    entries = {entry: count for entry, count in enumerate(ballot) if count > 1}
    total, seen, found = sum(entries.values()), 0, {}
    for level in sorted(set(entries.values()), reverse=True):
        if seen >= 0.75 * total or len(found) >= 3:
            break
        tied = [entry for entry, count in entries.items() if count == level]
        found |= {entry: level for entry in tied if entry < 8}
        seen += level * len(tied)
        if any(entry >= 8 for entry in tied):
            break
    held = sum(found.values())
    if 2 * held <= total or len(found) > 3:
        return None
    return {entry: count / held for entry, count in found.items()}


def test_shares_are_those_of_the_release():
    generator = np.random.default_rng(0)
    # From ballots that agree to such whose votes are all over the place.
    concentration = generator.choice([0.1, 0.3, 1.0, 3.0], size=4000)
    ballots = np.stack(
        [generator.multinomial(10, generator.dirichlet(np.full(10, c))) for c in concentration]
    )
    shares, kept = votes.distribution(ballots)
    wanted = [by_the_release(ballot) for ballot in ballots.tolist()]
    assert kept.tolist() == [one is not None for one in wanted]
    assert 1000 < kept.sum() < 3000
    expected = [[one.get(k, 0) if one else 1 / 8 for k in range(8)] for one in wanted]
    np.testing.assert_allclose(shares, expected, rtol=1e-6)


def test_what_each_target_trains_on():
    labels, targets, kept = votes.labelled(BALLOTS, "majority")
    assert targets is None
    np.testing.assert_array_equal(kept, votes.majority(BALLOTS)[1])
    shares, with_shares = votes.distribution(BALLOTS)
    for target in ("probability", "cross_entropy"):
        labels, targets, kept = votes.labelled(BALLOTS, target)
        np.testing.assert_array_equal(targets, shares)
        np.testing.assert_array_equal(kept, with_shares)
        # The label of an example with shares is its largest share.
        assert labels[kept].tolist() == [0, 0, 1, 0, 4, 7, 2, 0, 0, 0, 5]


def test_another_target():
    with pytest.raises(ValueError, match=r"target is 'majorty'"):
        votes.labelled(BALLOTS, "majorty")
