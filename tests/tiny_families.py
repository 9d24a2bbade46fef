"""A small benchmark of every family, in the layouts of the official tasks, made in a second."""

import json
import random
from pathlib import Path
from typing import Any

from tiny import NAMES

LANGUAGES = {"xquad": ("en", "de", "th"), "mlqa": ("en", "de", "zh"), "xcopa": ("et", "sw"), "xnli": ("en", "de", "sw")}
WORDS = [word for words in NAMES.values() for word in words.split()]
NLI = ("contradiction", "entailment", "neutral")


def tiny_families(root: Path) -> Path:
    """squad, xquad, mlqa, siqa, copa, xcopa, udpos, xnli and pawsx below `root`, a few rows each, gold in place."""
    draw = random.Random(7)
    _json(root / "squad/train-v1.1.json", squad_file([paragraph(draw, 60, f"s{n}") for n in range(16)]))
    for code in LANGUAGES["xquad"]:
        _json(root / f"xquad/xquad.{code}.json", squad_file([paragraph(draw, 40, f"x{n}") for n in range(6)]))
    for code in LANGUAGES["mlqa"]:
        name = f"test-context-{code}-question-{code}.json"
        _json(root / "mlqa/MLQA_V1/test" / name, squad_file([paragraph(draw, 50, f"m{n}") for n in range(4)]))
    for split in ("trn", "dev"):
        _lines(root / f"siqa/socialIQa_v1.4_{split}.jsonl", [json.dumps(_siqa(draw)) for _ in range(30)])
    for split in ("train", "val", "test"):
        _lines(root / f"xcopa/{split}-en.jsonl", [json.dumps(_copa(draw, n)) for n in range(20)])
    for code in LANGUAGES["xcopa"]:
        _lines(root / f"xcopa/test-{code}.jsonl", [json.dumps(_copa(draw, n)) for n in range(14)])
    for name in ("train-en", "test-en", "test-de"):
        sentences = ["\n".join(f"{word}\t{draw.choice(('NOUN', 'VERB'))}" for word in _words(draw, 1, 60)) for _ in range(12)]
        _lines(root / f"udpos/{name}.tsv", ["\n\n".join(sentences)])
    labels = [draw.choice(NLI) for _ in range(20)]
    for split in ("train", "test"):
        for code in LANGUAGES["xnli"] if split == "test" else ("en",):
            rows = [f"{' '.join(_words(draw, 2, 9))}\t{' '.join(_words(draw, 1, 6))}\t{label}" for label in labels]
            _lines(root / f"xnli/{split}-{code}.tsv", rows)
    return root


def paragraph(draw: random.Random, words: int, id: str) -> dict[str, Any]:
    """One paragraph of about this many words with two questions."""
    text = _words(draw, words - 10, words + 10)
    asked = []
    for number in range(2):
        first = draw.randrange(len(text))
        answer = " ".join(text[first : first + draw.randint(1, 3)])
        start = len(" ".join(text[:first])) + (first > 0)
        answers = [{"text": answer, "answer_start": start}]
        asked.append({"id": f"{id}-{number}", "question": f"after {' '.join(text[:first][-2:])}?", "answers": answers})
    return {"context": " ".join(text), "qas": asked}


def squad_file(paragraphs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}


def _siqa(draw: random.Random) -> dict[str, Any]:
    answers = {f"answer{letter}": draw.choice(WORDS) for letter in "ABC"}
    return {"context": " ".join(_words(draw, 3, 12)), "question": "What next?", **answers, "correct": draw.choice("ABC")}


def _copa(draw: random.Random, number: int) -> dict[str, Any]:
    return {
        "premise": " ".join(_words(draw, 2, 8)),
        "choice1": draw.choice(WORDS),
        "choice2": " ".join(_words(draw, 1, 4)),
        "question": draw.choice(("cause", "effect")),
        "label": number % 2,
        "idx": number,
    }


def _words(draw: random.Random, low: int, high: int) -> list[str]:
    return [draw.choice(WORDS) for _ in range(draw.randint(low, high))]


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
