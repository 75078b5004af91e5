"""The model card of a packed model: its figures, and the text that gives them."""
