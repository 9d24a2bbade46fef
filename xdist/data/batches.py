"""From rows to batches, and the batches of this rank in each step of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, overload

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xdist.config import Train
from xdist.config.distil import Distil
from xdist.data.chosen import ChosenRows
from xdist.data.deal import deal_to_rank
from xdist.data.grouping import group_by_value
from xdist.data.masking import Masking
from xdist.data.plan import Draws, Plan, shares_of
from xdist.data.prepare import Preparation
from xdist.data.shards import Rows
from xdist.data.subset import Subset
from xdist.data.trees import targets_of
from xdist.errors import unknown
from xdist.tasks.batch import Batch, WordCounts
from xdist.tasks.classification import TEACHER, Classification
from xdist.tasks.family import Family, Row, family_of
from xdist.tasks.mlm import MaskedLM
from xdist.tasks.parallel import LINKS, ParallelText

WORDS = tuple(f"words_{name}" for name in WordCounts._fields)
TEXT = 64  # neighbouring rows of running text that are drawn together, by default
ROW_BITS = 40  # of a row's identity; the bits above them are the number of its subset


class Rewriter(Protocol):
    """What puts rows into other words (xdist/robust)."""

    def rewrite(self, row: Row, family: Family, language: str, row_id: int, epoch: int) -> Row:
        """`row` in other words, with `words_seen` (that could have been changed), `words_changed` and `words_too_long` (kept
        because there was no room) counted up. Depends on its arguments alone; `epoch`: how often the row was drawn before."""

    def produces(self, ids: np.ndarray) -> np.ndarray | None:
        """The sorted ids, or more than these, that rows of `ids` may hold once they are rewritten; None: it is not known."""


class Linker(Protocol):
    """What knows which words of parallel text translate each other (xdist/robust/word_links.py)."""

    def __call__(self, row: Row, family: Family, language: str) -> np.ndarray:
        """(n, 4): of n pairs of words of `row` the first token and the one after the last, as positions in the row, of the word
        in the other language, then of the English one. Depends on its arguments alone."""


def collate(
    rows: Sequence[dict[str, Any]],
    ids: Sequence[int] | np.ndarray,
    family: Family,
    dummy: bool = False,
    group: Sequence[int] | None = None,
    languages: Sequence[str] | None = None,
) -> Batch:
    """Rows of one family in one batch; `group` says which of them belong together, in families whose loss compares rows,
    `languages` of which language the subset of each is."""
    lengths = np.concatenate([row["lengths"] for row in rows])
    # Most rows are one sequence, and were not rewritten.
    sequence_row = np.arange(len(rows))
    if len(lengths) != len(rows):
        sequence_row = np.repeat(sequence_row, [len(row["lengths"]) for row in rows])
    rewritten = [] if dummy else [row for row in rows if "words_seen" in row]
    return Batch(
        head=family.task.head,
        tokens=torch.from_numpy(np.concatenate([row["tokens"] for row in rows]).astype(np.int64)),
        lengths=torch.from_numpy(lengths.astype(np.int64)),
        sequence_row=torch.from_numpy(sequence_row),
        row_ids=torch.from_numpy(np.asarray(ids, np.int64)),
        targets={
            **family.targets(rows),
            **targets_of(rows),
            **({} if group is None else {"group": torch.tensor(group, dtype=torch.long)}),
        },
        dummy=dummy,
        languages=tuple(map(family.language, rows, languages)) if languages else None,
        words=WordCounts(*(sum(row.get(name, 0) for row in rewritten) for name in WORDS)),
    )


def collate_pair(
    rows: Sequence[Row],
    plain: Sequence[Row],
    ids: Sequence[int] | np.ndarray,
    family: Family,
    dummy: bool = False,
    group: Sequence[int] | None = None,
    languages: Sequence[str] | None = None,
) -> Batch:
    """The batch of rewritten `rows` and, as its `plain`, that of the same rows before. Where a family compares by position, the
    rewritten rows hold `shared` (see `comparable_row`), and each of the two batches has the target `shared`: the positions in
    its own tokens that both have, entry by entry."""
    if family.by_position:
        plain = [{**row, "shared": rewritten["shared"][:, 0]} for row, rewritten in zip(plain, rows, strict=True)]
        rows = [{**row, "shared": row["shared"][:, 1]} for row in rows]
    before = collate(plain, ids, family, dummy, group, languages)
    return replace(collate(rows, ids, family, dummy, group, languages), plain=before)


def comparable_row(row: Row, family: Family) -> Row:
    """The row to rewrite where what comes out shall be compared with it: with `shared`, (n, 2) positions that both have, in
    `row` and in what it was rewritten to. Unchanged tokens have a counterpart, and the first token of a replaced word."""
    if not family.by_position:
        return row
    places = np.arange(len(row["tokens"]))
    return {**row, "shared": np.stack([places, places], axis=1)}


@dataclass(frozen=True, slots=True)
class Mix:
    """What a phase of the schedule trains from step `at` on: the weight of each entry of `train.tasks`, the exponent of its
    languages' sizes, the share of tokens that a language model has to find."""

    at: int
    weights: list[float | None]
    alpha: float
    mask_rate: float


class TrainingData:
    """The rows of all training subsets of a run (those of `train`, in its order), the plan over them, and the batches of one
    rank.

    `rewriters` put each row into other words, one after another, whenever it is drawn. Rows are dealt by their lengths before,
    so a micro-batch may be as much larger than its budget as they grow. With `keep_plain` every batch has its `plain`.
    `block`: neighbouring rows that are drawn together. `packed` says whether the model does without padding: the budget of
    a micro-batch, `micro_batch_tokens`, is then one of real tokens. `linker`: of parallel text that is trained on word by word.
    Raises UserError for a subset without examples and for a schedule that cannot be.
    """

    def __init__(
        self,
        train: Train,
        subsets: Sequence[Subset],
        preparation: Preparation,
        seed: int,
        *,
        micro_batch_tokens: int,
        packed: bool = True,
        rewriters: Sequence[Rewriter] = (),
        keep_plain: bool = False,
        linker: Linker | None = None,
        block: int | Literal["auto"] = 1,
    ) -> None:
        self.rewriters, self.keep_plain, self._linker = rewriters, keep_plain, linker
        self.packed, self.budget = packed, micro_batch_tokens
        self._teacher: Mapping[int, np.ndarray] = {}
        self.subsets: list[Subset] = list(subsets)
        self.shards: list[Rows] = list(preparation.shards(self.subsets))
        self.families = {subset.task.head: family_of(subset.task) for subset in self.subsets}
        self._family_of = [family_of(subset.task) for subset in self.subsets]
        self._languages = [subset.language for subset in self.subsets]
        self._read_as = [subset.read_as for subset in self.subsets]
        self._is_of = {head: np.array([subset.task.head == head for subset in self.subsets]) for head in self.families}
        for family in (*self.families.values(), *self._family_of):
            if isinstance(family, ParallelText):
                family.options = train.parallel
        masked = [rows for rows, family in zip(self.shards, self._family_of, strict=True) if isinstance(family, MaskedLM)]
        among = None
        if masked and train.mlm.softmax == "active":
            among = _with_special([rows.used() for rows in masked], preparation.tokenizer)
        self.masking = Masking(preparation.tokenizer, seed, train.mask_rate, among) if masked else None
        # Rows of a step that a loss compares stay together: this many consecutive ones of the plan.
        self.together = {
            head: train.negatives or family.task.negatives if family.task.negatives > 1 else 1
            for head, family in self.families.items()
        }
        entry_of = [number for number, _ in train.by_subset]
        for number, (_, entry) in enumerate(train.by_subset):
            if entry.rows is not None:
                self.shards[number] = ChosenRows(self.shards[number], entry.rows, seed)
        limits = [entry.limit for _, entry in train.by_subset]
        sizes = [_rows_within(shards, limit) for shards, limit in zip(self.shards, limits, strict=True)]
        for subset, size in zip(self.subsets, sizes, strict=True):
            if size == 0:
                raise train.error(("tasks",), f"{subset}: the file holds no example")
        self.rows = sum(sizes)
        epochs = train.epochs or 1
        self.steps = train.steps or max(1, round(epochs * self.rows / train.batch_size))
        weights = [entry.weight for entry in train.tasks]
        mixing = (train.task_alpha, train.cap)
        self._phases = phases(train, self.steps)
        later = [(one.at, shares_of(sizes, entry_of, one.weights, one.alpha, *mixing)) for one in self._phases]
        shares = shares_of(sizes, entry_of, weights, train.alpha, *mixing)
        blocks = [(TEXT if subset.task.fields else 1) if block == "auto" else block for subset in self.subsets]
        self.plan = Plan(sizes, shares, train.batch_size, seed, later, blocks)

    def learn_from(self, teacher: Mapping[int, np.ndarray], how: Distil) -> None:
        """Give each batch what a teacher says of its rows: logits (rows, labels) by the number of the subset."""
        self._teacher = teacher
        for family in (*self.families.values(), *self._family_of):
            if isinstance(family, Classification):
                family.distil = how

    def _with_teacher_logits(self, batch: Batch, draws: Draws, indices: Sequence[int]) -> Batch:
        if not self._teacher or int(draws.source[indices[0]]) not in self._teacher:
            return batch
        logits = np.stack([self._teacher[int(draws.source[index])][int(draws.row[index])] for index in indices])
        plain = batch.plain and self._with_teacher_logits(batch.plain, draws, indices)
        return replace(batch, targets={**batch.targets, TEACHER: torch.from_numpy(logits)}, plain=plain)

    def mixture(self, step: int) -> dict[str, float]:
        """What the first `step` steps drew, by subset: its share of all rows, how often it was read through, its tokens by the
        mean length of its rows. In constant time, and the same on every rank."""
        drawn = self.plan.rows_drawn(step)
        shares: dict[str, float] = {}
        for subset, rows, size, shards in zip(self.subsets, drawn, self.plan.sizes, self.shards, strict=True):
            name = f"{subset.task.name}/{subset.language}"
            shares[f"mixture/{name}"] = rows / drawn.sum()
            shares[f"epochs/{name}"] = rows / size
            shares[f"tokens/{name}"] = rows * shards.mean_tokens
        return {name: float(value) for name, value in shares.items()}

    def describe_chosen(self) -> list[str]:
        """A line on each subset of which some examples were chosen: how many of each class, and how often each is read."""
        drawn = self.plan.rows_drawn(self.steps)
        return [
            f"{subset.task.name}/{subset.language}: {shards.describe_choice(subset.task.labels)}; "
            f"{rows / drawn.sum():.1%} of the draws, each read {rows / len(shards):,.1f} times"
            for subset, shards, rows in zip(self.subsets, self.shards, drawn, strict=True)
            if isinstance(shards, ChosenRows)
        ]

    def step(self, number: int, rank: int, world: int) -> list[Batch]:
        """This rank's micro-batches of step `number`: for every head the same number on every rank."""
        draws = self.plan.step(number)
        rate = next((phase.mask_rate for phase in reversed(self._phases) if phase.at <= number), None)
        batches: list[Batch] = []
        loads = np.zeros(world, np.int64)
        for head in sorted(self.families):
            alone = len(self.families) == 1
            mine = np.arange(len(draws.source)) if alone else np.flatnonzero(self._is_of[head][draws.source])
            if not len(mine):
                continue
            size = self.together[head]
            for micro in deal_to_rank(rank, self._sizes(draws, mine, size), world, self.budget, self.packed, loads):
                places = np.array(micro.rows, np.int64)
                if size > 1:
                    places = np.concatenate([np.arange(len(mine))[low : low + size] for low in places * size])
                drawn = mine[places]
                ids = row_id(draws.source[drawn], draws.row[drawn])
                indices, sources = drawn.tolist(), draws.source[drawn].tolist()
                plain = self._rows(sources, draws.row[drawn].tolist())
                group = (places // size).tolist() if size > 1 else None
                family = self.families[head]
                languages = [self._read_as[source] for source in sources]
                if isinstance(family, MaskedLM):
                    batch = collate(plain, ids, family, micro.dummy, group, languages)
                    assert self.masking
                    batches.append(self.masking(batch, [int(draws.epoch[index]) for index in indices], rate))
                    continue
                rows = plain
                if self.rewriters or self.keep_plain:
                    rows = [self._rewrite_row(row, draws, index) for row, index in zip(plain, indices, strict=True)]
                if self.keep_plain:
                    batch = collate_pair(rows, plain, ids, family, micro.dummy, group, languages)
                else:
                    batch = collate(rows, ids, family, micro.dummy, group, languages)
                batches.append(self._with_teacher_logits(batch, draws, indices))
        return batches

    def _rows(self, sources: Sequence[int], numbers: Sequence[int]) -> list[Row]:
        rows: list[Row] = [self.shards[source].row(number) for source, number in zip(sources, numbers, strict=True)]
        if self._linker is not None:
            for place, (source, row) in enumerate(zip(sources, rows, strict=True)):
                if isinstance(family := self._family_of[source], ParallelText):
                    rows[place] = {**row, LINKS: self._linker(row, family, self._languages[source])}
        return rows

    def _sizes(self, draws: Draws, mine: np.ndarray, size: int) -> np.ndarray:
        """What each `size` draws of `mine`, which stay together, count against the budget: tokens, with padding where there is
        some."""
        tokens = (
            self.shards[0].lengths(draws.row) if len(self.shards) == 1 else self._lengths(draws.source[mine], draws.row[mine])
        )
        if size == 1:
            return tokens
        first = np.arange(0, len(mine), size)
        if self.packed:
            return np.add.reduceat(tokens, first)
        return np.maximum.reduceat(tokens, first) * np.diff(np.append(first, len(mine)))

    def _lengths(self, sources: np.ndarray, rows: np.ndarray) -> np.ndarray:
        tokens = np.empty(len(sources), np.int64)
        for source, places in group_by_value(sources):
            tokens[places] = self.shards[source].lengths(rows[places])
        return tokens

    def _rewrite_row(self, row: Row, draws: Draws, index: int) -> Row:
        """The row of draw `index`, in other words."""
        source, epoch = int(draws.source[index]), int(draws.epoch[index])
        family = self._family_of[source]
        if self.keep_plain:
            row = comparable_row(row, family)
        for rewriter in self.rewriters:
            row = rewriter.rewrite(row, family, self._languages[source], row_id(source, int(draws.row[index])), epoch)
        return row


def phases(train: Train, steps: int) -> list[Mix]:
    """The phases of the schedule. Raises UserError for a task that the run does not train, phases out of order, and one in
    which no task is left."""
    names = [entry.task for entry in train.tasks]
    weights = [entry.weight for entry in train.tasks]
    mixes: list[Mix] = []
    alpha, mask_rate = train.alpha, train.mask_rate
    for number, phase in enumerate(train.schedule):
        key = ("schedule", number)
        for name, weight in phase.weights.items():
            if name not in names:
                raise train.error((*key, "weights", name), unknown("task of this run", name, names))
            weights = [weight if task == name else old for task, old in zip(names, weights, strict=True)]
        at = round(phase.at * steps) if phase.at < 1 else round(phase.at)
        if at <= (mixes[-1].at if mixes else 0):
            raise train.error((*key, "at"), f"step {at} does not come after the phase before it")
        if all(weight == 0 for weight in weights):
            raise train.error((*key, "weights"), "every task rests")
        alpha = alpha if phase.alpha is None else phase.alpha
        mask_rate = mask_rate if phase.mask_rate is None else phase.mask_rate
        mixes.append(Mix(at, weights, alpha, mask_rate))
    return mixes


def _with_special(ids: Sequence[np.ndarray], tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    return np.unique(np.concatenate([*ids, np.array(tokenizer.all_special_ids, np.int64)]))


@overload
def row_id(source: int, row: int) -> int: ...
@overload
def row_id(source: np.ndarray, row: np.ndarray) -> np.ndarray: ...
def row_id(source: Any, row: Any) -> Any:
    """The identity of a row in a run, or of each of several: the same on every rank and in every epoch."""
    return source << ROW_BITS | row


def parts_of(identity: int) -> tuple[int, int]:
    """The training subset and the row of which `row_id` gives this identity."""
    return identity >> ROW_BITS, identity & (1 << ROW_BITS) - 1


def sources_of(row_ids: Tensor) -> Tensor:
    """The number of the training subset that each row belongs to."""
    return row_ids >> ROW_BITS


def _rows_within(shards: Rows, limit: int | None) -> int:
    """Rows of the first `limit` examples."""
    return len(shards) if limit is None else int(np.searchsorted(shards.column("example"), limit))
