"""From stored examples to batches: order, gathering, augmentation, preprocessing."""
