"""Mining translation pairs, BUCC 2018: margin scores, greedy one-to-one matching, a threshold from dev, F1 over id
pairs.

Follows the definition in google-research/xtreme (third_party/utils_retrieve.py, Artetxe and Schwenk 2019, arXiv
1811.01136).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xdist.metrics.counts import Array, CountRows, Sums, precision_recall_f1
from xdist.metrics.definition import Given, Metric, register

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


MinedPair = tuple[str, str]


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
) -> list[tuple[float, MinedPair]]:
    """Candidates as (score, (foreign id, English id)). Where `unique_ids` gave None the candidate is left out."""
    named = ((candidate.score, foreign[candidate.foreign], english[candidate.english]) for candidate in candidates)
    return [(score, (left, right)) for score, left, right in named if left is not None and right is not None]


def unique_ids(sentences: Sequence[str], ids: Sequence[str]) -> list[str | None]:
    """For each row of `unite(sentences)` its id, or None where the sentence occurs more than once."""
    count: dict[str, int] = {}
    for sentence in sentences:
        count[sentence] = count.get(sentence, 0) + 1
    return [ids[row] if count[sentences[row]] == 1 else None for row in unite(sentences)]


def best_threshold(scored: Iterable[tuple[float, MinedPair]], gold: Collection[MinedPair]) -> float:
    """The score at or above which the pairs have the highest F1: half-way to the next lower score, or the lowest score
    if all pairs are kept; 0 where no pair is right. Raises ValueError for empty gold."""
    wanted = set(gold)
    if not wanted:
        raise ValueError("a threshold needs gold pairs")
    ordered = sorted(scored, key=lambda item: -item[0])
    values = np.array([value for value, _ in ordered])
    following = np.append(values[1:], values[-1:])
    correct = np.cumsum([pair in wanted for _, pair in ordered])
    f1 = precision_recall_f1(correct, np.arange(1, len(ordered) + 1), len(wanted))["f1"]
    f1[:-1][values[:-1] == following[:-1]] = 0  # no threshold falls between equal scores
    best = int(f1.argmax()) if len(f1) else 0
    return float((values[best] + following[best]) / 2) if f1.any() else 0.0


def extract(scored: Iterable[tuple[float, MinedPair]], threshold: float) -> set[MinedPair]:
    """The pairs at or above the threshold."""
    return {pair for value, pair in scored if value >= threshold}


def rows(predictions: Iterable[str], gold: Mapping[str, Collection[str]], given: Given) -> CountRows:
    """Right, predicted and gold pairs of each foreign sentence, shape [n, 3]. `gold`: its English ids by its id, none for most;
    `predictions`: `foreign id TAB English id`, all of one foreign sentence counted with it."""
    found = {id: [0, 0, len(set(english))] for id, english in gold.items()}
    for foreign, english in (line.split("\t") for line in set(predictions)):
        found[foreign][0] += english in gold[foreign]
        found[foreign][1] += 1
    return np.array(list(found.values()), dtype=np.float64).reshape(-1, 3)


def score(sums: Sums) -> dict[str, Array]:
    return precision_recall_f1(sums[:, 0], sums[:, 1], sums[:, 2])


PAIR_F1 = register(
    Metric(
        name="pair-f1",
        about="F1 of the pairs of translations that were found (BUCC 2018)",
        families=("bitext-mining",),
        numbers=("f1", "precision", "recall"),
        rows=rows,
        score=score,
    )
)
