"""Trained models and detectors by name: those that ferjax carries, and those that are fetched."""
