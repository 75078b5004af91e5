"""FER2013 in its published forms."""
