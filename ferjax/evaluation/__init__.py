"""Scores: exact passes, test-time views, protocols, other data sets, several runs."""
