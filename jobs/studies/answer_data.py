"""The files of answer-robust, answer-intermediate and answer-rare, from a download folder of XTREME-R's layout.

    python jobs/studies/answer_data.py DOWNLOAD OUT

SIB-200, tags, names (of which dev files are scored) and the New Testaments of six languages are copied as they are.
DOWNLOAD/synonyms/counterfitted_neighbors.json, if there, becomes OUT/synonyms.json. The English text is that of the contexts of
TyDiQA's English training questions, each once, a line each.
"""

import json
import shutil
import sys
from pathlib import Path

ENGLISH = "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json"
COPIED = ("sib200/*/*.tsv", "udpos/*-*.tsv", "panx/train-en.tsv", "panx/dev-*.tsv", "mlm/bible/*.txt")


def main(download: Path, out: Path) -> None:
    for pattern in COPIED:
        if not (found := sorted(download.glob(pattern))):
            sys.exit(f"{download / pattern}: no such file")
        for path in found:
            copy(path, out / path.relative_to(download))
    synonyms = download / "synonyms" / "counterfitted_neighbors.json"
    if synonyms.is_file():
        copy(synonyms, out / "synonyms.json")
    english = download / ENGLISH
    if not english.is_file():
        sys.exit(f"{english}: no such file")
    articles = json.loads(english.read_text(encoding="utf-8"))["data"]
    contexts = dict.fromkeys(" ".join(one["context"].split()) for article in articles for one in article["paragraphs"])
    text = out / "mlm" / "en.txt"
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("\n".join(filter(None, contexts)) + "\n", encoding="utf-8")


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
