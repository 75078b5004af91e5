"""Configs: every field with its default and meaning, and the key=value arguments of a config."""
