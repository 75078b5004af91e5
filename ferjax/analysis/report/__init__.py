"""One page about finished runs: how good a model is, where it fails, and what it looks at."""
