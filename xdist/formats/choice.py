"""Multiple choice: COPA and XCOPA, Social IQa (jsonl).

The first segment is worded in English for every language, as in google-research/xtreme, third_party/run_xcopa.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from xdist.errors import UserError, unknown
from xdist.formats.examples import Choice
from xdist.formats.gold import uniform
from xdist.formats.lines import field, read_jsonl

COPA_QUESTIONS = ("cause", "effect")
_LETTERS = ("A", "B", "C")


def copa_prompt(premise: str, question: str, where: str) -> str:
    """`premise What was the cause?` or `premise What was the effect?`. Raises UserError for another `question`."""
    if question not in COPA_QUESTIONS:
        raise UserError(f"{where}: {unknown('question', question, COPA_QUESTIONS)}")
    return f"{premise} What was the {question}?"


def siqa_prompt(context: str, question: str) -> str:
    return f"{context} {question}"


def blank_zeros(rows: Sequence[tuple[str, Choice]]) -> list[tuple[str, Choice]]:
    """`rows` of a whole file, without labels if every label is 0: that is how the official preparation blanks XCOPA.

    A gold file of n rows looks so by chance once in 2^n times; then its gold is refused, never the reverse."""
    if all(not row.label for _, row in rows):
        return [(where, replace(row, label=None)) for where, row in rows]
    return list(rows)


def read_copa(path: Path, *, need_gold: bool = False) -> Iterator[Choice]:
    """COPA, XCOPA: `premise`, `choice1`, `choice2`, `question`, `label` 0 or 1 (absent or -1: None). A file whose
    labels are all 0 is blanked, so the whole file is read first.

    Raises UserError: a missing field, an unknown question, a label outside 0 and 1, no gold under `need_gold`.
    """
    yield from uniform(blank_zeros(list(_copa(path))), need_gold)


def read_siqa(path: Path, *, need_gold: bool = False) -> Iterator[Choice]:
    """Social IQa: `context`, `question`, `answerA`, `answerB`, `answerC`, `correct` A, B or C (absent or empty: None).

    Raises UserError: a missing field, another letter, no gold under `need_gold`.
    """
    return uniform(_siqa(path), need_gold)


def _copa(path: Path) -> Iterator[tuple[str, Choice]]:
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        premise, question = field(record, "premise", str, where), field(record, "question", str, where)
        label = field(record, "label", int, where) if "label" in record else -1
        if label not in (-1, 0, 1):
            raise UserError(f"{where}: {unknown('label', label, (0, 1))}")
        yield (
            where,
            Choice(
                prompt=copa_prompt(premise, question, where),
                options=(field(record, "choice1", str, where), field(record, "choice2", str, where)),
                label=None if label == -1 else label,
            ),
        )


def _siqa(path: Path) -> Iterator[tuple[str, Choice]]:
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        letter = field(record, "correct", str, where) if "correct" in record else ""
        if letter and letter not in _LETTERS:
            raise UserError(f"{where}: {unknown('answer', letter, _LETTERS)}")
        yield (
            where,
            Choice(
                prompt=siqa_prompt(field(record, "context", str, where), field(record, "question", str, where)),
                options=tuple(field(record, f"answer{name}", str, where) for name in _LETTERS),
                label=_LETTERS.index(letter) if letter else None,
            ),
        )
