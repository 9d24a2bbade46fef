"""Span F1 of tagging with the semantics of seqeval 0.0.12, which the official scorer of XTREME calls (UD-POS, WikiANN).

A tag has a mark, its first character, and a type, what follows its last `-` (the whole tag if there is none). UPOS tags
carry no B- or I-: equal neighbours merge into one span, except SCONJ and SYM, whose mark S always stands alone. From
version 1 on seqeval takes the text after the first character as the type and so counts CCONJ for SCONJ as right; that
is not done here.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from xdist.metrics.counts import Rows, percent, precision_recall_f1

Span = tuple[str, int, int]

_ENDS = {"BB", "BS", "BO", "IB", "IS", "IO"}
_STARTS = {"EE", "EI", "SE", "SI", "OE", "OI"}


def spans(tags: Sequence[str]) -> set[Span]:
    """The spans (type, first, last) of one sentence; `last` is inclusive.

    Officially the sentences of a language are joined with an `O` after each, so no span crosses a sentence and counting
    sentence by sentence gives the same spans (for all tags but those with the mark `.` or the type O).
    """
    found: set[Span] = set()
    previous, first = "O", 0
    for position, tag in enumerate([*tags, "O"]):
        ends, starts = _boundary(previous, tag)
        if ends:
            found.add((_type(previous), first, position - 1))
        if starts:
            first = position
        previous = tag
    return found


def per_example(predictions: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Rows:
    """Per sentence: right spans, predicted spans, gold spans, right tags, tags. Shape [n, 5], counts.
    Raises ValueError for another number of sentences, or of tags in one of them."""
    if len(predictions) != len(gold):
        raise ValueError(f"{len(predictions)} predicted sentences for {len(gold)}")
    rows = np.zeros((len(gold), 5))
    for number, (tags, truth) in enumerate(zip(predictions, gold, strict=True)):
        if len(tags) != len(truth):
            raise ValueError(f"sentence {number + 1}: {len(tags)} predicted tags for {len(truth)} words")
        predicted, true = spans(tags), spans(truth)
        right = sum(tag == other for tag, other in zip(tags, truth, strict=True))
        rows[number] = len(predicted & true), len(predicted), len(true), right, len(truth)
    return rows


def score(rows: Rows) -> dict[str, float]:
    """Micro "f1", "precision", "recall" over spans and plain tag "accuracy" of rows [n, 5]. Only F1 is official."""
    correct, predicted, gold, right, tags = rows.sum(axis=0)
    accuracy = percent(right / tags) if tags else 0.0
    return {**precision_recall_f1(correct, predicted, gold), "accuracy": accuracy}


@lru_cache(maxsize=4096)
def _boundary(previous: str, current: str) -> tuple[bool, bool]:
    """Does a span end before `current`, and does one start at it?"""
    marks = previous[0] + current[0]
    changed = _type(previous) != _type(current)
    ends = previous[0] in "ES" or marks in _ENDS or (previous[0] not in "O." and changed)
    starts = current[0] in "BS" or marks in _STARTS or (current[0] not in "O." and changed)
    return ends, starts


def _type(tag: str) -> str:
    return tag.rsplit("-", 1)[-1]
