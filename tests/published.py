"""Small sets in exactly the forms of well-known ones, with what `xdist tasks inspect` should see in them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SENTENCES = 24
WORDS = ("omi", "ilé", "ọjà", "igi", "ojú", "ọwọ́")
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Published:
    """`write(folder)` makes the files; `file` is the one to look at; `keys` are some of its description."""

    name: str
    write: Callable[[Path], None]
    file: str
    languages: tuple[str, ...]
    keys: dict[str, Any]


def _text(number: int) -> str:
    return " ".join(WORDS[(number * step + number % 5) % len(WORDS)] for step in (1, 2, 3, 5))


def _put(folder: Path, name: str, text: str, ends: str = "\n") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("\n", ends).encode())


def nusax(folder: Path) -> None:
    labels = ("negative", "neutral", "positive")
    for code in ("ace", "ban"):
        for name in ("train", "valid", "test"):
            rows = (f'{n},"{_text(n)}, ""kata""\nia",{labels[n % 3]}\n' for n in range(SENTENCES))
            _put(folder, f"datasets/sentiment/{code}/{name}.csv", "id,text,label\n" + "".join(rows))


def masakhaner(folder: Path) -> None:
    for code in ("hau", "yor"):
        for split in SPLITS:
            sentences = (
                f"{WORDS[n % 6]} O\nAda B-PER\nBello I-PER\n{WORDS[n % 5]} O\nKano B-LOC\n. O\n\n" for n in range(SENTENCES)
            )
            _put(folder, f"data/{code}/{split}.txt", "".join(sentences))


def sib(folder: Path) -> None:
    topics = ("science/technology", "travel", "politics", "sports")
    for code in ("eng_Latn", "yor_Latn"):
        for split in SPLITS:
            rows = "".join(f"{n}\t{topics[n % 4]}\t{_text(n)}\n" for n in range(SENTENCES))
            _put(folder, f"sib200/{code}/{split}.tsv", f"index_id\tcategory\ttext\n{rows}")


def treebank(folder: Path) -> None:
    for split in SPLITS:
        sentences = (
            f"# sent_id = {n}\n# text = {WORDS[n % 6]}lọ sí ilé.\n1-2\t{WORDS[n % 6]}lọ\t_\t_\t_\t_\t_\t_\t_\t_\n"
            f"1\t{WORDS[n % 6]}\t_\tPRON\t_\t_\t2\tnsubj\t_\t_\n2\tlọ\t_\tVERB\t_\t_\t0\troot\t_\t_\n"
            f"2.1\tti\t_\tAUX\t_\t_\t_\t_\t2:aux\t_\n"
            f"3\tsí\t_\tADP\t_\t_\t4\tcase\t_\t_\n4\tilé\t_\tNOUN\t_\t_\t2\tobl\t_\tSpaceAfter=No\n5\t.\t_\tPUNCT\t_\t_\t2\tpunct\t_\t_\n\n"
            for n in range(SENTENCES)
        )
        _put(folder, f"yo_ytb-ud-{split}.conllu", "".join(sentences))


def parquet(folder: Path) -> None:
    """A hub copy: integers whose names are in the file, as `datasets` writes them."""
    names = ["business", "health", "sports"]
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": names, "_type": "ClassLabel"}}
    for name in ("train", "validation", "test"):
        table = pa.table(
            {"text": [_text(n) for n in range(SENTENCES)], "label": pa.array([n % 3 for n in range(SENTENCES)], pa.int64())}
        )
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"swa-{name}.parquet")


def afrisenti(folder: Path) -> None:
    labels = ("positive", "negative", "neutral")
    for code in ("hau", "kin"):
        for split in SPLITS:
            rows = "".join(f'{code}_{split}_{n:05d}\t@user {_text(n)} "toh {n}\t{labels[n % 3]}\n' for n in range(SENTENCES))
            _put(folder, f"data/{code}/{split}.tsv", f"ID\ttweet\tlabel\n{rows}")


def belebele(folder: Path) -> None:
    for code in ("eng_Latn", "yor_Latn"):
        rows = (
            {
                "link": "https://en.wikibooks.org/wiki/X",
                "question_number": n % 2 + 1,
                "flores_passage": f"{_text(n)}. {_text(n + 1)}.",
                "question": f"{WORDS[n % 6]}?",
                **{f"mc_answer{place}": WORDS[(n + place) % 6] for place in (1, 2, 3, 4)},
                "correct_answer_num": str(n % 4 + 1),
                "dialect": code,
                "ds": "2023-05-03",
            }
            for n in range(SENTENCES)
        )
        _put(folder, f"{code}.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def wikiann(folder: Path) -> None:
    for code in ("yo", "ace"):
        for split in SPLITS:
            sentences = (f"{code}:{WORDS[n % 6]}\tO\n{code}:Ìbàdàn\tB-LOC\n{code}::\tO\n\n" for n in range(SENTENCES))
            _put(folder, f"{code}/{split}", "".join(sentences))


def masakhanews(folder: Path) -> None:
    topics = ("business", "health", "sports")
    for code in ("hau", "yor"):
        for split in SPLITS:
            rows = (
                f"{topics[n % 3]}\t{_text(n)}\t{_text(n + 1)}. {_text(n + 2)}.\thttps://x.y/{n}\n" for n in range(SENTENCES)
            )
            _put(folder, f"data/{code}/{split}.tsv", "category\theadline\ttext\turl\n" + "".join(rows))


def uner(folder: Path) -> None:
    for split in SPLITS:
        sentences = (
            f"# sent_id = {n}\n# text = {WORDS[n % 6]} Ada\n1\t{WORDS[n % 6]}\tO\t-\t-\n2\tAda\tB-PER\t-\t-\n\n"
            for n in range(SENTENCES)
        )
        _put(folder, f"hr_set-ud-{split}.iob2", "".join(sentences))


def flores(folder: Path) -> None:
    for code in ("eng_Latn", "yor_Latn", "ace_Arab"):
        _put(folder, f"devtest/{code}.devtest", "".join(f"{_text(n)} {n}.\n" for n in range(SENTENCES)))


def squad(folder: Path) -> None:
    for split in SPLITS:
        for code in ("swa", "yor"):
            asked = [
                {
                    "context": f"{_text(n)} Ada {_text(n + 1)}.",
                    "qas": [{"id": f"{n}", "question": "Ta?", "answers": [{"text": "Ada", "answer_start": len(_text(n)) + 1}]}],
                }
                for n in range(SENTENCES)
            ]
            data = {"version": "1.1", "data": [{"title": "Ada", "paragraphs": asked}]}
            _put(folder, f"{split}.{code}.json", json.dumps(data, ensure_ascii=False))


SENTIMENTS = ["negative", "neutral", "positive"]
PUBLISHED = (
    Published(
        "flores",
        flores,
        "devtest/yor_Latn.devtest",
        ("ace_Arab", "yor_Latn"),
        {"family": "sentence-retrieval", "form": "parallel", "pivot": "eng_Latn"},
    ),
    Published("squad", squad, "train.swa.json", ("swa", "yor"), {"family": "span-qa", "columns": None}),
    Published(
        "nusax", nusax, "datasets/sentiment/ace/train.csv", ("ace", "ban"), {"family": "classification", "labels": SENTIMENTS}
    ),
    Published(
        "masakhaner",
        masakhaner,
        "data/hau/train.txt",
        ("hau", "yor"),
        {"family": "tagging", "form": "conll", "labels": ["B-LOC", "B-PER", "I-PER", "O"]},
    ),
    Published(
        "sib",
        sib,
        "sib200/yor_Latn/train.tsv",
        ("eng_Latn", "yor_Latn"),
        {"family": "classification", "columns": {"text": "text", "label": "category"}},
    ),
    Published(
        "treebank",
        treebank,
        "yo_ytb-ud-train.conllu",
        ("yo",),
        {"family": "tagging", "labels": ["ADP", "NOUN", "PRON", "PUNCT", "VERB"], "metric": "accuracy"},
    ),
    Published("parquet", parquet, "swa-train.parquet", ("swa",), {"labels": ["business", "health", "sports"]}),
    Published(
        "afrisenti",
        afrisenti,
        "data/hau/train.tsv",
        ("hau", "kin"),
        {"columns": {"text": "tweet", "label": "label"}, "labels": SENTIMENTS},
    ),
    Published(
        "belebele",
        belebele,
        "yor_Latn.jsonl",
        ("eng_Latn", "yor_Latn"),
        {
            "family": "multiple-choice",
            "columns": {
                "prompt": ["flores_passage", "question"],
                "options": ["mc_answer1", "mc_answer2", "mc_answer3", "mc_answer4"],
                "label": "correct_answer_num",
            },
            "names": ["1", "2", "3", "4"],
        },
    ),
    Published(
        "wikiann", wikiann, "yo/train", ("ace", "yo"), {"family": "tagging", "strip": "prefix", "labels": ["B-LOC", "O"]}
    ),
    Published(
        "masakhanews", masakhanews, "data/yor/test.tsv", ("hau", "yor"), {"columns": {"text": "text", "label": "category"}}
    ),
    Published(
        "uner",
        uner,
        "hr_set-ud-train.iob2",
        ("hr",),
        {"columns": {"word": 2, "tag": 3}, "comment": "# ", "labels": ["B-PER", "O"]},
    ),
)
