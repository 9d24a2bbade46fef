"""Readers of the official files: one file per format, each gives Examples and names file and line in every error."""
