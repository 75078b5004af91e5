"""Convolutions in the CPU's own formulations."""
