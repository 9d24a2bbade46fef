"""The files of retrieval: pairs of sentences in two files, and mentions of entities."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from hostile_inputs.changes import TEXT, Change, a_line, json_line, phrase
from hostile_inputs.files import FileReader
from hostile_inputs.official import DEEP, LONG, Valid, of_task
from xdist.formats.corpus import aligned


def bucc() -> FileReader:
    place = "bucc2018/de-en.dev"

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        sizes = {code: rng.randint(3, 9) for code in ("de", "en")}
        files = {
            f"{place}.{code}": "".join(f"{code}-{row:06}\t{phrase(rng)}\n" for row in range(size)).encode()
            for code, size in sizes.items()
        }
        pairs = rng.sample(range(min(sizes.values())), rng.randint(1, 3))
        files[f"{place}.gold"] = "".join(f"de-{row:06}\ten-{row:06}\n" for row in pairs).encode()
        return files, lambda found: len(found) == sum(sizes.values())

    faults: dict[str, Change] = {
        "blanks instead of tabs": lambda rng, raw: raw.replace(b"\t", b" "),
        "an id that is in no file": a_line(lambda rng, line: "de-900000\t" + line.partition("\t")[2]),
        "sides in the other order": a_line(lambda rng, line: "\t".join(reversed(line.split("\t")))),
        "a column more": a_line(lambda rng, line: f"{line}\t1"),
        "a column less": a_line(lambda rng, line: line.partition("\t")[0]),
    }
    return of_task("bucc2018", "dev", "de", valid, f"{place}.gold", faults)


def ntrex() -> FileReader:
    foreign, english = (f"ntrex/NTREX-128/newstest2019-{name}.txt" for name in ("ref.swa", "src.eng"))
    faults: dict[str, Change] = {
        "a row less": lambda rng, raw: raw.split(b"\n", 1)[1],
        "a row more": lambda rng, raw: raw + b"one more\n",
    }
    return of_task("ntrex", "test", "sw", in_two_files(foreign, english, 2), foreign, faults)


def in_two_files(first: str, second: str, examples: int) -> Valid:
    """Two files of as many lines; `examples` for each line."""

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        size = rng.randint(3, 9)
        sides = {path: "".join(f"{phrase(rng)}\n" for _ in range(size)).encode() for path in (first, second)}
        return sides, lambda found: len(found) == examples * size

    return valid


def translations() -> FileReader:
    def read(place: Path) -> list[Any]:
        return list(aligned(place / "a.sw", place / "a.en"))

    faults: dict[str, Change] = {
        **{name: TEXT[name] for name in ("not UTF-8", "half a surrogate pair as bytes")},
        "a row less": lambda rng, raw: raw.split(b"\n", 1)[1],
        "a row more": lambda rng, raw: raw + b"one more\n",
    }
    return FileReader("parallel text", in_two_files("a.sw", "a.en", 1), read, "a.sw", faults)


def context(rng: Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """A text of some sentences, and a mention in one of them."""
    sentences = [f"{phrase(rng)}." for _ in range(rng.randint(1, 3))]
    spans, end = [], 0
    for sentence in sentences:
        spans.append({"start": end, "end": end + len(sentence)})
        end += len(sentence) + 1
    chosen = rng.randrange(len(spans))
    name = sentences[chosen].split()[0]
    start = spans[chosen]["start"]
    mention = {
        "example_id": f"{rng.randrange(10**9)}",
        "entity_id": f"Q{rng.randrange(10**6)}",
        "mention_span": {"start": start, "end": start + len(name), "text": name},
    }
    return {"text": " ".join(sentences), "sentence_spans": spans}, mention


def entity(rng: Random, id: str) -> dict[str, Any]:
    text = phrase(rng, 6)
    return {"entity_id": id, "description": text, "sentence_spans": [{"start": 0, "end": len(text)}]}


def lines_of(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def within(path: tuple[str, ...], change: Callable[[Any], Any]) -> Change:
    """Another value at a place in the JSON object of one line."""

    def changed(rng: Random, record: dict[str, Any]) -> str:
        part: Any = record
        for key in path[:-1]:
            part = part[int(key) if key.isdigit() else key]
        part[path[-1]] = change(part[path[-1]])
        return json.dumps(record)

    return json_line(changed)


BROKEN: dict[str, Change] = {
    "a list instead of an object": json_line(lambda rng, one: [one]),
    "too deep": a_line(lambda rng, line: DEEP),
    "a number of 5000 digits": a_line(lambda rng, line: line[:-1] + f', "more": {LONG}}}'),
    "cut": a_line(lambda rng, line: line[: len(line) // 2]),
}


def mentions() -> FileReader:
    path = "mewslix/wikinews_mentions/dev-de.jsonl"

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        records, count = [], rng.randint(2, 6)
        for _ in range(count):
            around, mention = context(rng)
            records.append({"context": around, "mentions": [mention]})
        return {path: lines_of(records)}, lambda found: len(found) == count

    faults: dict[str, Change] = {
        "no context": json_line(lambda rng, one: one.pop("context") and None),
        "mentions that are an object": json_line(lambda rng, one: {**one, "mentions": {}}),
        "a text that is a number": within(("context", "text"), lambda old: 3),
        "another name at the span": within(("mentions", "0", "mention_span", "text"), lambda old: old + "x"),
        "a span that is true": within(("mentions", "0", "mention_span", "start"), lambda old: True),
        "a span outside": within(("mentions", "0", "mention_span", "end"), lambda old: 10**6),
        "no sentence around": within(("context", "sentence_spans"), lambda old: []),
        "half a surrogate pair": within(("context", "text"), lambda old: old + " \ud83d"),
        **BROKEN,
    }
    return of_task("mewslix", "dev", "de", valid, path, faults)


def candidates() -> FileReader:
    path = "mewslix/candidate_set_entities.jsonl"

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        ids = rng.sample(range(10**6), rng.randint(2, 6))
        return {path: lines_of([entity(rng, f"Q{id}") for id in ids])}, lambda found: len(found) == len(ids)

    faults: dict[str, Change] = {
        "no description": json_line(lambda rng, one: one.pop("description") and None),
        "an id that is a number": json_line(lambda rng, one: {**one, "entity_id": 5}),
        "a span outside": within(("sentence_spans", "0", "end"), lambda old: 10**6),
        "a span the wrong way round": within(("sentence_spans", "0", "start"), lambda old: 10**5),
        **BROKEN,
    }
    return replace(of_task("mewslix", "pool", "all", valid, path, faults), name="mewslix candidates")


def training_pairs() -> FileReader:
    path = "mewslix/wikipedia_pairs-train.jsonl"

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        records, count = [], rng.randint(2, 6)
        for number in range(count):
            around, mention = context(rng)
            one = {"context": around, "mention": mention}
            records.append({"contextual_mention": one, "entity": entity(rng, f"Q{number}")})
        return {path: lines_of(records)}, lambda found: len(found) == count

    faults: dict[str, Change] = {
        "no entity": json_line(lambda rng, one: one.pop("entity") and None),
        "a mention that is a list": within(("contextual_mention", "mention"), lambda old: [old]),
        "another name at the span": within(("contextual_mention", "mention", "mention_span", "text"), lambda old: old + "x"),
        **BROKEN,
    }
    return of_task("mewslix-pairs", "train", "en", valid, path, faults)


READERS = [bucc(), ntrex(), translations(), mentions(), candidates(), training_pairs()]
