"""From a run as it was written to all that follows from it, once for each start."""
