"""Test sets as the official download leaves them: without gold."""

import json
from pathlib import Path


def blank(root: Path) -> list[Path]:
    """Blank every test file below `root` that the official preparation blanks, as it does; the files that changed."""
    changed = []
    for path in sorted(root.glob("xnli/test-*.tsv")):
        changed.append(_written(path, "".join(f"{line.rsplit(chr(9), 1)[0]}\n" for line in _lines(path))))
    for path in sorted(root.glob("udpos/test-*.tsv")):
        changed.append(_written(path, "".join(f"{line.split(chr(9))[0]}\n" for line in _lines(path))))
    for path in sorted(root.glob("xcopa/test-*.jsonl")):
        records = [{**json.loads(line), "label": 0} for line in _lines(path)]
        changed.append(_written(path, "".join(json.dumps(record) + "\n" for record in records)))
    for path in sorted(root.glob("xquad/xquad.*.json")):
        asked = [
            (paragraph["context"], {**qa, "answers": [{"answer_start": 0, "text": ""}]})
            for article in json.loads(path.read_text(encoding="utf-8"))["data"]
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]
        data = [{"paragraphs": [{"context": context, "qas": [qa]}]} for context, qa in asked]
        changed.append(_written(path, json.dumps({"version": "1.1", "data": data})))
    for path in sorted(root.glob("labels/tatoeba/test-*")):
        path.unlink()
        changed.append(path)
    return changed


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
