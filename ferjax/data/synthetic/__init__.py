"""Faces drawn for a first run without a download."""
