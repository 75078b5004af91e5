"""Drawings of results with Matplotlib: one function for each kind, arrays in, a `Figure` out."""
