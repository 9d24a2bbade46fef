"""A small real benchmark and a small real encoder, made in a second: what the tests train and evaluate."""

import random
from pathlib import Path

from xdist.demo.tiny import tiny_encoder

NAMES = {
    "territory": "Germany France Italy Kenya Peru Chad Mali Oman Norway Sweden",
    "language": "German French Italian Swahili Quechua Welsh Dutch Thai Norse Czech",
    "currency": "euro dollar peso yen won rupee real franc krona pound",
    "script": "Latin Greek Cyrillic Arabic Hebrew Bengali Tamil Telugu Khmer Lao",
    "calendar": "January May June July Monday Friday Sunday April March August",
    "unit": "metre second gram litre hour inch foot mile ounce degree",
}
TAGS = {"territory": "LOC", "language": "LNG", "currency": "CUR", "calendar": "DAT"}
LANGUAGES = ("en", "de", "sw")


def tiny_benchmark(root: Path) -> Path:
    """cldr-topic, cldr-spans and cldr-names in three invented languages, in the official layouts."""
    for code in LANGUAGES:
        for split, size in (("train", 120), ("dev", 20), ("test", 40)):
            draw = random.Random(f"{code} {split}")
            topics = [_named(draw, code) for _ in range(size)]
            _write(root / f"cldr-topic/{split}-{code}.tsv", [f"{name}\t{topic}" for name, topic in topics])
            sentences = ["\n".join(_tagged(draw, code)) for _ in range(size)]
            _write(root / f"cldr-spans/{split}-{code}.tsv", ["\n\n".join(sentences)])
        if code != "en":
            names = [word for words in NAMES.values() for word in words.split()]
            english = sorted(names)
            _write(root / f"cldr-names/{code}-en.{code}", [_in(code, name) for name in names])
            _write(root / f"cldr-names/{code}-en.en", english)
            _write(root / f"labels/cldr-names/test-{code}.tsv", [str(names.index(name)) for name in english])
    return root


def tiny_places(root: Path) -> None:
    """In addition to the tiny benchmark, in a form that no reader of ours knows: which names of cldr-topic stand for a place
    (tests/third_party/task.py)."""
    for path in sorted((root / "cldr-topic").iterdir()):
        pairs = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        lines = [f"{'yes' if topic == 'territory' else 'no'}: {name}" for name, topic in pairs]
        _write(root / "place" / f"{path.stem}.txt", lines)


def tiny_model(folder: Path, root: Path, **options: object) -> Path:
    """A two-layer encoder whose vocabulary was trained on the texts of `root`."""
    texts = [path.read_text(encoding="utf-8").replace("\t", " ") for path in sorted(root.rglob("*-??.tsv"))]
    tiny_encoder(folder, texts, **{"vocabulary": 400, **options})  # type: ignore[arg-type]
    return folder


def _named(draw: random.Random, code: str) -> tuple[str, str]:
    topic = draw.choice(list(NAMES))
    extra = " ".join(draw.choice(("old", "new", "the", "great")) for _ in range(draw.randint(0, 4)))
    return f"{extra} {_in(code, draw.choice(NAMES[topic].split()))}".strip(), topic


def _tagged(draw: random.Random, code: str) -> list[str]:
    lines = []
    for _ in range(draw.randint(1, 6)):
        name, topic = draw.choice(NAMES[topic_ := draw.choice(list(NAMES))].split()), topic_
        lines += [f"{_in(code, name)}\t{'B-' + TAGS[topic] if topic in TAGS else 'O'}", "and\tO"]
    return lines


def _in(code: str, name: str) -> str:
    return name if code == "en" else name + code


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
