"""Sentences of CLDR names with BIO tags: names, dates and units inside the list and interval patterns of a language.

A sentence is a list ("A, B and C") whose items are a name, a name with another or a time span in brackets, a date, or a unit.
Territories, languages, currencies and dates are tagged; units and the words of the patterns are not.
"""

import datetime
import random
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from babel import localedata
from babel.dates import format_date
from babel.lists import format_list

from xdist.demo.cldr_names import clean, kind_of, locale_of

TYPES = {"territory": "LOC", "language": "LNG", "currency": "CUR", "month": "DAT"}
TAGS = ("O", *(f"{mark}-{kind}" for kind in TYPES.values() for mark in "BI"))
CHARACTER_WORDS = ("ja", "th", "zh")  # WikiANN splits these into characters
WORDS = (5, 25)  # fewest and most words of a sentence

Segment = tuple[str, str]  # text, type ("" for none)
Sentence = list[tuple[str, str]]  # word, tag


def words(text: str, *, characters: bool = False) -> list[str]:
    """`text` split at white space, with punctuation at either end of a word split off, or into characters."""
    if characters:
        return [character for character in text if not character.isspace()]
    return [word for chunk in text.split() for word in _without_punctuation(chunk)]


def _without_punctuation(chunk: str) -> Iterator[str]:
    start, end = 0, len(chunk)
    while start < end and unicodedata.category(chunk[start])[0] == "P":
        start += 1
    while end > start and unicodedata.category(chunk[end - 1])[0] == "P":
        end -= 1
    yield from chunk[:start]
    if start < end:
        yield chunk[start:end]
    yield from chunk[end:]


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences of one language over one split's names (concept -> forms, the first is used). The generator decides:
    the same seed gives the same sentences."""

    language: str
    names: Mapping[str, tuple[str, ...]]

    def draw(self, count: int, seed: str) -> list[Sentence]:
        """`count` different sentences, or fewer where ten times as many draws do not give them."""
        choose = random.Random(seed)
        pools: dict[str, list[str]] = {}
        for concept, forms in sorted(self.names.items()):
            pools.setdefault(kind_of(concept), []).append(concept if kind_of(concept) == "month" else forms[0])
        found: dict[tuple[tuple[str, str], ...], None] = {}
        for _ in range(10 * count):
            if len(found) == count:
                break
            sentence = self._tagged(self._segments(choose, pools))
            if WORDS[0] <= len(sentence) <= WORDS[1]:
                found[tuple(sentence)] = None
        return [list(sentence) for sentence in found]

    def _segments(self, choose: random.Random, pools: Mapping[str, list[str]]) -> list[Segment]:
        items = [self._item(choose, pools) for _ in range(choose.randint(2, 5))]
        slots = [_slot(position) for position in range(len(items))]
        style = choose.choice(self._list_styles())
        return _filled(format_list(slots, style=style, locale=locale_of(self.language)), items)

    def _list_styles(self) -> list[str]:
        own = localedata.load(str(locale_of(self.language)))["list_patterns"]
        neutral = localedata.load("root")["list_patterns"]
        # The neutral "or" is the English word; the neutral "and" is a comma.
        return ["standard", "or"] if own["or"] != neutral["or"] or self.language == "en" else ["standard"]

    def _item(self, choose: random.Random, pools: Mapping[str, list[str]]) -> list[Segment]:
        form = choose.choices(("name", "named", "dated", "date", "unit"), (8, 3, 2, 2, 2))[0]
        if form == "unit" and "unit" in pools:
            return [(choose.choice(pools["unit"]), "")]
        if form == "date":
            return [self._date(choose, pools)]
        name = self._name(choose, pools)
        if form == "named":
            return [name, ("(", ""), self._name(choose, pools), (")", "")]
        if form == "dated":
            interval = localedata.load(str(locale_of(self.language)))["interval_formats"][None]
            dates = [[self._date(choose, pools)], [self._date(choose, pools)]]
            return [name, ("(", ""), *_filled(interval.format(_slot(0), _slot(1)), dates), (")", "")]
        return [name]

    def _name(self, choose: random.Random, pools: Mapping[str, list[str]]) -> Segment:
        kind = choose.choice([kind for kind in ("territory", "language", "currency") if kind in pools])
        return choose.choice(pools[kind]), TYPES[kind]

    def _date(self, choose: random.Random, pools: Mapping[str, list[str]]) -> Segment:
        month = int(choose.choice(pools["month"]).partition(":")[2])
        date = datetime.date(choose.randint(1900, 2030), month, choose.randint(1, 28))
        style = choose.choice(("long", "medium"))
        return clean(format_date(date, style, locale=locale_of(self.language))), TYPES["month"]

    def _tagged(self, segments: list[Segment]) -> Sentence:
        sentence = []
        for text, kind in segments:
            for position, word in enumerate(words(clean(text), characters=self.language in CHARACTER_WORDS)):
                sentence.append((word, f"{'I' if position else 'B'}-{kind}" if kind else "O"))
        return sentence


def _slot(position: int) -> str:
    return chr(0xE000 + position)  # private use: in no pattern and no name


def _filled(pattern: str, items: list[list[Segment]]) -> list[Segment]:
    segments: list[Segment] = []
    for character in pattern:
        if 0xE000 <= ord(character) < 0xE000 + len(items):
            segments += items[ord(character) - 0xE000]
        elif segments and segments[-1][1] == "" and segments[-1][0] not in ("(", ")"):
            segments[-1] = (segments[-1][0] + character, "")
        else:
            segments.append((character, ""))
    return segments
