"""Multiple choice: COPA and XCOPA, Social IQa, HellaSwag, CommonsenseQA (jsonl), CosmosQA (csv).

The first segment is worded in English for every language, as in google-research/xtreme, third_party/run_xcopa.py.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xdist.errors import UserError, unknown
from xdist.formats.examples import Choice
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import field, read_jsonl, read_lines

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
    """`rows` of a complete file, without labels if every label is 0: that is how the official preparation blanks XCOPA.

    A gold file of n rows looks so by chance once in 2^n times; then its gold is refused, never the reverse."""
    if all(not row.label for _, row in rows):
        return [(where, replace(row, label=None)) for where, row in rows]
    return list(rows)


def read_copa(path: Path, *, need_gold: bool = False) -> Iterator[Choice]:
    """COPA, XCOPA: `premise`, `choice1`, `choice2`, `question`, `label` 0 or 1 (absent or -1: None). A file whose
    labels are all 0 is blanked, so the complete file is read first.

    Raises UserError: a missing field, an unknown question, a label outside 0 and 1, no gold under `need_gold`.
    """
    yield from with_uniform_gold(blank_zeros(list(_copa(path))), need_gold, "field 'label', not 0 throughout")


def read_siqa(path: Path, *, need_gold: bool = False) -> Iterator[Choice]:
    """Social IQa: `context`, `question`, `answerA`, `answerB`, `answerC`, `correct` A, B or C (absent or empty: None).

    Raises UserError: a missing field, another letter, no gold under `need_gold`.
    """
    return with_uniform_gold(_siqa(path), need_gold, "field 'correct'")


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


def read_hellaswag(path: Path, *, need_gold: bool = False) -> Iterator[Choice]:
    """HellaSwag: `ctx`, four `endings`, `label` 0 to 3 (absent in test). Raises UserError as the others."""
    return with_uniform_gold(_listed(path, "ctx", "endings"), need_gold, "field 'label'")


def read_listed(path: Path, *, need_gold: bool = False) -> Iterator[Choice]:
    """Any other choice: `prompt`, a list of `options`, `label` from 0 (absent or -1: None). Raises UserError as the others."""
    return with_uniform_gold(_listed(path, "prompt", "options"), need_gold, "field 'label'")


def read_commonsenseqa(path: Path, *, need_gold: bool = False) -> Iterator[Choice]:
    """CommonsenseQA 1.11: `question` with `stem` and `choices` of `label` and `text`, `answerKey` (absent in test). Raises
    UserError as the others."""
    return with_uniform_gold(_commonsense(path), need_gold, "field 'answerKey'")


def read_cosmosqa(path: Path, *, need_gold: bool = False) -> Iterator[Choice]:
    """CosmosQA: csv with a header and `context`, `question`, `answer0` to `answer3`, `label` (absent in test), or the same
    fields as jsonl. Raises UserError as the others."""
    return with_uniform_gold(_cosmos(path), need_gold, "column 'label'")


def _listed(path: Path, prompt: str, options: str) -> Iterator[tuple[str, Choice]]:
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        texts = field(record, options, list, where)
        if len(texts) < 2 or not all(isinstance(text, str) for text in texts):
            raise UserError(f"{where}: field '{options}' must hold two texts or more")
        label = field(record, "label", int, where) if record.get("label", "") != "" else -1
        yield where, Choice(prompt=field(record, prompt, str, where), options=tuple(texts), label=_right(label, texts, where))


def _commonsense(path: Path) -> Iterator[tuple[str, Choice]]:
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        question = field(record, "question", dict, where)
        choices = field(question, "choices", list, where)
        letters = [field(choice, "label", str, where) for choice in choices]
        key = field(record, "answerKey", str, where) if "answerKey" in record else ""
        if key and key not in letters:
            raise UserError(f"{where}: {unknown('answer', key, letters)}")
        options = tuple(field(choice, "text", str, where) for choice in choices)
        label = letters.index(key) if key else None
        yield where, Choice(prompt=field(question, "stem", str, where), options=options, label=label)


def _cosmos(path: Path) -> Iterator[tuple[str, Choice]]:
    answers = [f"answer{number}" for number in range(4)]
    for where, record in _records(path):
        options = [field(record, name, str, where) for name in answers]
        cell = str(record.get("label", "") if record.get("label") is not None else "")
        if cell not in ("", "-1", "0", "1", "2", "3"):
            raise UserError(f"{where}: {unknown('label', cell, range(4))}")
        prompt = siqa_prompt(field(record, "context", str, where), field(record, "question", str, where))
        yield where, Choice(prompt=prompt, options=tuple(options), label=_right(int(cell or -1), options, where))


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(place, record) of a csv or jsonl file; a csv record may run over several lines, and is named by its last one."""
    if path.suffix == ".jsonl":
        yield from ((f"{path}:{number}", record) for number, record in read_jsonl(path))
        return
    rows = csv.DictReader((f"{line}\n" for _, line in read_lines(path)), strict=True)
    try:
        for row in rows:
            if None in row or None in row.values():
                raise UserError(f"{path}:{rows.line_num}: expected {len(rows.fieldnames or ())} columns as in the header")
            yield f"{path}:{rows.line_num}", row
    except csv.Error as error:
        raise UserError(f"{path}:{rows.line_num}: not csv: {error}") from None


def _right(label: int, options: Sequence[str], where: str) -> int | None:
    if not -1 <= label < len(options):
        raise UserError(f"{where}: {unknown('label', label, range(len(options)))}")
    return None if label == -1 else label
