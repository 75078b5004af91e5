"""What makes the scores on a data set doubtful: how it is looked for, and how it is shown."""
