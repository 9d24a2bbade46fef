"""Checkpoints in shards: written, found, verified, moved to other ranks and stages; and the best model."""
