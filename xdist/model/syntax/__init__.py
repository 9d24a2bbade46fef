"""Dependency trees in each layer's attention (Ahmad et al. 2021, arXiv 2106.02134)."""
