"""LAReQA: SQuAD JSON with sentence boundaries, read as questions and one pool of candidate sentences.

Follows google-research/xtreme, third_party/utils_lareqa.py. A candidate is a sentence of a paragraph that has a
question; its text is the context between the sentence's breaks (in Turkish two of the listed `sentences` differ from
that). Relevant to a question is every candidate, of any language, whose sentence holds the answer of the question with
the same id; a repeat of that sentence's text in its paragraph counts too.

The training pairs are SQuAD's: a question and the sentence of its paragraph in which its first answer begins.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from xdist.errors import UserError
from xdist.formats import squad
from xdist.formats.examples import Passage, Query
from xdist.formats.lines import field
from xdist.formats.splitter import sentences
from xdist.formats.squad import answers, paragraphs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    id: str
    question: str
    relevant: tuple[str, ...]


def passages(path: Path, language: str) -> Iterator[Passage]:
    """The candidates of one language; ids are `xx_paragraph_sentence`, paragraphs counted from 1, sentences from 0.
    Raises UserError as `queries`."""
    for candidates, asked in _paragraphs(path, language):
        if asked:
            yield from candidates


def queries(paths: Mapping[str, Path]) -> Iterator[Query]:
    """The questions of all languages (language code to file), ids `question_xx`, with their relevant candidates over
    all the languages given: 11 each in the full set.

    Raises UserError: a missing field, a sentence outside its context, an answer not at its offset, not one answer.
    """
    asked = {language: _questions(path, language, _state(path)) for language, path in paths.items()}
    relevant: dict[str, tuple[str, ...]] = {}
    for questions in asked.values():
        for question in questions:
            relevant[question.id] = relevant.get(question.id, ()) + question.relevant
    for language, questions in asked.items():
        for question in questions:
            yield Query(id=f"{question.id}_{language}", text=question.question, relevant=relevant[question.id])


def pairs(path: Path) -> Iterator[tuple[Query, Passage]]:
    """The training pairs of a SQuAD file: each question with the sentence in which its first answer begins.

    A question without an answer, or whose answer begins in no sentence, is left out, as officially; how many is logged when
    the file ends. Raises UserError as `squad.read`.
    """
    left_out = 0
    context, spans = "", list[tuple[int, int]]()
    for question in squad.read(path, need_gold=True):
        if question.context != context:
            context, spans = question.context, list(sentences(question.context))
        at = question.answers[0].start if question.answers else -1
        text = next((context[start:end] for start, end in spans if start <= at < end), None)
        if text is None:
            left_out += 1
            continue
        yield (
            Query(id=question.key, text=question.question, relevant=(question.key,)),
            Passage(id=question.key, text=text, context=context),
        )
    if left_out:
        log.warning("%s: %d questions skipped: their answer begins in no sentence", path, left_out)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)  # the questions of every language need all languages' files
def _questions(path: Path, language: str, state: tuple[int, int]) -> list[_Asked]:
    """The questions of one file in the given `state`."""
    return [question for _, questions in _paragraphs(path, language) for question in questions]


def _paragraphs(path: Path, language: str) -> Iterator[tuple[list[Passage], list[_Asked]]]:
    """The sentences of each paragraph and its questions; a question whose answer starts in no sentence is left out, as
    officially."""
    for number, (place, paragraph) in enumerate(paragraphs(path), start=1):
        context = field(paragraph, "context", str, place)
        breaks = [_break(pair, context, place) for pair in field(paragraph, "sentence_breaks", list, place)]
        candidates = [
            Passage(id=f"{language}_{number}_{index}", text=context[start:end], context=context)
            for index, (start, end) in enumerate(breaks)
        ]
        asked = []
        for qa in field(paragraph, "qas", list, place):
            id = field(qa, "id", str, place)
            where = f"{path}: question '{id}'"
            spans = [
                (field(answer, "answer_start", int, where), field(answer, "text", str, where))
                for answer in field(qa, "answers", list, where)
            ]
            gold = answers(context, spans, where)
            if gold is None or len(gold) != 1:
                raise UserError(f"{where}: expected one answer, found {len(gold or ())}")
            text = next((context[start:end] for start, end in breaks if start <= gold[0].start < end), None)
            if text is not None:
                relevant = tuple(candidate.id for candidate in candidates if candidate.text == text)
                asked.append(_Asked(id, field(qa, "question", str, where), relevant))
        yield candidates, asked


def _break(pair: object, context: str, where: str) -> tuple[int, int]:
    match pair:
        case [int(start), int(end)] if 0 <= start <= end <= len(context):
            return start, end
    raise UserError(f"{where}: sentence break {pair!r:.40} is no [start, end) in its context of {len(context)} characters")
