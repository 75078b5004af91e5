"""Functions of arrays with their own gradients, in forms that a device runs fast."""
