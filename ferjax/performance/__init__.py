"""Throughput here, and what a config would cost on hardware elsewhere."""
