"""Rank 0's part of an evaluation: what the predictions of a task are worth, written down with what they were made of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from xdist.data.fetched import model_digest
from xdist.data.pieces import Piece
from xdist.data.shards import Rows
from xdist.evaluation import submission
from xdist.evaluation.made_of import Made, files_of, inputs_of
from xdist.evaluation.request import Request
from xdist.evaluation.scores import Scores, made_of
from xdist.evaluation.to_do import is_there
from xdist.files import Digests, file_digest
from xdist.formats.gold import labelled
from xdist.tasks.family import family_of
from xdist.tasks.retrieval import Retrieval

Found = dict[str, dict[str, float]]
"""By language the numbers of a task's metric, and `count`."""


class Scoring:
    """`scores` are the run's, written after every task; `precision` is what the model predicts in."""

    def __init__(self, request: Request, precision: str) -> None:
        self.request, self.precision = request, precision
        self.folder = request.folder
        self.digests = Digests(self.folder.digests)

    @cached_property
    def scores(self) -> Scores:
        return Scores(self.folder.scores, self.request.name)

    @cached_property
    def model(self) -> str:
        return model_digest(self.request.model, self.digests)

    def make_room(self, pieces: Sequence[Piece]) -> None:
        """Forget what is known of `pieces`, which are to be predicted, and of predictions that are gone."""
        again = {(piece.task.name, piece.split, piece.language) for piece in pieces}
        self.scores.forget(lambda *piece: piece in again or not is_there(self.folder.predictions, *piece))

    def predicted(
        self, pieces: Sequence[Piece], sets: Sequence[Rows], results: Sequence[dict[int, Any]], cost: dict[str, float]
    ) -> Found:
        """Write the submission files of a task's pieces and score them; `results` has the predictions by row."""
        found, made = {}, {}
        for piece, shards, by_row in zip(pieces, sets, results, strict=False):  # a pool comes after the pieces
            family = family_of(piece.task)
            files, examples = files_of(self.request.root, piece, self.digests), self._examples(piece)
            assert isinstance(family, Retrieval) or len(by_row) == len(shards), piece
            finished = family.finish([by_row[row] for row in sorted(by_row)], shards, examples)
            submission.write(self._path(piece), piece.task, finished)
            found[piece.language] = _scored(piece, finished, examples)
            inputs = inputs_of(self.request.root, piece, examples, self.digests)
            made[piece.language] = Made(inputs, files, file_digest(self._path(piece)))
        return self._add(pieces, found, made_of(self.request.options(pieces[0].task), self.model, self.precision, made), cost)

    def again(self, pieces: Sequence[Piece]) -> Found:
        """Score predictions of a task that are there against files whose gold is new."""
        before = self.scores.tasks[pieces[0].task.name]
        found, made = {}, {}
        for piece in pieces:
            files, examples = files_of(self.request.root, piece, self.digests), self._examples(piece)
            predictions = submission.read(self._path(piece), piece.task, examples)
            found[piece.language] = _scored(piece, predictions, examples)
            then = self.scores.made(piece.task.name)[f"{piece.split} {piece.language}"]
            made[piece.language] = replace(then, files=files)
        return self._add(pieces, found, {**before["made_of"], "pieces": made}, before.get("smoothing_cost"))

    def _add(
        self,
        pieces: Sequence[Piece],
        found: Found,
        made: Mapping[str, Any],
        cost: dict[str, float] | None,
    ) -> Found:
        task, options = pieces[0].task, (self.request.how.layer, self.request.smoothing)
        self.scores.add(task, pieces[0].split, self.request.seen(task), found, *options, cost, made)
        return found

    def _examples(self, piece: Piece) -> list[Any]:
        return list(piece.task.examples(self.request.root, piece.split, piece.language))

    def _path(self, piece: Piece) -> Path:
        return submission.path(self.folder.predictions, piece.task, piece.split, piece.language)


def _scored(piece: Piece, predictions: Any, examples: list[Any]) -> dict[str, float]:
    scores = family_of(piece.task).score(predictions, examples, piece.language) if labelled(examples) else {}
    return {**scores, "count": len(predictions)}
