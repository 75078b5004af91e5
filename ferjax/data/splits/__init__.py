"""From stored splits to those that train, select and test."""
