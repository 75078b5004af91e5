"""Faces in photographs: where they are, and the crops that a model takes."""
