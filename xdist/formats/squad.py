"""SQuAD JSON: SQuAD 1.1 and 2.0, XQuAD, MLQA, TyDiQA-GoldP.

Blanked gold is one answer with empty text at offset 0 (google-research/xtreme, `remove_qa_test_annotations`).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.formats.examples import Answer, Question
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import field, read_json


def read(path: Path, *, need_gold: bool = False) -> Iterator[Question]:
    """The questions of a file, in order. `answers` is None where the gold is blanked and () where SQuAD 2.0 says that
    there is none.

    Raises UserError that names the question: an answer that is not at its offset in the context, a missing
    field, gold in some questions alone, no gold under `need_gold`.
    """
    return with_uniform_gold(questions(path), need_gold, "'answers' with text and answer_start")


def paragraphs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place for messages, paragraph object) of every paragraph of a SQuAD file, in order."""
    for a, article in enumerate(field(read_json(path), "data", list, str(path)), start=1):
        for p, paragraph in enumerate(field(article, "paragraphs", list, f"{path}: article {a}"), start=1):
            yield f"{path}: article {a}, paragraph {p}", paragraph


class Keys:
    """Gives each question its own key: its id, and from the second question of that id on, id#2, id#3, …"""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, id: str) -> str:
        count = self._seen[id] = self._seen.get(id, 0) + 1
        return id if count == 1 else self(f"{id}#{count}")


def answers(context: str, spans: Iterable[tuple[int, str]], where: str) -> tuple[Answer, ...] | None:
    """The checked answers of a question; None if they are blanked. Raises UserError for text not at its offset."""
    found = tuple(Answer(start=start, text=text) for start, text in spans)
    if not any(answer.text for answer in found):
        return None
    for answer in found:
        there = context[answer.start : answer.start + len(answer.text)] if answer.start >= 0 else ""
        if not answer.text or there != answer.text:
            raise UserError(f"{where}: answer {answer.text!r:.60} is not at offset {answer.start}: there is {there!r:.60}")
    return found


def questions(path: Path) -> Iterator[tuple[str, Question]]:
    """(file and question for messages, Question) of each. Raises UserError as `read`, with or without gold."""
    key = Keys()
    for place, paragraph in paragraphs(path):
        context = field(paragraph, "context", str, place)
        for qa in field(paragraph, "qas", list, place):
            id = field(qa, "id", str, place)
            where = f"{path}: question '{id}'"
            gold: tuple[Answer, ...] | None = ()
            if not qa.get("is_impossible", False):
                spans = (
                    (field(answer, "answer_start", int, where), field(answer, "text", str, where))
                    for answer in field(qa, "answers", list, where)
                )
                gold = answers(context, spans, where)
            yield (
                where,
                Question(key=key(id), id=id, question=field(qa, "question", str, where), context=context, answers=gold),
            )
