"""What a run asks to have evaluated: which test sets, by which model, and how its predictions are made."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdist.config import Data, Evaluate
from xdist.config.reader import KeyPath
from xdist.config.runtime import AskedPrecision
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.files import digest
from xdist.languages import by_size, without
from xdist.metrics import metric
from xdist.model.lineage import Lineage, languages_chosen_in, languages_of, read_since
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import Task

PRECISION = "runtime.precision"


@dataclass(frozen=True, slots=True)
class Request:
    """`subsets` below the root of `data` by the model at `model`, a folder or a hub id, which was trained as `lineage` says; by
    this very run if `own`. `pretraining`: the record of what its encoder has read. `precision` and `align` as the run says it.
    `error` points at a key of the run; `adapter`: the digest of what it gets in addition to its own adapters;
    `parses`: by subset those of the dependency trees that it reads."""

    name: str
    folder: RunFolder
    subsets: tuple[Subset, ...]
    data: Data
    how: Evaluate
    model: str
    own: bool
    lineage: Lineage
    pretraining: Mapping[str, Any]
    precision: AskedPrecision
    align: Mapping[str, Any] | None
    error: Callable[[KeyPath, str], UserError]
    adapter: str | None = None
    parses: Mapping[str, str] | None = None

    @property
    def root(self) -> Path:
        return self.data.root

    @property
    def smoothing(self) -> dict[str, Any] | None:
        """How predictions are smoothed, as scores.json says it."""
        return self.how.smoothing.model_dump() if self.how.smoothing else None

    def options(self, task: Task) -> dict[str, Any]:
        """What of the description decides on the predictions of a task, in addition to the model and the precision: by its
        key."""
        return {
            "evaluate.layer": self.how.layer if task.layer else None,
            "evaluate.smoothing": self.smoothing,
            **({"evaluate.answers": self.how.answers} if task.predicts == "span-qa" else {}),
            **({"evaluate.relevance": self.how.relevance} if task.metric and metric(task.metric).graded else {}),
            "data.max_length": self.data.max_length or task.max_length,
            **({"data.words": joining} if (joining := task.joining(self.data.words)) else {}),
            **({"evaluate.branches": self.how.branches} if self.how.branches != "own" else {}),
            **({"align": dict(self.align)} if self.align else {}),
            **({"model.adapter": self.adapter} if self.adapter else {}),
            **({"model.syntax.parses": digest(self._parses(task))} if self.parses else {}),
            "data.tasks": digest(task.form, *_searched(task)),
        }

    def _parses(self, task: Task) -> dict[str, str]:
        return {name: (self.parses or {}).get(name, "") for name in (str(one) for one in self.subsets if one.task == task)}

    @property
    def read_since(self) -> list[str]:
        """Languages that the encoder has read in addition to its pre-training."""
        return read_since(self.lineage)

    def seen(self, task: Task) -> list[str]:
        """The languages that the head of a task was trained in; of a task of pairs, the pairs of these."""
        return _own(task, languages_of(self.lineage, task))

    def selected_on(self, task: Task) -> list[str]:
        """The languages that it was not trained in, but chosen by: their scores are not zero-shot either."""
        trained, chosen = languages_of(self.lineage, task), languages_chosen_in(self.lineage, task)
        return without(_own(task, [*trained, *chosen]), _own(task, trained))


def _own(task: Task, languages: Collection[str]) -> list[str]:
    """The codes that a task has for these languages; of a task of pairs, its pairs of two of them."""
    own = {(task.pairs_of or task).own(code) for code in languages}
    return by_size(code for code in task.languages if own.issuperset(task.parts(code))) if task.pairs_of else by_size(own)


def _searched(task: Task) -> tuple[int | bool, ...]:
    """What a search of sentences finds in addition to the nearest row, where the task's metric reads more."""
    if task.predicts != "sentence-retrieval" or not task.metric:
        return ()
    by = metric(task.metric)
    return (by.nearest, by.both_ways) if by.nearest > 1 or by.both_ways else ()
