"""Unicode CLDR's names of things in the fifty languages, from Babel: concept -> names per language -> split.

A concept is `kind:key`, such as `territory:KE` or `month:3`, and means the same in all languages. Only names that the
data of a language give are taken: what Babel would fill in from the language-neutral root, or by repeating the code, is
left out.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from babel import Locale, localedata
from babel.core import get_global
from babel.dates import format_skeleton

from xdist.files import digest
from xdist.languages import LANGUAGES

SPLITS = ("train", "dev", "test")
HELD_OUT_SHARE = 0.15  # of the concepts of each kind, for dev and for test each
# The label of each kind of concept; months and weekdays are separate kinds, so that both are in every split.
KINDS = {
    "territory": "territory",
    "language": "language",
    "currency": "currency",
    "script": "script",
    "month": "calendar",
    "weekday": "calendar",
    "unit": "unit",
}
LABELS = tuple(dict.fromkeys(KINDS.values()))
CLDR_CODES = {"tl": "fil"}  # CLDR knows the national language of the Philippines as Filipino

# Codes for what is private, unknown or none.
_NOT_NAMES = frozenset(("XA", "XB", "ZZ", "mul", "und", "zxx", "Zxxx", "Zyyy", "Zzzz", "Zinh", "XXX", "XTS"))
_DIRECTION_MARKS = dict.fromkeys(map(ord, "\u061c\u200e\u200f"))
_SAMPLE_DAYS = (2, 9, 16, 23)  # days of a month that are among its names ("March 2")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one language: concept -> its forms, the main one first. `codes` counts what was left out because it
    only repeats the concept's code."""

    forms: Mapping[str, tuple[str, ...]]
    codes: int


def kind_of(concept: str) -> str:
    return concept.partition(":")[0]


def label_of(concept: str) -> str:
    return KINDS[kind_of(concept)]


@cache
def locale_of(language: str) -> Locale:
    return Locale.parse(CLDR_CODES.get(language, language))


def parent_language(language: str) -> str | None:
    """The language that CLDR fills the gaps of `language` from: French for Haitian Creole, none for the others."""
    parent: str | None = get_global("parent_exceptions").get(CLDR_CODES.get(language, language))
    return parent.partition("_")[0] if parent else None


def locale_data(identifier: str) -> localedata.LocaleDataDict:
    """CLDR's tables of a locale, or of "root", with what they inherit and with aliases followed."""
    tables: Any = localedata.load(identifier)
    return localedata.LocaleDataDict(tables)


def clean_name(text: str) -> str:
    """One line, single spaces, no direction marks."""
    return " ".join(text.translate(_DIRECTION_MARKS).split())


@cache
def names_of(language: str) -> Names:
    """All names of an XTREME-R language, by kind and then by code."""
    forms: dict[str, tuple[str, ...]] = {}
    codes = 0
    for concept, raw in _raw_names(locale_of(language)):
        cleaned = dict.fromkeys(clean_name(form) for form in raw)
        code = concept.partition(":")[2].casefold()
        kept = tuple(form for form in cleaned if form and form.casefold() != code)
        codes += len(cleaned) - len(kept)
        if kept:
            forms[concept] = kept
    return Names(forms, codes)


def _raw_names(locale: Locale) -> Iterator[tuple[str, list[str]]]:
    # The root has no names of these four kinds, so all that Babel gives is the language's own or its parent's.
    tables = {
        "territory": locale.territories,
        "language": locale.languages,
        "currency": locale.currencies,
        "script": locale.scripts,
    }
    for kind, table in tables.items():
        for code in sorted(table.keys() - _NOT_NAMES):
            yield f"{kind}:{code}", [table[code]]
    data, root = locale_data(str(locale)), locale_data("root")
    yield from _calendar_names(locale, data, root)
    for unit, widths in sorted(data["unit_display_names"].items()):
        name = widths.get("long")
        if name and name != root["unit_display_names"].get(unit, {}).get("long"):
            yield f"unit:{unit}", [name]


def _calendar_names(
    locale: Locale, data: localedata.LocaleDataDict, root: localedata.LocaleDataDict
) -> Iterator[tuple[str, list[str]]]:
    widths = (("stand-alone", "wide"), ("format", "wide"), ("format", "abbreviated"))
    for kind, table in (("month", "months"), ("weekday", "days")):
        for number in sorted(data[table]["format"]["wide"]):
            forms = [
                data[table][context][width][number]
                for context, width in widths
                if data[table][context][width][number] != root[table][context][width][number]
            ]
            if kind == "month" and forms:
                dates = (datetime.date(2024, number, day) for day in _SAMPLE_DAYS)
                forms += [format_skeleton("MMMMd", date, locale=locale) for date in dates]
            yield f"{kind}:{number}", forms


@cache
def split_of() -> Mapping[str, str]:
    """The split of every concept that English names: the same for all languages and tasks. Within each kind the
    concepts are ordered by a hash; the first 15 % are test, the next 15 % dev."""
    split = {}
    english = names_of("en").forms
    for kind in KINDS:
        concepts = sorted((concept for concept in english if kind_of(concept) == kind), key=digest)
        held_out = round(HELD_OUT_SHARE * len(concepts))
        for position, concept in enumerate(concepts):
            split[concept] = "test" if position < held_out else "dev" if position < 2 * held_out else "train"
    return split


@cache
def names_in(language: str, split: str) -> Mapping[str, tuple[str, ...]]:
    """The names of `language` for the concepts of `split`, without any that, capitals aside, is also the name of a
    concept held out further (dev or test for train, test for dev) in any of the fifty languages."""
    taken = frozenset[str]().union(*(_strings(other) for other in SPLITS[SPLITS.index(split) + 1 :]))
    kept = {}
    for concept, forms in names_of(language).forms.items():
        if split_of().get(concept) == split:
            free = tuple(form for form in forms if form.casefold() not in taken)
            if free:
                kept[concept] = free
    return kept


@cache
def unambiguous_names_in(language: str, split: str) -> Mapping[str, tuple[str, ...]]:
    """`names_in` without names that the language also gives to a thing with another label, as Armenian in English."""
    labels: dict[str, set[str]] = {}
    for concept, forms in names_of(language).forms.items():
        for form in forms:
            labels.setdefault(form.casefold(), set()).add(label_of(concept))
    kept = {}
    for concept, forms in names_in(language, split).items():
        clear = tuple(form for form in forms if len(labels[form.casefold()]) == 1)
        if clear:
            kept[concept] = clear
    return kept


@cache
def _strings(split: str) -> frozenset[str]:
    return frozenset(
        form.casefold()
        for language in LANGUAGES
        for concept, forms in names_of(language).forms.items()
        if split_of().get(concept) == split
        for form in forms
    )
