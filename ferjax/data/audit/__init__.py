"""Problems that make a score on a data set doubtful: duplicates, leaks, contradictions."""
