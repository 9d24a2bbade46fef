"""What a word of YAML is, by the core rules of YAML 1.2 and one of ours: a number that begins with a zero is text.

So `no`, `on`, `1:30`, `2024-05-01`, `1_000` and `010` are text, `1e-4` is a number, `true` and `false` alone are booleans.
"""

import re
from dataclasses import dataclass

Value = str | int | float | bool | None

NULLS = {"", "~", "null", "Null", "NULL"}
BOOLEANS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
LEADING_ZERO = re.compile(r"[-+]?0[0-9]")
WHOLE = re.compile(r"[-+]?[0-9]+")
OTHER_BASES = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
DIGITS = 4000  # Python reads no longer ones


@dataclass(frozen=True, slots=True)
class Scalar:
    """A word or line of YAML as it is written, and what YAML takes it for. Which of the two counts, the key says
    (xdist.config.fitting). `wrong`: why it is neither there."""

    written: str
    value: Value
    wrong: str = ""

    def __str__(self) -> str:
        return self.written


def unquoted(text: str) -> Scalar:
    return Scalar(text, scalar_value(text))


def quoted(text: str) -> Scalar:
    return Scalar(text, text)


def tagged(text: str, tag: str) -> Scalar | None:
    """`text` behind a tag such as `!!int`, which says what it is; None where it is not, or where the core rules have no such
    tag."""
    if tag == "str":
        return quoted(text)
    kinds: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
    kind, value = kinds.get(tag), scalar_value(text)
    if kind is None or not isinstance(value, kind) or (isinstance(value, bool) and tag != "bool"):
        return None
    return Scalar(text, float(value) if tag == "float" and isinstance(value, int) else value)


def scalar_value(text: str) -> Value:
    """What `text` without quotes stands for."""
    if text in NULLS:
        return None
    if text in BOOLEANS:
        return BOOLEANS[text]
    if LEADING_ZERO.match(text) or len(text) > DIGITS:
        return text
    if WHOLE.fullmatch(text):
        return int(text)
    if OTHER_BASES.fullmatch(text):
        return int(text, 0)
    if NUMBER.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if ENDLESS.fullmatch(text) else text
