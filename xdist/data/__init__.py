"""Data: prepared shards, the plan of which rows make up which step, batches without padding."""
