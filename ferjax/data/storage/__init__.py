"""Prepared data sets on disk and in an object store."""
