"""Killed at any moment and started again, a run ends exactly where an uninterrupted one ends."""

import kill_and_resume


def test_three_kills_change_nothing(tmp_path):
    hits = kill_and_resume.campaign(tmp_path, kills=3, options=("--attention=none",), seed=1)
    assert sum(hits.values()) >= 3
