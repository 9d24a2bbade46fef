"""Sentences of English prose by rules: SQuAD's paragraphs for the training pairs of LAReQA.

A sentence ends at `.`, `!` or `?`, with closing quotes and brackets, before white space and something that can begin a
sentence: not before a small letter, not after an initial or an abbreviation that needs something after it. Dots that are
alone belong to the sentence before them.
"""

import re
from collections.abc import Iterator

# Followed by a name or a number, so no sentence ends at their dot.
_ABBREVIATIONS = """
adm al approx apt ave brig c ca capt cf cmdr col comdr cpl dr e.g eg est fig fr ft gen gov hon i.e ie lt maj messrs mr
mrs ms mt mts nos op p pp pres prof rep rev sen sgt sr st sts supt v viz vol vols vs
"""
_NEEDS_MORE = frozenset(_ABBREVIATIONS.split())
# Followed by a number in their other meaning: No. 5, Jan. 3, Ch. 7.
_NUMBERED = "art ch chap eq no para sec apr aug dec feb jan jul jun mar nov oct sep sept"
_NEEDS_NUMBER = frozenset(_NUMBERED.split())
_END = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s)""")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘—–-]*$")
_INITIAL = re.compile(r"^(?:[A-Z]|[A-Z]\.-?[A-Z])$")
_NEXT = re.compile(r"\s*([\"'“‘«(\[]*)(\S?)")


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """[start, end) of each sentence of `text`, in order, without white space around it; together they hold every character
    that is not white space."""
    start = 0
    for match in _END.finditer(text):
        if _ends(text, match):
            yield _trimmed(text, start, match.end())
            start = match.end()
    if text[start:].strip():
        yield _trimmed(text, start, len(text))


def _ends(text: str, match: re.Match[str]) -> bool:
    following = _NEXT.match(text, match.end())
    letter = following[2] if following else ""
    if letter.islower() or letter in ("", ".", "…"):
        return False
    if match[0][0] != "." or match[0].startswith(".."):
        return True
    before = _LAST_WORD.search(text, max(0, match.start() - 40), match.start())
    word = before[0] if before else ""
    if word.lower() in _NEEDS_MORE or _INITIAL.match(word):
        return False
    return not (word.lower() in _NEEDS_NUMBER and letter.isdigit())


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())
