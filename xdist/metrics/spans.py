"""Spans of tagged words, as two versions of seqeval find them, and their F1.

Both read a tag as a mark, its first character, and a type, and agree on where spans begin and end; they differ in the type.
What carries an official name is scored as version 0.0.12 does, which the scorer of XTREME calls (UD-POS, WikiANN): the type is
what follows the last `-`, the full tag if there is none. UPOS tags carry no B- or I-: equal neighbours merge into one span,
except SCONJ and SYM, whose mark S always is alone. Types with a `-` in them are cut.

Published figures were also made by version 1.2.2, so its scores are given in addition to the official ones, under its name. It
takes a bare tag without its first letter: CCONJ and SCONJ are of one type there, and a run of X at the end of a sentence is no
span. It works on all sentences of a language joined, and where such a run begins a sentence, it begins at the last beginning
before it.

Tasks of users are scored as version 1.2.2 does in its default mode: the type is what follows the first `-`, an I- that
continues no span of its type begins one, and E- and S- end a span after their word. Of a tag that is none of these it would
take what follows the first character, and so count CCONJ for SCONJ as right: here such tags are refused.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from xdist.errors import UserError
from xdist.metrics.counts import Array, CountRows, Sums, precision_recall_f1, ratio
from xdist.metrics.definition import Given, Metric, register

Span = tuple[str, int, int]
Parse = Callable[[str], tuple[str, str]]
"""From a tag to its mark and type."""

_TAG = re.compile(r"O|[BIES](-.+)?")
_ENDS = {"BB", "BS", "BO", "IB", "IS", "IO"}
_STARTS = {"EE", "EI", "SE", "SI", "OE", "OI"}


def parse_0_0_12(tag: str) -> tuple[str, str]:
    return tag[0], tag.rsplit("-", 1)[-1]


def parse_1_2_2(tag: str) -> tuple[str, str]:
    """Raises UserError for an ill-formed tag. B and I without a type are of one type."""
    if not _TAG.fullmatch(tag):
        raise UserError(f"tag '{tag}' is neither O nor B- or I- and a type")
    return tag[0], tag[2:] or "_"


def parse_bare(tag: str) -> tuple[str, str]:
    """As version 1.2.2 takes any tag, with a warning."""
    return tag[0], tag[1:].split("-", 1)[-1] or "_"


def spans(tags: Sequence[str], parse: Parse) -> set[Span]:
    """The spans (type, first, last) of one sentence; `last` is inclusive.

    seqeval joins the sentences of a language with an `O` after each, so no span crosses a sentence and counting sentence by
    sentence gives the same spans (for all tags but those with the mark `.` or the type O).
    """
    found: set[Span] = set()
    previous, first = "O", 0
    for position, tag in enumerate([*tags, "O"]):
        ends, starts = _boundary(previous, tag, parse)
        if ends:
            found.add((parse(previous)[1], first, position - 1))
        if starts:
            first = position
        previous = tag
    return found


def rows(parse: Parse, predictions: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], given: Given) -> CountRows:
    """Per sentence: right spans, predicted spans, gold spans, right tags, tags. Shape [n, 5], counts.
    Raises ValueError for another number of sentences, or of tags in one of them."""
    if len(predictions) != len(gold):
        raise ValueError(f"{len(predictions)} predicted sentences for {len(gold)}")
    counts = np.zeros((len(gold), 5))
    for number, (tags, truth) in enumerate(zip(predictions, gold, strict=True)):
        if len(tags) != len(truth):
            raise ValueError(f"sentence {number + 1}: {len(tags)} predicted tags for {len(truth)} words")
        predicted, true = spans(tags, parse), spans(truth, parse)
        right = sum(tag == true_tag for tag, true_tag in zip(tags, truth, strict=True))
        counts[number] = len(predicted & true), len(predicted), len(true), right, len(truth)
    return counts


def spans_1_2_2(sentences: Sequence[Sequence[str]]) -> list[set[Span]]:
    """Those that version 1.2.2 finds in all sentences joined with an O behind each, by the sentence that each ends in."""
    found: list[set[Span]] = []
    previous, first, position = "O", 0, 0
    for tags in sentences:
        inside: set[Span] = set()
        for tag in (*tags, "O"):
            ends, starts = _boundary(previous, tag, parse_bare)
            if ends:
                inside.add((parse_bare(previous)[1], first, position - 1))
            if starts:
                first = position
            previous = tag
            position += 1
        found.append(inside)
    return found


def rows_of_both(predictions: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], given: Given) -> CountRows:
    """`rows` as version 0.0.12 parses tags, and of version 1.2.2 right, predicted and gold spans. Shape [n, 8], counts."""
    first = rows(parse_0_0_12, predictions, gold, given)
    both = zip(spans_1_2_2(predictions), spans_1_2_2(gold), strict=True)
    counts_of_other = [(len(predicted & true), len(predicted), len(true)) for predicted, true in both]
    return np.hstack([first, np.array(counts_of_other, np.float64).reshape(-1, 3)])


def score(sums: Sums) -> dict[str, Array]:
    """Micro "f1", "precision", "recall" over spans and plain tag "accuracy". Only F1 is official."""
    return {**precision_recall_f1(sums[:, 0], sums[:, 1], sums[:, 2]), "accuracy": ratio(sums[:, 3], sums[:, 4])}


def score_of_both(sums: Sums) -> dict[str, Array]:
    second = precision_recall_f1(sums[:, 5], sums[:, 6], sums[:, 7])
    return {**score(sums), "precision_seqeval_1.2.2": second["precision"], "f1_seqeval_1.2.2": second["f1"]}


@lru_cache(maxsize=4096)
def _boundary(previous: str, current: str, parse: Parse) -> tuple[bool, bool]:
    """Does a span end before `current`, and does one start at it?"""
    (mark, kind), (next_mark, next_kind) = parse(previous), parse(current)
    changed = kind != next_kind
    ends = mark in "ES" or mark + next_mark in _ENDS or (mark not in "O." and changed)
    starts = next_mark in "BS" or mark + next_mark in _STARTS or (next_mark not in "O." and changed)
    return ends, starts


def _ill_formed(labels: Sequence[str], languages: Sequence[str]) -> str | None:
    for label in labels:
        if not _TAG.fullmatch(label):
            return (
                f"label '{label}' is neither O nor B- or I- and a type; where words have tags without spans: metric: accuracy"
            )
    return None


CURRENT = register(
    Metric(
        name="seqeval-1.2.2",
        about="F1 of spans of B-, I- (and E-, S-) tags as seqeval counts them by default; also accuracy of tags",
        families=("tagging",),
        numbers=("f1", "precision", "recall", "accuracy"),
        rows=partial(rows, parse_1_2_2),
        score=score,
        refuses=_ill_formed,
    )
)
OFFICIAL = register(
    replace(
        CURRENT,
        name="seqeval-0.0.12",
        about="F1 of spans as the official scorer of XTREME counts them, bare tags too; in addition the same by seqeval 1.2.2; "
        "also accuracy of tags",
        numbers=("f1", "precision", "recall", "accuracy", "precision_seqeval_1.2.2", "f1_seqeval_1.2.2"),
        rows=rows_of_both,
        score=score_of_both,
        refuses=lambda labels, languages: None,
    )
)
XGLUE_POS = register(
    replace(
        OFFICIAL,
        name="xglue-pos",
        about="what XGLUE calls the accuracy of POS: the precision of spans of bare tags by seqeval 0.0.12, and by 1.2.2; the "
        "accuracy of tags is given in addition",
        numbers=("precision", "accuracy", "f1", "recall", "precision_seqeval_1.2.2", "f1_seqeval_1.2.2"),
    )
)
