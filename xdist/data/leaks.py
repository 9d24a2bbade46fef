"""Sentences of test sets among the parallel text that a model is fitted or trained on: searched, and refused.

A text is compared by its letters and digits alone, without case: punctuation and spaces differ from one publisher to another.
What is shorter than SHORT of them says nothing: "Thank you." is in every corpus and in Tatoeba.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from xdist.data.subset import Subset
from xdist.errors import UserError, cut
from xdist.formats.examples import Choice, Classified, Line, Passage, Query, Question, Sentence, Tagged

SHORT = 16


def check_leaks(fitted: Sequence[Subset], scored: Sequence[Subset], root: Path) -> None:
    """Raises UserError, one line, where a text of `fitted`, in either of its languages, is one of those that are `scored`: how
    many, and the first of them."""
    if not fitted or not scored:
        return
    _check_texts(tuple(fitted), tuple(scored), root, _state((*fitted, *scored), root))


def _state(subsets: Sequence[Subset], root: Path) -> tuple[tuple[str, int], ...]:
    """The files and when they were written: a study asks of the same ones for each of its runs."""
    paths = [path for one in subsets for path in one.task.paths(root, one.split, one.language) if path.is_file()]
    return tuple((str(path), path.stat().st_mtime_ns) for path in dict.fromkeys(paths))


@lru_cache(maxsize=16)
def _check_texts(fitted: tuple[Subset, ...], scored: tuple[Subset, ...], root: Path, _state: object) -> None:
    tests: dict[str, str] = {}
    for subset in scored:
        for example in subset.task.examples(root, subset.split, subset.language):
            tests |= {plain: str(subset) for text in _texts(example) if len(plain := letters_of(text)) >= SHORT}
    if not tests:
        return
    for subset in fitted:
        found: list[tuple[str, str]] = []
        looked_at = 0
        for text in (text for one in subset.task.examples(root, subset.split, subset.language) for text in _texts(one)):
            looked_at += 1
            if (plain := letters_of(text)) in tests:
                found.append((text, tests[plain]))
        if found:
            text, test = found[0]
            raise UserError(
                f"{subset}: {len(found)} of {looked_at} texts are sentences of what is evaluated, such as '{cut(text)}' of "
                f"{test}; leave them out, or evaluate something else"
            )


def letters_of(text: str) -> str:
    """The letters, marks and digits of a text, without case."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in plain if unicodedata.category(sign)[0] in "LMN")


def _texts(example: Any) -> Iterator[str]:
    match example:
        case Line(text=text, translation=other):
            yield from (text, *([other] if other else []))
        case Sentence(text=text) | Query(text=text) | Passage(text=text):
            yield text
        case Classified(texts=texts):
            yield from texts
        case Choice(prompt=prompt, options=options):
            yield from (prompt, *options)
        case Question(question=question, context=context):
            yield from (question, context)
        case Tagged(words=words):
            yield " ".join(words)
        case tuple():
            for part in example:
                yield from _texts(part)
