"""Mewsli-X made up, in the released format and of any size: entities of invented names, and news that mention them."""

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
KINDS = ("river", "town", "painter", "party", "mountain", "singer", "bridge", "battle", "comet", "novel")
VERBS = ("praised", "visited", "described", "remembered", "questioned", "celebrated")
LANGUAGES = ("ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk")
DESCRIBED_IN = (*LANGUAGES, "sw", "eu", "yo")


def generate(root: Path, candidates: int, mentions: int, languages: Iterable[str] = LANGUAGES, pairs: int = 200) -> Path:
    """`candidates` entities, `mentions` mentions in dev and test of each language, `pairs` training pairs, below `root`. The
    same arguments give the same bytes. Test gold is blanked; `wikinews_labels` hold it, as a scorer has it."""
    folder = root / "mewslix"
    _lines(folder / "candidate_set_entities.jsonl", (entity(number) for number in range(candidates)))
    drawn = random.Random("pairs")
    _lines(folder / "wikipedia_pairs-train.jsonl", (_pair(n, drawn.randrange(candidates)) for n in range(pairs)))
    for language in languages:
        for split in ("dev", "test"):
            draw = random.Random(f"{language} {split}")
            found = [_document(f"{language}-{split}-{n}", language, draw.randrange(candidates), draw) for n in range(mentions)]
            gold = {mention["example_id"]: [mention["entity_id"]] for document in found for mention in document["mentions"]}
            if split == "test":
                for document in found:
                    document["mentions"][0]["entity_id"] = ""
            _lines(folder / f"wikinews_mentions/{split}-{language}.jsonl", found)
            _write(folder / f"wikinews_labels/{split}-{language}.json", json.dumps(gold))
    return root


def entity(number: int) -> dict[str, Any]:
    """Entity `number`: two to four sentences that name it."""
    draw = random.Random(f"entity {number}")
    name, kind = name_of(number), draw.choice(KINDS)
    sentences = [
        f"{name} is a {kind} of {_word(draw)}.",
        f"It was {draw.choice(VERBS)} by {_word(draw)} in {draw.randint(1500, 2020)}.",
    ]
    sentences += [f"The {kind} is {draw.randint(2, 900)} years old {_word(draw)}." for _ in range(draw.randint(0, 2))]
    text, spans = _spanned(sentences)
    language = draw.choice(DESCRIBED_IN)
    return {
        "entity_id": f"Q{number + 1}",
        "title": name,
        "description": text,
        "sentence_spans": spans,
        "description_language": language,
        "description_url": f"http://{language}.wikipedia.org/wiki/{number}",
    }


def name_of(number: int) -> str:
    """A separate name for every number below 70 ** 4 / 2, of two words."""
    draw = random.Random(f"name {number}")
    first = "".join(SYLLABLES[number // 70**place % 70] for place in range(3))
    return f"{first.title()} {_word(draw).title()}"


def _document(id: str, language: str, number: int, draw: random.Random) -> dict[str, Any]:
    name = name_of(number)
    before = f"{_word(draw).title()} {_word(draw)} {draw.randint(1, 30)}."
    text, spans = _spanned(
        [before, f"They {draw.choice(VERBS)} {name} in {_word(draw)}.", f"{_word(draw).title()} {_word(draw)}."]
    )
    start = text.index(name, len(before))
    return {
        "context": {
            "document_title": id,
            "document_url": f"http://{language}.wikinews.org/wiki/{id}",
            "document_id": id,
            "language": language,
            "text": text,
            "sentence_spans": spans,
        },
        "mentions": [
            {
                "example_id": id,
                "mention_span": {"start": start, "end": start + len(name), "text": name},
                "entity_id": f"Q{number + 1}",
                "metadata": {},
            }
        ],
    }


def _pair(id: int, number: int) -> dict[str, Any]:
    document = _document(f"pair-{id}", "en", number, random.Random(f"pair {id}"))
    return {
        "contextual_mention": {"context": document["context"], "mention": document["mentions"][0]},
        "entity": entity(number),
    }


def _spanned(sentences: list[str]) -> tuple[str, list[dict[str, int]]]:
    text, spans = "", []
    for sentence in sentences:
        start = len(text) + (1 if text else 0)
        text = f"{text} {sentence}" if text else sentence
        spans.append({"start": start, "end": start + len(sentence)})
    return text, spans


def _word(draw: random.Random) -> str:
    return "".join(draw.choice(SYLLABLES) for _ in range(draw.randint(2, 3)))


def _lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(record)}\n" for record in records)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def texts(candidates: int) -> Iterator[str]:
    """Descriptions to train a vocabulary on."""
    return (entity(number)["description"] for number in range(candidates))
