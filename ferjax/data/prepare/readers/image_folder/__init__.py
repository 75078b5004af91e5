"""A user's own folders of images."""
