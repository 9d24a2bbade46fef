"""Checkpoints in shards: written, found, verified, brought to other ranks and stages; and the best model beside them."""
