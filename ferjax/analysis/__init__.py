"""Looking at finished runs: comparisons on the same images."""
