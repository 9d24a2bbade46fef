"""A trained model as a folder that transformers reads, with its card."""
