"""The frame of every command: flags, error messages, tables, progress."""
