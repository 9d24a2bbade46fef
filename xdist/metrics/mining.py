"""Mining translation pairs, BUCC 2018: margin scores, greedy one-to-one matching, a threshold from dev, F1 over id
pairs.

Follows the definition in google-research/xtreme (third_party/utils_retrieve.py, Artetxe and Schwenk 2019, arXiv
1811.01136).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xdist.metrics.counts import Rows, precision_recall_f1

NEIGHBOURS = 4


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest neighbours of n vectors on the other side: cosines [n, k], falling, and their row numbers [n, k]."""

    cosine: NDArray[np.floating]
    index: NDArray[np.integer]


class Candidate(NamedTuple):
    """Rows of the two sides that were matched, and their margin score."""

    score: float
    foreign: int
    english: int


Pair = tuple[str, str]


def unite(sentences: Iterable[str]) -> list[int]:
    """The rows of the first occurrence of each distinct sentence: the vectors to search with."""
    first: dict[str, int] = {}
    for row, sentence in enumerate(sentences):
        first.setdefault(sentence, row)
    return list(first.values())


def mine(forward: Neighbours, backward: Neighbours) -> list[Candidate]:
    """One-to-one matches, best first. `forward`: English neighbours of each foreign vector; `backward` the reverse;
    both with k = 4 officially.

    Margin score: cos(x, y) over the mean of x's and y's mean cosine to their neighbours. Candidates are the best
    neighbour of each vector on either side; scores that are not positive are dropped.
    """
    out, back = forward.cosine.mean(axis=1), backward.cosine.mean(axis=1)
    ahead = 2 * forward.cosine / (out[:, None] + back[forward.index])
    behind = 2 * backward.cosine / (back[:, None] + out[backward.index])
    rows, columns = np.arange(len(ahead)), np.arange(len(behind))
    best_ahead, best_behind = ahead.argmax(axis=1), behind.argmax(axis=1)
    foreign = np.concatenate([rows, backward.index[columns, best_behind]])
    english = np.concatenate([forward.index[rows, best_ahead], columns])
    scores = np.concatenate([ahead[rows, best_ahead], behind[columns, best_behind]])
    used_foreign: set[int] = set()
    used_english: set[int] = set()
    found = []
    for place in np.argsort(-scores, kind="stable"):
        candidate = Candidate(float(scores[place]), int(foreign[place]), int(english[place]))
        if candidate.foreign in used_foreign or candidate.english in used_english:
            continue
        used_foreign.add(candidate.foreign)
        used_english.add(candidate.english)
        if candidate.score > 0:
            found.append(candidate)
    return found


def identify(
    candidates: Iterable[Candidate], foreign: Sequence[str | None], english: Sequence[str | None]
) -> list[tuple[float, Pair]]:
    """Candidates as (score, (foreign id, English id)). Where `unique_ids` gave None the candidate is left out."""
    named = ((candidate.score, foreign[candidate.foreign], english[candidate.english]) for candidate in candidates)
    return [(score, (left, right)) for score, left, right in named if left is not None and right is not None]


def unique_ids(sentences: Sequence[str], ids: Sequence[str]) -> list[str | None]:
    """For each row of `unite(sentences)` its id, or None where the sentence occurs more than once."""
    count: dict[str, int] = {}
    for sentence in sentences:
        count[sentence] = count.get(sentence, 0) + 1
    return [ids[row] if count[sentences[row]] == 1 else None for row in unite(sentences)]


def best_threshold(scored: Iterable[tuple[float, Pair]], gold: Collection[Pair]) -> float:
    """The score at or above which the pairs have the highest F1: half-way to the next lower score, or the lowest score
    if all pairs are kept; 0 where no pair is right. Raises ValueError for empty gold."""
    wanted = set(gold)
    if not wanted:
        raise ValueError("a threshold needs gold pairs")
    ordered = sorted(scored, key=lambda item: -item[0])
    correct, best, threshold = 0, 0.0, 0.0
    for number, (value, pair) in enumerate(ordered, start=1):
        correct += pair in wanted
        following = ordered[number][0] if number < len(ordered) else value
        if number < len(ordered) and following == value:
            continue  # no threshold falls between equal scores
        f1 = precision_recall_f1(correct, number, len(wanted))["f1"]
        if f1 > best:
            best, threshold = f1, (value + following) / 2
    return threshold


def extract(scored: Iterable[tuple[float, Pair]], threshold: float) -> set[Pair]:
    """The pairs at or above the threshold."""
    return {pair for value, pair in scored if value >= threshold}


def per_example(predictions: Collection[Pair], gold: Collection[Pair]) -> Rows:
    """For every pair that is predicted or gold, sorted: right, predicted, gold, each 0 or 1. Shape [n, 3]."""
    predicted, true = set(predictions), set(gold)
    pairs = sorted(predicted | true)
    rows = [(pair in predicted and pair in true, pair in predicted, pair in true) for pair in pairs]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def score(rows: Rows) -> dict[str, float]:
    """{"f1", "precision", "recall"}, 0 to 100, of rows [n, 3]."""
    correct, predicted, gold = rows.sum(axis=0)
    return precision_recall_f1(correct, predicted, gold)
