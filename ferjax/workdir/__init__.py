"""A run on disk: config, result, checkpoints, metrics, and who may write there."""
