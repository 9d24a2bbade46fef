"""Records of another shape: each value of a valid record in turn is another, and every reader gives examples or one line."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xdist.errors import UserError
from xdist.formats import choice, lareqa, mewslix, nli, parquet, squad
from xdist.formats.columns import Columns
from xdist.robust.word_lists import read_synonyms

OTHERS: tuple[Any, ...] = (None, True, 5, -7, 10**30, 1.5, "", "x", [], {}, [[]], [None], ["x", 5], {"a": 1}, [[[[{}]]]])

ANSWER = {"answer_start": 0, "text": "Kenya"}
QA = {"id": "q1", "question": "Where?", "answers": [ANSWER], "is_impossible": False}
PARAGRAPH = {"context": "Kenya wins. Mali too.", "sentence_breaks": [[0, 11], [12, 21]], "qas": [QA]}
SPAN = {"start": 0, "end": 11}
MENTION = {"example_id": "m1", "mention_span": {"start": 0, "end": 5, "text": "Kenya"}, "entity_id": "Q1"}
CONTEXT = {"text": "Kenya wins.", "sentence_spans": [SPAN]}
ENTITY = {"entity_id": "Q1", "description": "Kenya wins.", "sentence_spans": [SPAN]}
COSMOS = {"context": "c", "question": "q", **{f"answer{n}": "a" for n in range(4)}, "label": "1"}
READERS: dict[str, tuple[Any, Callable[[Path], Any]]] = {
    "copa": ({"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1}, choice.read_copa),
    "siqa": (
        {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c", "correct": "A"},
        choice.read_siqa,
    ),
    "hellaswag": ({"ctx": "c", "endings": ["a", "b"], "label": 1}, choice.read_hellaswag),
    "commonsense": (
        {"question": {"stem": "s", "choices": [{"label": "A", "text": "a"}, {"label": "B", "text": "b"}]}, "answerKey": "A"},
        choice.read_commonsenseqa,
    ),
    "cosmos": (COSMOS, choice.read_cosmosqa),
    "nli": ({"sentence1": "a", "sentence2": "b", "gold_label": "neutral"}, nli.read_multinli),
    "anli": ({"context": "a", "hypothesis": "b", "label": "n"}, nli.read_anli),
    "squad": ({"data": [{"paragraphs": [PARAGRAPH]}]}, squad.read),
    "lareqa": ({"data": [{"paragraphs": [PARAGRAPH]}]}, lambda path: lareqa.queries({"en": path})),
    "passages": ({"data": [{"paragraphs": [PARAGRAPH]}]}, lambda path: lareqa.passages(path, "en")),
    "mentions": ({"context": CONTEXT, "mentions": [MENTION]}, mewslix.read_mentions),
    "pairs": ({"contextual_mention": {"context": CONTEXT, "mention": MENTION}, "entity": ENTITY}, mewslix.read_pairs),
    "entities": (ENTITY, mewslix.read_entities),
    "labels": ({"m1": ["Q1"], "m2": ["Q2"]}, lambda path: (mewslix.read_labels(path) or {}).items()),
    "synonyms": ({"good": ["fine", "nice"]}, lambda path: read_synonyms(path).items()),
}


def changed(value: Any) -> Iterator[Any]:
    """`value` with each value inside it, and itself, replaced by each of OTHERS, and with each key left out."""
    yield from copy.deepcopy(OTHERS)
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(inside):
        for other in changed(part):
            copied = copy.copy(value)
            copied[key] = other
            yield copied
        if isinstance(value, dict):
            yield {name: part for name, part in value.items() if name != key}


def refused(path: Path, read: Callable[[], Any]) -> bool:
    """Whether the file at `path` is refused, in one line that names it."""
    try:
        list(read())
    except UserError as error:
        return [line.startswith(str(path)) for line in str(error).splitlines()] == [True] or pytest.fail(repr(error))
    return False


@pytest.mark.parametrize("name", READERS)
def test_json_of_other_shapes(tmp_path: Path, name: str) -> None:
    valid, read = READERS[name]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(valid))
    assert list(read(path))
    count = 0
    for number, other in enumerate(changed(valid)):
        path = tmp_path / f"{number}.jsonl"  # a reader may remember a file by its name, time and size
        path.write_text(json.dumps(other))
        count += refused(path, partial(read, path))
    assert count > 10


TRANSLATED = {"language": ["en", "de"], "translation": ["a", "b"]}
TABLES: dict[str, tuple[dict[str, Any], Columns]] = {
    "classified": (
        {"premise": "a", "label": 1},
        Columns(kind="classified", texts=("premise",), gold="label", names=("a", "b")),
    ),
    "translated": ({"premise": TRANSLATED, "id": "1"}, Columns(kind="sentence", texts=("premise.de",), id="id")),
    "listed": (
        {"ctx": "a", "endings": ["a", "b"], "label": "1"},
        Columns(kind="listed", texts=("ctx", "endings"), gold="label"),
    ),
    "tagged": (
        {"tokens": ["a", "b"], "tags": [0, 1]},
        Columns(kind="tagged", texts=("tokens",), gold="tags", names=("O", "X")),
    ),
    "question": (
        {"id": "1", "question": "q", "context": "Kenya", "answers": {"text": ["Kenya"], "answer_start": [0]}},
        Columns(kind="question", texts=("question", "context"), gold="answers", id="id"),
    ),
    "squad2": (
        {"id": "1", "question": "q", "context": "Kenya", "answers": {"text": ["Kenya"], "answer_start": [0]}},
        Columns(kind="squad2", texts=("question", "context"), gold="answers", id="id"),
    ),
    "query": ({"query": "q", "gold": ["c1"], "id": 7}, Columns(kind="query", texts=("query",), gold="gold", id="id")),
}


@pytest.mark.parametrize("name", TABLES)
def test_parquet_of_other_shapes(tmp_path: Path, name: str) -> None:
    valid, columns = TABLES[name]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([valid]), path)
    assert len(list(parquet.read(path, columns))) == 1
    count = 0
    for other in changed(valid):
        try:
            table = pa.Table.from_pylist([other])
            pq.write_table(table, path)
        except (pa.ArrowException, AttributeError, TypeError, OverflowError):
            continue  # no table can hold it
        count += refused(path, partial(parquet.read, path, columns))
    assert count > 5


def test_a_damaged_parquet_file_is_one_line_wherever_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"premise": [f"row {number}" for number in range(3000)], "label": [0, 1, 1] * 1000})
    pq.write_table(table, path, row_group_size=500, write_page_checksum=True)
    columns = Columns(kind="classified", texts=("premise",), gold="label", names=("a", "b"))
    whole = path.read_bytes()
    rows = list(parquet.read(path, columns))
    seen = 0
    for place in range(0, len(whole) - 8, max(1, len(whole) // 60)):
        path.write_bytes(whole[:place] + bytes(byte ^ 0xFF for byte in whole[place : place + 8]) + whole[place + 8 :])
        if refused(path, partial(parquet.read, path, columns)):
            seen += 1
        else:  # what the footer says of statistics, for one, no reader looks at
            assert list(parquet.read(path, columns)) == rows
    assert seen > 40
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a Parquet file"):
        list(parquet.read(path, columns))
