"""A language by any code that a file or a user has for it: `yo`, `yor`, `yor_Latn` and `yor-Latn` are one.

The ISO 639-3 code and the script decide which codes are one. A macrolanguage and the member that its bare code means (Arabic
and Standard Arabic) are one; another member (Moroccan Arabic) is its own language. docs/make_languages.py makes the table.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xdist.errors import UserError, unknown

PLACE = Path(__file__).parent
# Codes that Wikipedia, older files and language identification have for a language.
OLD = {
    "iw": "he",
    "in": "id",
    "ji": "yi",
    "jw": "jv",
    "mo": "ro",
    "sh": "hbs",
    "simple": "en",
    "be-x-old": "be",
    "zh-yue": "yue",
}
OLD |= {"zh-classical": "lzh", "zh-min-nan": "nan", "bat-smg": "sgs", "fiu-vro": "vro", "roa-rup": "rup", "nds-nl": "nds"}
OLD |= {"map-bms": "jv"}  # Banyumasan, which has no code
WRITTEN = {"rom": "Latn", "cn": "Hans", "sg": "Hans", "tw": "Hant", "hk": "Hant", "mo": "Hant"}  # a romanisation, or of Chinese


@dataclass(frozen=True, slots=True)
class Language:
    """`code` as it was requested; `iso` of ISO 639-3; `script` of ISO 15924, with its name; Glottolog's family, of
    Indo-European with the branch; the continent that it comes from, empty where it is not known."""

    code: str
    iso: str
    script: str
    name: str
    family: str
    script_name: str
    continent: str

    @property
    def key(self) -> tuple[str, str]:
        """What is equal for all codes of one language."""
        return self.iso, self.script


@dataclass(frozen=True, slots=True)
class _Entry:
    iso: str
    name: str
    script: str
    family: str
    continent: str


@cache
def _entries() -> dict[str, _Entry]:
    """By ISO 639-1 and 639-3 code, of macrolanguages and of the member that each stands for."""
    entries: dict[str, _Entry] = {}
    for iso, short, members, name, script, family, continent in _rows("table.tsv"):
        entry = _Entry(iso, name, script, family, continent)
        entries.update(dict.fromkeys([iso, *filter(None, [short, *members.split(",")])], entry))
    return entries


@cache
def _scripts() -> dict[str, str]:
    return {row[0]: row[1] for row in _rows("scripts.tsv")}


def _rows(name: str) -> Iterator[list[str]]:
    with (PLACE / name).open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                yield line.rstrip("\n").split("\t")


@cache
def find_language(code: str) -> Language | None:
    """The language of a code of ISO 639-1 or 639-3, with or without a script of ISO 15924 (or a country, which implies it for
    Chinese); None for what is no such code."""
    scripts = _scripts()
    entry, rest = _parts(code)
    if entry is None:
        return None
    script = entry.script
    for part in rest:
        if re.fullmatch("[A-Za-z]{4}", part):
            script = part.title()
            if script not in scripts:
                return None
        elif part.lower() == "rom" or (entry.iso in ("zho", "yue") and part.lower() in WRITTEN):
            script = WRITTEN[part.lower()]
        elif not re.fullmatch("[A-Z]{2}|[0-9]{3}", part):  # a country changes nothing; "sw-en" is a pair
            return None
    name = entry.name if script == entry.script else f"{entry.name} ({scripts[script]})"
    return Language(code, entry.iso, script, name, entry.family, scripts.get(script, "not known"), entry.continent)


def language(code: str) -> Language:
    """As `find_language`. Raises UserError with the nearest valid code."""
    known = find_language(code)
    if known is not None:
        return known
    entry, rest = _parts(code)
    wrong = [part for part in rest if re.fullmatch("[A-Za-z]{4}", part) and part.title() not in _scripts()]
    if entry and wrong:
        raise UserError(f"language '{code}': {unknown('script', wrong[0].title(), _scripts())}")
    raise UserError(unknown("language", code, [*_entries()]))


def _parts(code: str) -> tuple[_Entry | None, list[str]]:
    plain = code.replace("_", "-")
    first, *rest = OLD.get(plain.lower(), plain).split("-")
    return _entries().get(OLD.get(first.lower(), first.lower())), rest


def is_english(code: str) -> bool:
    return same_language(code, "en")


def same_language(one: str, other: str) -> bool:
    """Whether two codes are of one language in one script; what is no code of a language is like itself alone."""
    first, second = find_language(one), find_language(other)
    return one == other if first is None or second is None else first.key == second.key


@cache
def code_among(codes: tuple[str, ...], code: str) -> str | None:
    """The one of `codes` that is the language of `code`, written as there; None where none is."""
    return code if code in codes else next((one for one in codes if same_language(one, code)), None)


@cache
def pair_of(code: str) -> tuple[str, str] | None:
    """The two codes of an ordered pair of languages, such as "en-de" or "eng_Latn-sr-Latn"; None for the code of a language,
    such as "de-DE", and for what has no "-"."""
    if find_language(code) or "-" not in code:
        return None
    parts = code.split("-")
    places = sorted(range(1, len(parts)), key=lambda at: abs(2 * at - len(parts)))
    halves = [("-".join(parts[:at]), "-".join(parts[at:])) for at in places]
    return next((both for both in halves if all(map(find_language, both))), halves[0] if len(halves) == 1 else None)


def are_pairs(codes: Collection[str]) -> bool:
    """Whether these are ordered pairs of languages, and not languages."""
    return all(map(pair_of, codes))


def by_diagonal(pairs: Iterable[str]) -> tuple[list[str], list[str]]:
    """Of ordered pairs, those of a language with itself, and those of two."""
    same: list[str] = []
    mixed: list[str] = []
    for code in pairs:
        (same if len(set(pair_of(code) or code)) == 1 else mixed).append(code)
    return same, mixed


def identity(code: str) -> str:
    """What is equal for all codes of one language in one script, and for no others."""
    known = find_language(code)
    return "_".join(known.key) if known else code


def without(codes: Iterable[str], left_out: Iterable[str]) -> list[str]:
    """Those of `codes` whose language `left_out` does not have under any code."""
    gone = set(map(identity, left_out))
    return [code for code in codes if identity(code) not in gone]


@cache
def every_code() -> tuple[str, ...]:
    """The ISO 639-3 code of each language that is known here."""
    return tuple(sorted({entry.iso for entry in _entries().values()}))
