"""What makes a score on a data set doubtful: duplicates, leaks, contradictions."""
