"""Parallel text in the forms of OPUS: two files whose lines translate each other, and TMX; plain, .gz or .zst.

Moses: `NAME.xx` and `NAME.en`. The Tatoeba Challenge: `train.src`, `train.trg`, and `train.id`, whose last two columns are the
languages of the two (English is the first where it is missing, as in its `eng-xxx`). TMX: of each unit the English variant
and the first other one.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator
from itertools import zip_longest

from xdist.errors import UserError
from xdist.formats.sources import COMPRESSIONS, KINDS, source_exists, source_stream
from xdist.languages import is_english

LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z]{2,8})*")
NO_LANGUAGE = {*KINDS, "src", "trg", "id", "ids", "xml", "tmx", "en", "eng", "log", "md"}
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

RawPair = tuple[str | bytes | None, ...]


def kind_of_pairs(address: str) -> str:
    """'tmx', 'src' or 'moses' by the ending; '' for what has none of theirs."""
    name, _ = _plain(address)
    ending = name.rpartition(".")[2]
    if ending in ("tmx", "src"):
        return ending
    return "moses" if "." in name and ending not in NO_LANGUAGE and LANGUAGE.fullmatch(ending) else ""


def begin_pairs(name: str, names: Collection[str]) -> bool:
    """Whether the file `name` stands for a source of pairs among the files `names`: a half stands for both where it is that of
    the other language."""
    kind = kind_of_pairs(name)
    other_side = {"src": "trg", "moses": "en"}.get(kind)
    return kind == "tmx" or (other_side is not None and _other_file(name, other_side) in names)


def files_of(address: str) -> list[str]:
    """All files of a source of pairs."""
    kind = kind_of_pairs(address)
    if kind == "src":
        return [address, _other_file(address, "trg"), *(one for one in (_other_file(address, "id"),) if source_exists(one))]
    return [address, _other_file(address, "en")] if kind == "moses" else [address]


def pairs(address: str) -> Iterator[tuple[int, RawPair]]:
    """(number from 1, (the other language, English)) of each pair. Raises UserError for files that are not parallel, and with
    the number of the unit for TMX that breaks off."""
    if kind_of_pairs(address) == "tmx":
        yield from _units(address)
        return
    first, second, *ids = files_of(address)
    turned = kind_of_pairs(address) == "src" and _begins_with_english(ids)
    number = 0
    for number, (first_line, second_line) in enumerate(zip_longest(_lines(first), _lines(second)), start=1):
        if first_line is None or second_line is None:
            raise UserError(
                f"{second if second_line is None else first}: {number - 1} lines, but the other file has more: not parallel"
            )
        yield number, (second_line, first_line) if turned else (first_line, second_line)


def _begins_with_english(ids: list[str]) -> bool:
    if not ids:
        return True
    line = next(_lines(ids[0]), "")
    columns = (line if isinstance(line, str) else "").split("\t")
    return len(columns) < 2 or _in_english(columns[-2])


def _in_english(code: str) -> bool:
    """Of any script, country or variant: corpora write these in ways that are no codes, such as "en-us"."""
    return is_english(re.split("[-_]", code)[0])


def _lines(address: str) -> Iterator[str | bytes]:
    """Bytes where they are not UTF-8."""
    rest = b""
    with source_stream(address) as stream:
        try:
            while chunk := stream.read(1 << 20):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from map(_text, whole)
        except (OSError, EOFError) as error:
            raise UserError(f"{address}: cannot be read to its end: {str(error).splitlines()[0]}") from None
    if rest:
        yield _text(rest)


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode("utf-8").removeprefix("\ufeff").removesuffix("\r")
    except UnicodeDecodeError:
        return raw


def _units(address: str) -> Iterator[tuple[int, RawPair]]:
    number = 0
    with source_stream(address) as stream:
        try:
            for _, element in ET.iterparse(stream):
                if element.tag != "tu":
                    continue
                number += 1
                found: dict[bool, str] = {}
                for variant in element.iter("tuv"):
                    language, text = variant.get(_LANG) or variant.get("lang") or "", variant.find("seg")
                    if text is not None:
                        found.setdefault(_in_english(language), "".join(text.itertext()))
                element.clear()
                if len(found) == 2:
                    yield number, (found[False], found[True])
        except (ET.ParseError, OSError, EOFError) as error:
            raise UserError(f"{address}: unit {number + 1}: cannot be read: {str(error).splitlines()[0]}") from None


def _plain(address: str) -> tuple[str, str]:
    """The address without the ending of a compression, and that ending."""
    name, dot, ending = address.rpartition(".")
    return (name, dot + ending) if ending in COMPRESSIONS else (address, "")


def _other_file(address: str, ending: str) -> str:
    name, packed = _plain(address)
    return f"{name.rpartition('.')[0]}.{ending}{packed}"
