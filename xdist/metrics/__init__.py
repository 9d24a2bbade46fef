"""The official metrics, exact, as pure functions of predictions and gold.

Every metric has two steps. `per_example(predictions, gold, …)` gives a float64 array with one row per example:
fractions from 0 to 1, or counts. `score(rows)` turns any selection of such rows (all of them, a bootstrap resample)
into named scores from 0 to 100. Scores become percentages in one place, `xdist.metrics.counts.percent`.
"""
