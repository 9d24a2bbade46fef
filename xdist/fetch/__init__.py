"""Models and data sets from the hub into a folder that machines without a network read."""
