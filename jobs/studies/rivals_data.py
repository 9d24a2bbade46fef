"""Bilingual dictionaries where there are none: from SIB-200's parallel training rows, which words translate each other.

    python jobs/studies/rivals_data.py DOWNLOAD OUT [LANGUAGE …]

For each LANGUAGE (as SIB-200 names it; else those of rivals.yaml) OUT/en-LANGUAGE.txt, an English word and its translation on
each line, the surest first. Statistics alone: IBM model 1 (Brown et al. 1993) in both directions over the training rows, ten
rounds; two words are an entry where each is the other's most probable partner, they occur together in two rows or more, and the
product of both probabilities is at least 0.05. Words are what blanks part, in lower case, without punctuation at their ends. No
dev or test row is read. The result is small and noisy: 300 to 650 entries a language, from 701 sentences.
"""

import sys
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np

LANGUAGES = ("tam_Taml", "swh_Latn", "jav_Latn", "yor_Latn")
ENGLISH, ROUNDS, TOGETHER, SURE = "eng_Latn", 10, 2, 0.05


def main(download: Path, out: Path, languages: tuple[str, ...]) -> None:
    english = sentences(download / "sib200" / ENGLISH / "train.tsv")
    out.mkdir(parents=True, exist_ok=True)
    for language in languages:
        foreign = sentences(download / "sib200" / language / "train.tsv")
        pairs = [(words(english[id]), words(foreign[id])) for id in foreign if id in english]
        found = entries(pairs)
        path = out / f"en-{language}.txt"
        path.write_text("".join(f"{one}\t{other}\n" for one, other in found), encoding="utf-8")
        print(f"{path}: {len(found)} words from {len(pairs)} sentences")


def sentences(path: Path) -> dict[str, str]:
    if not path.is_file():
        sys.exit(f"{path}: no such file")
    head, *lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {cells[head.index("index_id")]: cells[head.index("text")] for cells in lines}


def words(text: str) -> list[str]:
    return [word for part in text.split() if (word := plain(part))]


def plain(word: str) -> str:
    word = unicodedata.normalize("NFC", word.lower())
    kept = [place for place, sign in enumerate(word) if unicodedata.category(sign)[0] in "LMN"]
    return word[kept[0] : kept[-1] + 1] if kept else ""


def entries(pairs: list[tuple[list[str], list[str]]]) -> list[tuple[str, str]]:
    """(English word, its translation), the surest first."""
    there = translated(pairs)
    back = {(one, two): chance for (two, one), chance in translated([(two, one) for one, two in pairs]).items()}
    together = Counter((one, two) for first, second in pairs for one in set(first) for two in set(second))
    likeliest: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for one, two in sorted(there, key=lambda pair: (there[pair], pair)):
        likeliest[0][one] = two
    for one, two in sorted(back, key=lambda pair: (back[pair], pair)):
        likeliest[1][two] = one
    sure = {
        pair: there[pair] * back[pair]
        for pair, times in together.items()
        if times >= TOGETHER and likeliest[0][pair[0]] == pair[1] and likeliest[1][pair[1]] == pair[0]
    }
    return [pair for pair in sorted(sure, key=lambda pair: (-sure[pair], pair)) if sure[pair] >= SURE]


def translated(pairs: list[tuple[list[str], list[str]]]) -> dict[tuple[str, str], float]:
    """By (word, word of the other side) how probable the second is as the translation of the first: IBM model 1."""
    known: tuple[dict[str, int], dict[str, int]] = ({"": 0}, {})  # "": what has no partner comes from it
    cells, places, place = [], [], 0
    for sides in pairs:
        first, second = ([one.setdefault(word, len(one)) for word in side] for one, side in zip(known, sides, strict=True))
        cells += [(source, target) for target in second for source in (0, *first)]
        places += [place + at for at in range(len(second)) for _ in (0, *first)]
        place += len(second)
    sources, targets = np.array(cells).T
    cell, which = np.unique(sources * len(known[1]) + targets, return_inverse=True)
    source = cell // len(known[1])
    chance = np.full(len(cell), 1 / len(known[1]))
    for _ in range(ROUNDS):
        share = chance[which] / np.bincount(places, chance[which])[places]
        counts = np.bincount(which, share)
        chance = counts / np.bincount(source, counts)[source]
    names = [list(one) for one in known]
    found = zip(source.tolist(), (cell % len(known[1])).tolist(), chance.tolist(), strict=True)
    return {(names[0][one], names[1][two]): value for one, two, value in found if one}


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), tuple(sys.argv[3:]) or LANGUAGES)
