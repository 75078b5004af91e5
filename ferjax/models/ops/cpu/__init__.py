"""Convolutions in formulations for CPUs."""
