"""Rank 0's part of an evaluation: what the predictions of a task are worth, written down with what they were made of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from transformers import PreTrainedTokenizerBase

from xdist.data.fetched import model_digest
from xdist.data.shards import Rows
from xdist.data.subset import Subset
from xdist.evaluation import submission
from xdist.evaluation.made_of import Made, files_digest, inputs_digest
from xdist.evaluation.measuring import Measuring
from xdist.evaluation.request import Request
from xdist.evaluation.scores import Scores, describe_made
from xdist.evaluation.to_do import has_predictions
from xdist.files import Digests, file_digest
from xdist.formats.gold import labelled
from xdist.tasks.collapse import collapse_of
from xdist.tasks.family import family_of
from xdist.tasks.retrieval import Retrieval

ValuesByLanguage = dict[str, dict[str, float]]
"""By language the numbers of a task's metric, and `count`."""


class Scoring:
    """`scores` are the run's, written after every task; `precision` is what the model predicts in; `measure` how its tokenizer
    takes a test set, where that is to be kept."""

    def __init__(self, request: Request, precision: str, measure: Measuring | None = None) -> None:
        self.request, self.precision, self.measure = request, precision, measure
        self.folder = request.folder
        self.digests = Digests(self.folder.digests)

    @cached_property
    def scores(self) -> Scores:
        return Scores(self.folder.scores, self.request.name)

    @cached_property
    def model(self) -> str:
        return model_digest(self.request.model, self.digests)

    def make_room(self, subsets: Sequence[Subset]) -> None:
        """Forget what is known of `subsets`, which are to be predicted, and of predictions that are gone."""
        again = {(subset.task.name, subset.split, subset.language) for subset in subsets}
        self.scores.forget(lambda *subset: subset in again or not has_predictions(self.folder.predictions, *subset))

    def score_predictions(
        self,
        subsets: Sequence[Subset],
        sets: Sequence[Rows],
        results: Sequence[dict[int, Any]],
        cost: dict[str, float],
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> ValuesByLanguage:
        """Write the submission files of a task's subsets and score them; `results` has the predictions by row, `tokenizer` is
        that of the rows."""
        values, made, alike, measured = {}, {}, {}, {}
        for subset, shards, by_row in zip(subsets, sets, results, strict=False):  # a pool comes after the subsets
            family = family_of(subset.task)
            family.finish_as(self.request.how, tokenizer)
            files, examples = files_digest(self.request.root, subset, self.digests), self._examples(subset)
            assert isinstance(family, Retrieval) or len(by_row) == len(shards), subset
            finished = family.finish([by_row[row] for row in sorted(by_row)], shards, examples)
            submission.write_predictions(self._path(subset), subset.task, finished)
            values[subset.language] = _score_subset(subset, finished, examples)
            alike[subset.language] = collapse_of(finished, examples)
            if self.measure:
                written = subset.task.written_in(subset.language)
                # Of sides that are rows of their own the first is measured.
                written = written if subset.task.mixes(subset.language) else written[:1]
                measured[subset.language] = self.measure(examples, *written)
            inputs = inputs_digest(self.request.root, subset, examples, self.digests)
            made[subset.language] = Made(inputs, files, file_digest(self._path(subset)))
        of = describe_made(self.request.options(subsets[0].task), self.model, self.precision, made)
        return self._add(subsets, values, of, cost, alike, measured)

    def rescore(self, subsets: Sequence[Subset]) -> ValuesByLanguage:
        """Score existing predictions of a task against files whose gold is new."""
        before = self.scores.tasks[subsets[0].task.name]
        values, made, alike = {}, {}, {}
        for subset in subsets:
            files, examples = files_digest(self.request.root, subset, self.digests), self._examples(subset)
            predictions = submission.read_predictions(self._path(subset), subset.task, examples)
            values[subset.language] = _score_subset(subset, predictions, examples)
            alike[subset.language] = collapse_of(predictions, examples)
            then = self.scores.made(subset.task.name)[f"{subset.split} {subset.language}"]
            made[subset.language] = replace(then, files=files)
        return self._add(subsets, values, {**before["made_of"], "pieces": made}, before.get("smoothing_cost"), alike)

    def _add(
        self,
        subsets: Sequence[Subset],
        values: ValuesByLanguage,
        made: Mapping[str, Any],
        cost: dict[str, float] | None,
        alike: Mapping[str, Any],
        measured: Mapping[str, Any] = MappingProxyType({}),
    ) -> ValuesByLanguage:
        task, options = subsets[0].task, (self.request.how.layer, self.request.smoothing)
        collapsed = {code: one for code, one in alike.items() if one}
        seen, selected = self.request.seen(task), self.request.selected_on(task)
        self.scores.add(task, subsets[0].split, seen, values, *options, cost, made, collapsed, measured, selected)
        return values

    def _examples(self, subset: Subset) -> list[Any]:
        return list(subset.task.examples(self.request.root, subset.split, subset.language))

    def _path(self, subset: Subset) -> Path:
        return submission.predictions_path(self.folder.predictions, subset.task, subset.split, subset.language)


def _score_subset(subset: Subset, predictions: Any, examples: list[Any]) -> dict[str, float]:
    family = family_of(subset.task)
    scores = family.score(predictions, examples, subset.language) if labelled(examples) else {}
    return {**scores, "count": family.count_of(predictions)}
