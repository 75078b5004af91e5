"""FER+ in its published forms."""
