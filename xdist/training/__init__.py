"""The training loop: step by step, with what it logs."""
