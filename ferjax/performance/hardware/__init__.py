"""Accelerators that programs are compiled for, without the hardware."""
