"""Mewsli-X: mentions in news text as queries, entity descriptions as candidates.

Texts follow google-research/xtreme, third_party/utils_mewslix.py, to the letter. A query is the mention, `: `, and the
one sentence that holds the mention, with the mention as ` { mention } `. A candidate is its description, sentence by
sentence.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.formats.examples import Passage, Query
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import field, read_json, read_jsonl

_BRACED = re.compile(r"\{(.*?)\}")


def read_entities(path: Path) -> Iterator[Passage]:
    """The candidates of `candidate_set_entities.jsonl`; `id` is the Q-number. Raises UserError with file:line."""
    for number, record in read_jsonl(path):
        yield _entity(record, f"{path}:{number}")


def read_mentions(path: Path, *, need_gold: bool = False) -> Iterator[Query]:
    """The mentions of `wikinews_mentions/{dev,test}-xx.jsonl`; `relevant` is None where `entity_id` is empty (the
    blanked test set). Raises UserError: a missing field, a mention that is not at its span or crosses sentences, gold
    in part."""
    return with_uniform_gold(_mentions(path), need_gold, "field 'entity_id'")


def read_pairs(path: Path) -> Iterator[tuple[Query, Passage]]:
    """The training pairs of `wikipedia_pairs-{train,dev}.jsonl`: a mention and the entity it names."""
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        mention = field(record, "contextual_mention", dict, where)
        context = field(mention, "context", dict, where)
        yield (
            _query(context, field(mention, "mention", dict, where), where),
            _entity(field(record, "entity", dict, where), where),
        )


def read_labels(path: Path) -> dict[str, tuple[str, ...]] | None:
    """`wikinews_labels/{dev,test}-xx.json`: example id to its one entity id; None where the gold is blanked (`[""]`).
    Raises UserError for an entry that is not a list of one id, and for a file that is blanked in part."""
    record = read_json(path)
    if not isinstance(record, dict):
        raise UserError(f"{path}: expected a JSON object of lists by example id, found {type(record).__name__}")
    labels = {id: tuple(str(label).strip() for label in field(record, id, list, str(path))) for id in record}
    for id, ids in labels.items():
        if len(ids) != 1:
            raise UserError(f"{path}: example '{id}': expected one entity id, found {len(ids)}")
    blanked = [id for id, ids in labels.items() if not ids[0]]
    if blanked and len(blanked) < len(labels):
        raise UserError(f"{path}: example '{blanked[0]}' has no entity id, others have")
    return None if blanked else labels


def _mentions(path: Path) -> Iterator[tuple[str, Query]]:
    for number, record in read_jsonl(path):
        where = f"{path}:{number}"
        context = field(record, "context", dict, where)
        for mention in field(record, "mentions", list, where):
            yield where, _query(context, mention, where)


def _query(context: dict[str, Any], mention: dict[str, Any], where: str) -> Query:
    text = field(context, "text", str, where)
    span = field(mention, "mention_span", dict, where)
    (start, end), name = _span(span, text, where), field(span, "text", str, where)
    if text[start:end] != name:
        raise UserError(f"{where}: mention {name!r:.60} is not at [{start}, {end}): there is {text[start:end]!r:.60}")
    sentences = (_span(sentence, text, where) for sentence in field(context, "sentence_spans", list, where))
    around = next(((first, last) for first, last in sentences if first <= start and end <= last), None)
    if around is None:
        raise UserError(f"{where}: mention {name!r:.60} at [{start}, {end}) is in no single sentence")
    left, right = _BRACED.sub(r"(\1)", text[around[0] : start]), _BRACED.sub(r"(\1)", text[end : around[1]])
    entity = field(mention, "entity_id", str, where).strip()
    return Query(
        id=field(mention, "example_id", str, where),
        text=_clean(f"{name}: {left} {{ {name} }} {right}"),
        relevant=(entity,) if entity else None,
    )


def _entity(record: dict[str, Any], where: str) -> Passage:
    text = field(record, "description", str, where)
    spans = [_span(span, text, where) for span in field(record, "sentence_spans", list, where)]
    return Passage(id=field(record, "entity_id", str, where), text=_clean(" ".join(text[start:end] for start, end in spans)))


def _span(record: dict[str, Any], text: str, where: str) -> tuple[int, int]:
    start, end = field(record, "start", int, where), field(record, "end", int, where)
    if not 0 <= start < end <= len(text):
        raise UserError(f"{where}: span [{start}, {end}) is not inside a text of {len(text)} characters")
    return start, end


def _clean(text: str) -> str:
    # One pass over double spaces, as officially: three spaces become two.
    return " ".join(text.splitlines()).replace("  ", " ").strip()
