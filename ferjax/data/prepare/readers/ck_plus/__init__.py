"""CK+ in its published forms."""
