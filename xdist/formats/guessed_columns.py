"""Which columns of a table hold the parts of an example, by their names and by what is in them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xdist.errors import UserError

LABELS = (
    *("label", "labels", "gold", "gold_label", "category", "class", "sentiment", "topic", "intent", "emotion", "target", "y"),
    *("label_text", "is_duplicate", "answer"),
)
PAIRS = (
    *(("premise", "hypothesis"), ("premise", "hypo"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2")),
    *(("text1", "text2"), ("text_a", "text_b"), ("question1", "question2"), ("source", "target"), ("src", "tgt")),
)
TEXTS = ("text", "sentence", "tweet", "review", "headline_text", "content", "body", "utt", "utterance", "comment", "headline")
WORDS, TAGS = ("tokens", "words", "word", "token"), ("ner_tags", "pos_tags", "upos", "tags", "labels", "tag", "ner", "pos")
PROMPTS = (("flores_passage", "passage", "context", "article", "premise", "ctx"), ("question", "prompt", "stem", "goal"))
CHOICES = ("label", "correct_answer_num", "answer", "correct", "gold", "answerkey", "correct_answer")
LISTS = ("options", "choices", "endings", "answers", "candidates")
_OPTION = re.compile(r"((?:mc_?)?(?:answer|choice|option|ending|sol|alternative)_?)(\d|[A-Ea-e])")
ASIDE = ("id", "idx", "index", "index_id", "guid", "lang", "language", "url", "link", "dialect", "split", "date")
HEADINGS = {
    *LABELS,
    *TEXTS,
    *WORDS,
    *TAGS,
    *CHOICES,
    *(name for pair in PAIRS for name in pair),
    *(name for names in PROMPTS for name in names),
    *ASIDE,
    "title",
}
LONG = 15  # letters of a text of two that no heading names
MOST = 200  # values of a column that is taken for a label without being called so
TableColumns = Mapping[str, Sequence[Any]]
FoundColumns = tuple[str, dict[str, Any]]


def columns_of(path: Path, table: TableColumns, family: str = "") -> FoundColumns:
    """(family, the keys `columns` and `names`) of a table's columns. Raises UserError where its parts do not show."""
    tries = {
        "span-qa": _questions,
        "multiple-choice": _choices,
        "tagging": _tagged,
        "classification": _classified,
        "sentence-retrieval": _parallel,
    }
    for name, look in tries.items():
        if family in ("", name) and (found := look(table)):
            return name, found
    what = f"the parts of a {family} task" if family else "what is to be predicted"
    raise UserError(f"{path}: no column looks like {what} (found: {', '.join(table)}); describe it by `columns`")


def _questions(table: TableColumns) -> dict[str, Any] | None:
    if not {"question", "context", "answers"} <= set(table):
        return None
    structs = all(isinstance(value, Mapping) and {"text", "answer_start"} <= set(value) for value in table["answers"])
    return {"columns": {role: role for role in ("question", "context", "answers")}} if structs else None


def _choices(table: TableColumns) -> dict[str, Any] | None:
    label = _column_called(table, CHOICES)
    options = _options(table)
    if label is None or not options:
        return None
    prompt = [name for names in PROMPTS if (name := _column_called(table, names, texts=True)) and name not in options]
    if not prompt:
        return None
    most = len(options) if len(options) > 1 else max(map(len, table[options[0]]))
    values = {str(value) for value in table[label] if value is not None}
    keys: dict[str, Any] = {"columns": {"prompt": _name_or_names(prompt), "options": _name_or_names(options), "label": label}}
    orders = [[str(place + first) for place in range(most)] for first in (0, 1)] + ["ABCDEFGH"[:most], "abcdefgh"[:most]]
    for order in map(list, orders):
        if values <= set(order) and (order[0] != "0" or "0" in values or not values):
            return keys if order[0] == "0" else {**keys, "names": order}
    return None


def _options(table: TableColumns) -> list[str]:
    for name in LISTS:
        if name in table and all(
            isinstance(value, list) and all(isinstance(one, str) for one in value) for value in table[name]
        ):
            return [name]
    stems: dict[str, list[str]] = {}
    for name in table:
        if (match := _OPTION.fullmatch(name)) and _is_text(table[name]):
            stems.setdefault(match[1], []).append(name)
    return max(stems.values(), key=len, default=[]) if any(len(names) > 1 for names in stems.values()) else []


def _tagged(table: TableColumns) -> dict[str, Any] | None:
    lists = {name for name, values in table.items() if values and all(isinstance(value, list) for value in values)}
    word, tag = _column_called(table, WORDS), _column_called(table, TAGS)
    if word in lists and tag in lists and all(len(a) == len(b) for a, b in zip(table[str(word)], table[str(tag)], strict=True)):
        return {"columns": {"word": word, "tag": tag}}
    return None


def _classified(table: TableColumns) -> dict[str, Any] | None:
    pair = next((pair for pair in PAIRS if set(pair) <= set(table)), None)
    label = next((name for name in _all_called(table, LABELS) if _is_label(table[name]) and name not in (pair or ())), None)
    if label is None:
        few = {
            name: len(set(values))
            for name, values in table.items()
            if _is_label(values)
            and name not in (pair or ())
            and name.lower() not in HEADINGS - set(LABELS)
            and 1 < len(set(values)) <= max(2, min(MOST, len(values) // 3))
        }
        label = min(few, key=lambda name: (few[name], _mean([str(value) for value in table[name]])), default=None)
    texts = [name for name, values in table.items() if _is_text(values) and name != label and name.lower() not in ASIDE]
    if label is None or not texts:
        return None
    if (
        pair is None
        and all(name.isdigit() for name in table)
        and len(long := [name for name in texts if _mean(table[name]) > LONG]) == 2
    ):
        pair = (long[0], long[1])
    if pair:
        return {"columns": {"text1": pair[0], "text2": pair[1], "label": label}}
    return {
        "columns": {
            "text": _column_called({name: table[name] for name in texts}, TEXTS) or _longest(table, texts),
            "label": label,
        }
    }


def _parallel(table: TableColumns) -> dict[str, Any] | None:
    texts = [name for name, values in table.items() if _is_text(values)]
    pair = next((pair for pair in PAIRS if set(pair) <= set(texts)), None)
    return {"columns": {"text1": pair[0], "text2": pair[1]}} if pair else None


def _is_text(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_label(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str | int | None) and len(str(value)) <= 60 for value in values) and any(
        value not in (None, "") for value in values
    )


def _longest(table: TableColumns, names: Sequence[str]) -> str:
    return max(names, key=lambda name: _mean(table[name]))


def _mean(texts: Sequence[str]) -> float:
    return sum(map(len, texts)) / len(texts)


def _all_called(table: TableColumns, names: Sequence[str]) -> list[str]:
    there = {name.lower(): name for name in table}
    return [there[name] for name in names if name in there]


def _column_called(table: TableColumns, names: Sequence[str], texts: bool = False) -> str | None:
    return next((name for name in _all_called(table, names) if not texts or _is_text(table[name])), None)


def _name_or_names(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names
