"""Accelerators that programs are compiled for without being there."""
