"""Predictions as a model leaves them in a run folder, with what they were made of, without a model."""

from pathlib import Path

from resolved_of import request_of
from test_score_folder import gold_of

from xdist.config import Run
from xdist.evaluation import submission
from xdist.evaluation.made_of import Made, files_digest, inputs_digest
from xdist.evaluation.scores import describe_made
from xdist.evaluation.scoring import Scoring
from xdist.evaluation.to_do import group_by_task, plan_work
from xdist.files import file_digest
from xdist.formats.gold import labelled


def predict(run: Run, originals: Path) -> list[str]:
    """Do what is to be done, right answers taken for a model's; the subsets that were predicted."""
    scoring = Scoring(request_of(run), "fp32")
    todo = plan_work(request_of(run), scoring.digests)
    scoring.make_room(todo.predict)
    for subsets in group_by_task(todo.score).values():
        scoring.rescore(subsets)
    for subset in todo.predict:
        where = submission.predictions_path(scoring.folder.predictions, subset.task, subset.split, subset.language)
        right = gold_of(subset.task, list(subset.task.examples(originals, subset.split, subset.language)))
        submission.write_predictions(where, subset.task, right)
        examples = list(subset.task.examples(run.data.root, subset.split, subset.language))
        inputs = inputs_digest(run.data.root, subset, examples, scoring.digests)
        made = Made(inputs, files_digest(run.data.root, subset, scoring.digests), file_digest(where))
        assert not labelled(examples)
        of = describe_made(request_of(run).options(subset.task), scoring.model, "fp32", {subset.language: made})
        layer = run.evaluate.layer if run.evaluate else None
        scoring.scores.add(subset.task, subset.split, [], {subset.language: {"count": len(right)}}, layer, made_of=of)
    return [str(subset) for subset in todo.predict]
