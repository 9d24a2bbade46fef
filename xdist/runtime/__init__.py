"""Running on ranks: process group, engine, loop, checkpoints, run folder, monitor. DeepSpeed is imported here only."""
