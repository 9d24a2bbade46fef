"""Prediction files of `xdist score`, against existing gold."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from test_score_folder import gold_of
from tiny import tiny_benchmark
from tiny_families import tiny_families

from hostile_inputs.changes import TEXT, Change, a_line, every_line
from hostile_inputs.files import FileReader
from hostile_inputs.official import DEEP, LONG
from xdist.evaluation.official import score_folder
from xdist.evaluation.submission import write_predictions
from xdist.tasks.catalog import task

GOLD = Path(tempfile.mkdtemp(prefix="hostile-gold-"))
LESS: Change = lambda rng, raw: raw.split(b"\n", 1)[1]  # noqa: E731
MORE: Change = lambda rng, raw: raw + raw.split(b"\n", 1)[0] + b"\n"  # noqa: E731


def gold() -> Path:
    """Made at the first call."""
    if not (GOLD / "udpos").is_dir():
        tiny_benchmark(GOLD)
        tiny_families(GOLD)
    return GOLD


def of_task(name: str, language: str, faults: dict[str, Change]) -> FileReader:
    entry = task(name)
    file = f"{name}/test-{language}.{entry.extension}"

    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        examples = list(entry.examples(gold(), "test", language))
        with tempfile.TemporaryDirectory() as place:
            write_predictions(Path(place) / "one", entry, gold_of(entry, examples))
            return {file: (Path(place) / "one").read_bytes()}, lambda found: 100 in found["tasks"][name]["mean"].values()

    return FileReader(
        f"predictions, {name}", valid, lambda place: score_folder(place, gold(), partial=True), file, {**TEXT, **faults}
    )


def answers(change: Callable[[Random, dict[str, Any]], object]) -> Change:
    def changed(rng: Random, raw: bytes) -> bytes:
        found = json.loads(raw)
        change(rng, found)
        return json.dumps(found, indent=1).encode()

    return changed


def twice(rng: Random, raw: bytes) -> bytes:
    (key, value), *_ = json.loads(raw).items()
    return raw.rstrip()[:-1] + f", {json.dumps(key)}: {json.dumps(value)}}}".encode()


LINES: dict[str, Change] = {"a line less": LESS, "a line more": MORE}
READERS = [
    of_task(
        "xnli",
        "de",
        {**LINES, "an unknown label": a_line(lambda rng, line: "neutrall"), "a blank": a_line(lambda rng, line: "")},
    ),
    of_task(
        "udpos",
        "de",
        {
            **LINES,
            "an unknown tag": a_line(lambda rng, line: "NOUNS"),
            "a word next to each tag": every_line(lambda line: f"word {line}"),
            "a blank line less": lambda rng, raw: raw.replace(b"\n\n", b"\n", 1),
        },
    ),
    of_task(
        "xcopa",
        "sw",
        {
            **LINES,
            "an option that is none": a_line(lambda rng, line: '{"label": 2}'),
            "an option that is true": a_line(lambda rng, line: '{"label": true}'),
            "too deep": a_line(lambda rng, line: DEEP),
            "a number of 5000 digits": a_line(lambda rng, line: f'{{"label": {LONG}}}'),
        },
    ),
    of_task(
        "cldr-names",
        "de",
        {**LINES, "a row out of range": a_line(lambda rng, line: "999"), "no number": a_line(lambda rng, line: "x")},
    ),
    of_task(
        "xquad",
        "de",
        {
            "an answer less": answers(lambda rng, one: one.pop(rng.choice(list(one)))),
            "an unknown question": answers(lambda rng, one: one.update(nobody="asked")),
            "an answer that is a number": answers(lambda rng, one: one.update({rng.choice(list(one)): 3})),
            "an answer twice": twice,
            "a list": lambda rng, raw: b"[]",
            "too deep": lambda rng, raw: DEEP.encode(),
            "a number of 5000 digits": lambda rng, raw: f'{{"a": {LONG}}}'.encode(),
        },
    ),
]
