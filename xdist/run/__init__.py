"""The record of a run and its processes: folder, lock, process group, heartbeat, sinks, and what its DeepSpeed file says."""
