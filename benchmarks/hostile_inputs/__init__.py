"""Inputs whose right verdict is known by how they were made, for every reader of the package."""
