"""From what a user obtained to a prepared data set."""
