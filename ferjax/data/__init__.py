"""Data sets: what exists, how a copy is prepared, and how its images reach the model."""
