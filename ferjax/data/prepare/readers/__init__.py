"""From what a user obtained to examples: one reader for each data set, and what they share."""
