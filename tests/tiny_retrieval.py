"""Small sets of every retrieval task, in the official layouts, made in a second."""

import json
import random
from pathlib import Path
from typing import Any

from generated_mewslix import generate
from tiny import NAMES, tiny_benchmark, tiny_model

LAREQA = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
WORDS = [word for words in NAMES.values() for word in words.split()]
PARAGRAPHS = 6


def tiny_retrieval(folder: Path) -> tuple[Path, Path]:
    """A benchmark with lareqa, mewslix, bucc2018, ntrex, tatoeba and their training sets, and an encoder: (root, backbone)."""
    root = tiny_benchmark(folder / "benchmark")
    _squad(root / "squad/train-v1.1.json", 12)
    _squad(root / "squad/dev-v1.1.json", 5)
    for code in LAREQA:
        _json(root / f"lareqa/xquad-r/{code}.json", xquad_r(code))
    generate(root, candidates=2000, mentions=30, languages=("de", "en"), pairs=60)
    for code in ("de", "zh"):
        bucc(root, code)
    _parallel(root)
    return root, tiny_model(folder / "encoder", root)


def xquad_r(code: str) -> dict[str, Any]:
    """The same questions in every language: the answer to question n of a paragraph is in sentence n."""
    paragraphs = []
    for number in range(PARAGRAPHS):
        draw = random.Random(f"paragraph {number}")
        sentences = [" ".join(_said(word, code) for word in draw.sample(WORDS, 6)) + "." for _ in range(4)]
        starts = [sum(len(sentence) + 1 for sentence in sentences[:n]) for n in range(4)]
        asked = [
            {
                "id": f"p{number}q{n}",
                "question": f"What is {sentences[n].split()[1]} ?",
                "answers": [{"answer_start": starts[n], "text": sentences[n].split()[0]}],
            }
            for n in range(3)
        ]
        breaks = [[start, start + len(sentence)] for start, sentence in zip(starts, sentences, strict=True)]
        paragraphs.append({"context": " ".join(sentences), "qas": asked, "sentence_breaks": breaks, "sentences": sentences})
    return {"data": [{"paragraphs": paragraphs}]}


def bucc(root: Path, code: str) -> None:
    """Dev and test of 60 foreign and 50 English sentences, of which 30 pairs are translations; some occur twice."""
    for split in ("dev", "test"):
        draw = random.Random(f"bucc {split}")  # the same for both languages
        said = [" ".join(draw.sample(WORDS, 5)) for _ in range(80)]
        foreign = [_said(sentence, code) for sentence in [*said[:30], *said[50:78], said[50], said[51]]]
        english = [*said[30:50], *said[:30]]
        _lines(root / f"bucc2018/{code}-en.{split}.{code}", [f"{code}-{n}\t{text}" for n, text in enumerate(foreign)])
        _lines(root / f"bucc2018/{code}-en.{split}.en", [f"en-{n}\t{text}" for n, text in enumerate(english)])
        gold = [f"{code}-{n}\ten-{20 + n}" for n in range(30)]
        _lines(root / (f"labels/bucc2018/test-{code}.tsv" if split == "test" else f"bucc2018/{code}-en.dev.gold"), gold)


def _parallel(root: Path) -> None:
    draw = random.Random("parallel")
    english = [" ".join(draw.sample(WORDS, draw.randint(3, 7))) for _ in range(40)]
    folder = root / "ntrex/NTREX-128"
    _lines(folder / "newstest2019-src.eng.txt", english)
    _lines(folder / "newstest2019-ref.wol.txt", [_said(text, "wo") for text in english])
    _lines(root / "tatoeba/sw-en.sw", [_said(text, "sw") for text in english])
    _lines(root / "tatoeba/sw-en.en", sorted(english))


def _squad(path: Path, count: int) -> None:
    paragraphs = []
    for number in range(count):
        draw = random.Random(f"{path.stem} {number}")
        sentences = [" ".join(draw.sample(WORDS, 6)) + "." for _ in range(3)]
        text = " ".join(sentences)
        asked = [
            {
                "id": f"s{number}-{n}",
                "question": f"Which {sentences[n].split()[1]} ?",
                "answers": [{"answer_start": text.index(sentences[n]), "text": sentences[n].split()[0]}],
            }
            for n in range(3)
        ]
        paragraphs.append({"context": text, "qas": asked})
    _json(path, {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})


def _said(text: str, code: str) -> str:
    return text if code == "en" else " ".join(f"{word}{code}" for word in text.split())


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
