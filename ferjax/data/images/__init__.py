"""Image files and arrays: found, decoded, fitted."""
