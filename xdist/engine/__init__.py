"""The DeepSpeed engine of a run, its optimizer, and what makes a model fit on the present devices."""
