"""Answers cut as the public recipes of SQuAD, XTREME and XGLUE cut them: at words, not at the characters of the span's pieces.

The words at white space that a span touches are the text that is cut; the pieces of the span, as their tokenizer writes them,
are searched in that text with blanks around each mark and each Chinese character. Where they are found, what they cover is
the answer. Where they do not, it is all the words, with adjacent marks: where a mark is inside the span and the
tokenizer puts no blanks around marks (XLM-R), and mostly in Chinese, where a word at white space is a clause.
"""

import unicodedata
from collections.abc import Sequence

# What the recipe takes for the border of a word in a context; U+00A0 and U+3000 are none.
WHITE = " \t\r\n\u202f"
_CHINESE = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F)),
    *((0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)
_ASCII_MARKS = ((33, 47), (58, 64), (91, 96), (123, 126))


def official_answer(context: str, begin: int, end: int, pieces: str) -> str:
    """The answer of a span of the characters `begin` to `end` - 1, whose pieces read as `pieces`."""
    low, high = begin, end
    while low < high and context[low] in WHITE:
        low += 1
    while high > low and context[high - 1] in WHITE:
        high -= 1
    while low and context[low - 1] not in WHITE:
        low -= 1
    while high < len(context) and context[high] not in WHITE:
        high += 1
    words = context[low:high]
    for mark in WHITE:
        words = words.replace(mark, " ")
    return found_in(" ".join(pieces.split()), " ".join(part for part in words.split(" ") if part))


def found_in(predicted: str, words: str) -> str:
    """The part of `words` that `predicted` covers once each of their marks and Chinese characters is alone; else all."""
    parted = " ".join(parts(words))
    first = parted.find(predicted)
    if first < 0 or not predicted:
        return words
    places = [place for place, sign in enumerate(words) if sign != " "]
    if len(parted.replace(" ", "")) != len(places):
        return words  # some signs were left out: nothing can be counted off
    before = first - parted.count(" ", 0, first)
    inside = len(predicted) - predicted.count(" ")
    return words[places[before] : places[before + inside - 1] + 1] if inside else words


def parts(text: str) -> list[str]:
    """`text` at white space, with each mark and each Chinese character as a separate part, control characters left out."""
    spaced = []
    for sign in text:
        kind = unicodedata.category(sign)
        if sign in " \t\n\r" or kind == "Zs":
            spaced.append(" ")
        elif sign == "\ufffd" or kind.startswith("C"):
            continue
        elif _within(ord(sign), _CHINESE) or _within(ord(sign), _ASCII_MARKS) or kind.startswith("P"):
            spaced.append(f" {sign} ")
        else:
            spaced.append(sign)
    return "".join(spaced).split()


def _within(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(low <= code <= high for low, high in ranges)
