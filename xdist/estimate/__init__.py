"""What a training needs before it starts: memory by part, FLOPs, hours, and the DeepSpeed configuration that fits."""
