"""Functions of arrays, in forms that a device runs fast; many define their own gradients."""
