"""The distributed evaluator: one queue over all tasks and languages, predictions in the submission layout, scores."""
