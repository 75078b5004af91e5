"""Reading what XLA says of a compiled program: its cost, its collectives and its memory."""
