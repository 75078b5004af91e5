"""Reading the text of a compiled XLA program: its cost, its collectives and its memory."""
