"""Tasks: one catalog entry each; one file per family says how it encodes, batches, heads, loses, predicts."""
