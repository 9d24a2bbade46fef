"""The files of answer-robust, answer-intermediate, answer-rare and answer-pairs, from a download folder of XTREME-R's layout.

    python jobs/studies/answer_data.py DOWNLOAD OUT

SIB-200, tags, names (of which dev files are scored) and the New Testaments of six languages are copied as they are.
DOWNLOAD/synonyms/counterfitted_neighbors.json, if there, becomes OUT/synonyms.json. The English text is that of the contexts of
TyDiQA's English training questions, each once, a line each. The pairs of same_topic.py are drawn with one seed, by the numbers
of SIB-200's sentences, so that row n is the same pair in all languages: 10 for each English training sentence, 5 of them of the
same topic; of the dev and test sets each sentence is the first of one pair and the second of another, half of the pairs of one
topic.
"""

import json
import random
import shutil
import sys
from collections import defaultdict
from pathlib import Path

ENGLISH = "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json"
LANGUAGES = ("eng_Latn", "rus_Cyrl", "swh_Latn", "jav_Latn", "yor_Latn", "quy_Latn")  # those of same_topic.py
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
    for split, languages in (("train", ["eng_Latn"]), ("dev", LANGUAGES), ("test", LANGUAGES)):
        sets = {code: sentences(download / "sib200" / code / f"{split}.tsv") for code in languages}
        topics = {number: topic for number, (topic, _) in sets["eng_Latn"].items()}
        pairs = many_pairs(topics, 5) if split == "train" else few_pairs(topics)
        for code, known in sets.items():
            write_pairs(out / "same-topic" / f"{split}-{code}.tsv", pairs, known)


def sentences(path: Path) -> dict[str, tuple[str, str]]:
    """Topic and text of each sentence of a file of SIB-200, by its number."""
    if not path.is_file():
        sys.exit(f"{path}: no such file")
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return {number: (topic, text) for number, topic, text in rows}


def many_pairs(topics: dict[str, str], times: int) -> list[tuple[str, str]]:
    """For each sentence `times` others of its topic and `times` of other topics, in a random order."""
    chance, numbers, pairs = random.Random(1), sorted(topics, key=int), []
    for first in numbers:
        same = [number for number in numbers if topics[number] == topics[first] and number != first]
        others = [number for number in numbers if topics[number] != topics[first]]
        pairs += [(first, second) for second in chance.sample(same, times) + chance.sample(others, times)]
    return chance.sample(pairs, len(pairs))


def few_pairs(topics: dict[str, str]) -> list[tuple[str, str]]:
    """Each sentence once as the first and once as the second of a pair: half of each topic in a separate ring, the others
    with one of another topic, in a random order."""
    chance, by_topic = random.Random(1), defaultdict(list)
    for number in chance.sample(sorted(topics, key=int), len(topics)):
        by_topic[topics[number]].append(number)
    pairs, rest, largest = [], [], 0
    for _, members in sorted(by_topic.items()):
        ring, left = members[: len(members) // 2], members[len(members) // 2 :]
        if len(ring) < 2:
            ring, left = [], members
        pairs += zip(ring, ring[1:] + ring[:1], strict=True)
        rest += left
        largest = max(largest, len(left))
    # Topics stand one after another, so as many places on as the largest has is another topic.
    pairs += zip(rest, rest[largest:] + rest[:largest], strict=True)
    return chance.sample(pairs, len(pairs))


def write_pairs(path: Path, pairs: list[tuple[str, str]], known: dict[str, tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for first, second in pairs:
            label = "same" if known[first][0] == known[second][0] else "other"
            file.write(f"{known[first][1]}\t{known[second][1]}\t{label}\n")


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
