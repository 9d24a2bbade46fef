import json
from pathlib import Path
from typing import Any

import pytest

from xdist.errors import UserError
from xdist.formats import mewslix
from xdist.formats.examples import Passage, Query

TEXT = "Earlier.\nThe verdict on Smith came. Later."
SENTENCES = [{"start": 0, "end": 8}, {"start": 9, "end": 35}, {"start": 36, "end": 42}]


def mention(text: str, name: str, entity: str = "Q1", id: str = "m1") -> dict[str, Any]:
    start = text.index(name)
    return {
        "example_id": id,
        "mention_span": {"start": start, "end": start + len(name), "text": name},
        "entity_id": entity,
    }


def document(text: str = TEXT, spans: Any = SENTENCES, *mentions: dict[str, Any]) -> dict[str, Any]:
    context = {"document_title": "t", "document_url": "u", "document_id": "d", "language": "en", "text": text}
    return {"context": {**context, "sentence_spans": spans}, "mentions": list(mentions)}


def write(folder: Path, *records: Any, name: str = "dev-en.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def whole(text: str) -> list[dict[str, int]]:
    return [{"start": 0, "end": len(text)}]


def test_a_query_is_the_mention_and_its_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, document(TEXT, SENTENCES, mention(TEXT, "Smith")))
    assert list(mewslix.read_mentions(path, need_gold=True)) == [
        Query(id="m1", text="Smith: The verdict on { Smith } came.", relevant=("Q1",))
    ]


@pytest.mark.parametrize(
    "text, name, query",
    [
        ("Smith came.", "Smith", "Smith: { Smith } came."),
        ("It was Smith", "Smith", "Smith: It was { Smith }"),
        ("{a} and {b Smith c} d", "Smith", "Smith: (a) and {b { Smith } c} d"),  # only complete pairs on one side
        ("a{1}{2} Smith {3}", "Smith", "Smith: a(1)(2) { Smith } (3)"),
        ("wo\nter Smith\n\nx", "Smith", "Smith: wo ter { Smith }  x"),  # newline to space, then one pass over doubles
        ("a   b Smith", "Smith", "Smith: a  b { Smith }"),  # three spaces become two
        ("東京都は大きい", "東京都", "東京都: { 東京都 } は大きい"),
        ("ذهب إلى القاهرة أمس", "القاهرة", "القاهرة: ذهب إلى { القاهرة } أمس"),
    ],
)
def test_query_text(tmp_path: Path, text: str, name: str, query: str) -> None:
    path = write(tmp_path, document(text, whole(text), mention(text, name)))
    assert next(mewslix.read_mentions(path)).text == query


def entity(text: str = "Ein Ort.  In\nBern. Rest", spans: Any = None) -> dict[str, Any]:
    spans = [{"start": 0, "end": 8}, {"start": 10, "end": 18}] if spans is None else spans
    return {"entity_id": "Q70", "title": "Bern", "description": text, "sentence_spans": spans}


def test_a_candidate_is_its_sentences_without_title(tmp_path: Path) -> None:
    assert list(mewslix.read_entities(write(tmp_path, entity()))) == [Passage(id="Q70", text="Ein Ort. In Bern.")]


def test_training_pairs(tmp_path: Path) -> None:
    doc = document(TEXT, SENTENCES)
    pair = {
        "contextual_mention": {"context": doc["context"], "mention": mention(TEXT, "Smith", "Q70")},
        "entity": entity(),
    }
    assert list(mewslix.read_pairs(write(tmp_path, pair))) == [
        (
            Query(id="m1", text="Smith: The verdict on { Smith } came.", relevant=("Q70",)),
            Passage(id="Q70", text="Ein Ort. In Bern."),
        )
    ]


def test_blanked_mentions_and_labels(tmp_path: Path) -> None:
    path = write(tmp_path, document(TEXT, SENTENCES, mention(TEXT, "Smith", ""), mention(TEXT, "Later", "", "m2")))
    assert [query.relevant for query in mewslix.read_mentions(path)] == [None, None]
    with pytest.raises(UserError, match=r"dev-en.jsonl:1: gold is missing or blanked"):
        list(mewslix.read_mentions(path, need_gold=True))
    part = write(tmp_path, document(TEXT, SENTENCES, mention(TEXT, "Smith"), mention(TEXT, "Later", "", "m2")))
    with pytest.raises(UserError, match=r"dev-en.jsonl:1: no gold here, gold above$"):
        list(mewslix.read_mentions(part))
    labels = tmp_path / "dev-en.json"
    labels.write_text('{"m1": [""], "m2": [""]}')
    assert mewslix.read_labels(labels) is None
    labels.write_text('{"m1": ["Q1 "], "m2": ["Q2"]}')
    assert mewslix.read_labels(labels) == {"m1": ("Q1",), "m2": ("Q2",)}
    labels.write_text('{"m1": ["Q1"], "m2": [""]}')
    with pytest.raises(UserError, match=r"dev-en.json: example 'm2' has no entity id, others have$"):
        mewslix.read_labels(labels)
    labels.write_text('{"m1": ["Q1", "Q2"]}')
    with pytest.raises(UserError, match=r"example 'm1': expected one entity id, found 2$"):
        mewslix.read_labels(labels)


def test_bad_mentions(tmp_path: Path) -> None:
    wrong = mention(TEXT, "Smith")
    wrong["mention_span"]["text"] = "Smyth"
    with pytest.raises(UserError, match=r"dev-en.jsonl:1: mention 'Smyth' is not at \[24, 29\): there is 'Smith'$"):
        list(mewslix.read_mentions(write(tmp_path, document(TEXT, SENTENCES, wrong))))
    with pytest.raises(UserError, match=r"jsonl:1: mention 'came. Later' at \[30, 41\) is in no single sentence$"):
        list(mewslix.read_mentions(write(tmp_path, document(TEXT, SENTENCES, mention(TEXT, "came. Later")))))
    with pytest.raises(UserError, match=r"dev-en.jsonl:1: span \[0, 99\) is not inside a text of 42 characters$"):
        list(mewslix.read_mentions(write(tmp_path, document(TEXT, [{"start": 0, "end": 99}], mention(TEXT, "Smith")))))
    with pytest.raises(UserError, match=r"dev-en.jsonl:2: no field 'mentions'; nearest: 'mention'"):
        list(mewslix.read_mentions(write(tmp_path, document(), {"context": {}, "mention": []})))
    with pytest.raises(UserError, match=r"dev-en.jsonl:1: no field 'description'"):
        list(mewslix.read_entities(write(tmp_path, {"entity_id": "Q1"})))
