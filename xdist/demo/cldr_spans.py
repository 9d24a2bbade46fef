"""Sentences of CLDR names with BIO tags: names, dates and units inside the list and interval patterns of a language.

A sentence is a list ("A, B and C") whose items are a name, a name with another or a time span in brackets, a date, or a
unit. Territories, languages, currencies and dates are tagged; units and the words of the patterns are not.
"""

import datetime
import random
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from babel import Locale
from babel.dates import format_date
from babel.lists import format_list

from xdist.demo.cldr_names import clean_name, kind_of, locale_data, locale_of

TYPES = {"territory": "LOC", "language": "LNG", "currency": "CUR", "month": "DAT"}
TAGS = ("O", *(f"{mark}-{kind}" for kind in TYPES.values() for mark in "BI"))
CHARACTER_LANGUAGES = ("ja", "th", "zh")  # WikiANN makes a word of each of their characters
WORDS_PER_SENTENCE = (5, 25)
CHARACTERS_PER_SENTENCE = (10, 50)

Segment = tuple[str, str]  # text, type ("" for none)
TaggedWords = tuple[tuple[str, str], ...]  # (word, tag)
ListStyle = Literal["standard", "or"]

_FORMS = {"name": 8, "name (name)": 3, "name (dates)": 2, "date": 2, "unit": 2}  # what a list item is, and how often
_SLOTS = "\ue000\ue001\ue002\ue003\ue004"  # private use: in no pattern and no name


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


def sentences(language: str, names: Mapping[str, tuple[str, ...]], count: int, seed: str) -> list[TaggedWords]:
    """`count` different sentences over `names` (concept -> forms, of which the first is used), or fewer where ten times
    as many draws do not give them. The same arguments give the same sentences."""
    characters = language in CHARACTER_LANGUAGES
    fewest, most = CHARACTERS_PER_SENTENCE if characters else WORDS_PER_SENTENCE
    grammar = _grammar(language, names, random.Random(seed))
    found: dict[TaggedWords, None] = {}
    for _ in range(10 * count):
        if len(found) == count:
            break
        sentence = _tagged(grammar.sentence(), characters=characters)
        if fewest <= len(sentence) <= most:
            found[sentence] = None
    return list(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grammar:
    locale: Locale
    list_styles: Sequence[ListStyle]
    interval: str  # a pattern with {0} and {1}
    pools: Mapping[str, Sequence[str]]  # kind -> names; for month its numbers
    choose: random.Random

    def sentence(self) -> list[Segment]:
        items = [self._item() for _ in range(self.choose.randint(2, len(_SLOTS)))]
        style = self.choose.choice(self.list_styles)
        return _filled(format_list(_SLOTS[: len(items)], style=style, locale=self.locale), items)

    def _item(self) -> list[Segment]:
        form = self.choose.choices(list(_FORMS), list(_FORMS.values()))[0]
        if form == "unit" and "unit" in self.pools:
            return [(self.choose.choice(self.pools["unit"]), "")]
        if form == "date":
            return [self._date()]
        if form == "name (name)":
            return [self._name(), ("(", ""), self._name(), (")", "")]
        if form == "name (dates)":
            dates = _filled(self.interval.format(*_SLOTS), [[self._date()], [self._date()]])
            return [self._name(), ("(", ""), *dates, (")", "")]
        return [self._name()]

    def _name(self) -> Segment:
        kind = self.choose.choice(("territory", "language", "currency"))
        return self.choose.choice(self.pools[kind]), TYPES[kind]

    def _date(self) -> Segment:
        month = int(self.choose.choice(self.pools["month"]))
        date = datetime.date(self.choose.randint(1900, 2030), month, self.choose.randint(1, 28))
        return format_date(date, self.choose.choice(("long", "medium")), locale=self.locale), TYPES["month"]


def _grammar(language: str, names: Mapping[str, tuple[str, ...]], choose: random.Random) -> _Grammar:
    pools: dict[str, list[str]] = {}
    for concept, forms in sorted(names.items()):
        kind = kind_of(concept)
        name = concept.partition(":")[2] if kind == "month" else forms[0]
        if not any(unicodedata.category(character) == "Ps" for character in name):  # brackets are the pattern's
            pools.setdefault(kind, []).append(name)
    locale = locale_of(language)
    own, neutral = locale_data(str(locale)), locale_data("root")
    # The root's "or" is the English word, its "and" a comma.
    borrowed_or = language != "en" and own["list_patterns"]["or"]["2"] == neutral["list_patterns"]["or"]["2"]
    return _Grammar(
        locale=locale,
        list_styles=("standard",) if borrowed_or else ("standard", "or"),
        interval=own["interval_formats"][None],
        pools=pools,
        choose=choose,
    )


def _filled(pattern: str, items: Sequence[list[Segment]]) -> list[Segment]:
    segments: list[Segment] = []
    for part in re.split(f"([{_SLOTS}])", pattern):
        segments += items[_SLOTS.index(part)] if part and part in _SLOTS else [(part, "")]
    return segments


def _tagged(segments: Sequence[Segment], *, characters: bool) -> TaggedWords:
    tagged = []
    for text, kind in segments:
        for position, word in enumerate(words(clean_name(text), characters=characters)):
            tagged.append((word, f"{'I' if position else 'B'}-{kind}" if kind else "O"))
    return tuple(tagged)
