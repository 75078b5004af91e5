"""RAF-DB in its published forms."""
