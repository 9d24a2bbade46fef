"""Predictions as a model leaves them in a run folder, with what they were made of, without a model."""

from pathlib import Path

from resolved_of import request_of
from test_score_folder import gold_of

from xdist.config import Run
from xdist.evaluation import submission
from xdist.evaluation.made_of import Made, files_of, inputs_of
from xdist.evaluation.scores import made_of
from xdist.evaluation.scoring import Scoring
from xdist.evaluation.to_do import by_task, to_do
from xdist.files import file_digest
from xdist.formats.gold import labelled


def predict(run: Run, originals: Path) -> list[str]:
    """Do what is to be done, right answers taken for a model's; the pieces that were predicted."""
    scoring = Scoring(request_of(run), "fp32")
    todo = to_do(request_of(run), scoring.digests)
    scoring.make_room(todo.predict)
    for pieces in by_task(todo.score).values():
        scoring.again(pieces)
    for piece in todo.predict:
        where = submission.path(scoring.folder.predictions, piece.task, piece.split, piece.language)
        right = gold_of(piece.task, list(piece.task.examples(originals, piece.split, piece.language)))
        submission.write(where, piece.task, right)
        examples = list(piece.task.examples(run.data.root, piece.split, piece.language))
        inputs = inputs_of(run.data.root, piece, examples, scoring.digests)
        made = Made(inputs, files_of(run.data.root, piece, scoring.digests), file_digest(where))
        assert not labelled(examples)
        of = made_of(request_of(run).options(piece.task), scoring.model, "fp32", {piece.language: made})
        layer = run.evaluate.layer if run.evaluate else None
        scoring.scores.add(piece.task, piece.split, [], {piece.language: {"count": len(right)}}, layer, made_of=of)
    return [str(piece) for piece in todo.predict]
