"""Lists of words that may stand for each other: synonym files, bilingual dictionaries, and looking a word up in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from xdist.errors import UserError
from xdist.formats.lines import read_json, read_lines

Lookup = Literal["exact", "lower", "folded"]
WordList = Mapping[str, Sequence[str]]


def read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    """A JSON object {word: [synonyms]}, as counter-fitted neighbours are published (Mrkšić et al. 2016; uclanlp/Robust-XLT).
    A synonym counts once, a word is not its own synonym; a key of white space, which the published file has, is no word. Raises
    UserError naming file and word."""
    lists = read_json(path)
    if not isinstance(lists, dict):
        raise UserError(f"{path}: expected a JSON object of word lists, found {type(lists).__name__}")
    for word, synonyms in lists.items():
        if not isinstance(synonyms, list):
            raise UserError(f"{path}: key '{word}': expected a list of words, found {type(synonyms).__name__}")
        for synonym in synonyms:
            if not isinstance(synonym, str) or not synonym.strip():
                raise UserError(f"{path}: key '{word}': {synonym!r:.40} is no word")
    return {
        word: tuple(dict.fromkeys(synonym for synonym in synonyms if synonym != word))
        for word, synonyms in lists.items()
        if word.strip()
    }


def read_dictionary(path: Path) -> dict[str, tuple[str, ...]]:
    """{lower-cased source: its translations} of a file with one `source TAB target`, or `source target` with one space, a line,
    as in MUSE (Lample et al. 2018); a source may be in many lines. Raises UserError naming file and line."""
    targets: dict[str, list[str]] = {}
    for number, line in read_lines(path):
        parts = line.split("\t" if "\t" in line else " ")
        if len(parts) != 2 or not all(part.strip() for part in parts):
            raise UserError(f"{path}:{number}: expected 'source TAB target' or 'source target', found {line!r:.60}")
        targets.setdefault(parts[0].strip().lower(), []).append(parts[1].strip())
    if not targets:
        raise UserError(f"{path}: holds no word")
    return {source: tuple(dict.fromkeys(found)) for source, found in targets.items()}


def look_up(word: str, words: WordList, how: Lookup) -> list[str]:
    """What may stand for `word`. `exact`: as it is written; `lower`: its lower-cased form; `folded`: without the punctuation
    round it and in lower case if it is not in the list as it is, and what is found gets its capitals and punctuation back."""
    if how == "exact":
        return list(words.get(word, ()))
    if how == "lower":
        return list(words.get(word.lower(), ()))
    letters = [place for place, character in enumerate(word) if character.isalnum()]
    if not letters:
        return list(words.get(word, ()))
    core = word[letters[0] : letters[-1] + 1]
    before, after = word[: letters[0]], word[letters[-1] + 1 :]
    found = words[core] if core in words else [_cased(other, core) for other in words.get(core.lower(), ())]
    return [f"{before}{other}{after}" for other in found]


def _cased(word: str, like: str) -> str:
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
