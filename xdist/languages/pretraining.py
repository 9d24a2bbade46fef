"""How much text an encoder has read of each language: a list for each family of encoders, or one of a user's own.

Groups: unseen (nothing), low, mid, high by the bounds of the list; `seen` where a list says which languages, not how much;
`unknown` where it is not published, and for what is no language. A list is a text file of `code size` lines (`read/`): a code
alone was read, how much is not known of it; `code ?` may have been read. Lines of one language are added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from xdist.errors import UserError, unknown
from xdist.languages.codes import find_language, language

GROUPS = ("unseen", "low", "mid", "high")
SEEN, UNKNOWN = "seen", "unknown"
EVERY_GROUP = ("unseen", "low", SEEN, "mid", "high", UNKNOWN)
TAIL, HEAD = ("unseen", "low"), (SEEN, "mid", "high")
PLACE = Path(__file__).parent / "read"
NAMES = ("cc100", "wikipedia", "mmbert", "glot500")
NONE = "none"
UNSURE = "?"
HEADER = {"title": str, "source": str, "unit": str, "low": float, "mid": float, "scripts": str}


@dataclass(frozen=True)
class Pretraining:
    """`sizes` by code in `unit`; None: read, how much is not known; what is not listed was not read. `low` and `mid` are the
    upper bounds of two groups, `unsure` codes that may have been read. `by_script`: the list distinguishes scripts; else
    nothing is known of a language in another script than its usual one."""

    name: str
    title: str = ""
    source: str = ""
    unit: str = "GiB"
    low: float = 5.0
    mid: float = 50.0
    sizes: Mapping[str, float | None] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()
    by_script: bool = True

    @cached_property
    def _by_key(self) -> dict[tuple[str, str], float | None]:
        sums: dict[tuple[str, str], float | None] = {}
        for code, size in self.sizes.items():
            key = language(code).key
            before = sums.get(key)
            sums[key] = before if size is None else size + (before or 0.0)
        return sums

    @cached_property
    def _unsure(self) -> set[tuple[str, str]]:
        return {language(code).key for code in self.unsure}

    @cached_property
    def _isos(self) -> set[str]:
        return {iso for iso, _ in self._by_key}

    @property
    def known(self) -> bool:
        """Whether anything is known of what the encoder read."""
        return bool(self.sizes)

    @property
    def sized(self) -> bool:
        """Whether it is known how much of any language it read."""
        return any(size is not None for size in self.sizes.values())

    def size(self, code: str) -> float | None:
        """How much of a language in any code, in `unit`; None where it is not known. A language in another script than was read
        is unseen."""
        one = find_language(code)
        if one is None or self.group(code) in (UNKNOWN, SEEN):
            return None
        return self._by_key.get(one.key) or 0.0

    def group(self, code: str) -> str:
        one = find_language(code)
        if one is None or not self.known:
            return UNKNOWN
        if one.key in self._by_key:
            size = self._by_key[one.key]
            return SEEN if size is None else "low" if size < self.low else "mid" if size < self.mid else "high"
        elsewhere = not self.by_script and one.iso in self._isos
        return UNKNOWN if elsewhere or one.key in self._unsure else "unseen"

    def meaning(self, group: str) -> str:
        """What a group is, in a few words."""
        return {
            "unseen": f"no text of it in {self.title}",
            "low": f"under {self.low:,g} {self.unit}",
            "mid": f"{self.low:,g} to under {self.mid:,g} {self.unit}",
            "high": f"{self.mid:,g} {self.unit} and more",
            SEEN: "read, how much is not known",
            UNKNOWN: "what was read of it is not known",
        }[group]

    @property
    def said(self) -> str:
        """What groups of this list rest on, a sentence."""
        if not self.known:
            return "What the encoder has read of each language is not known, so all groups are unknown (see model.pretraining)."
        return f"Resource groups follow {self.title}, which the encoder was pre-trained on."

    @property
    def record(self) -> dict[str, Any]:
        """What scores.json keeps: the name of one of ours, the complete content of another."""
        if self.name in (*NAMES, NONE):
            return {"name": self.name}
        whole = {key: getattr(self, key) for key in ("name", "title", "source", "unit", "low", "mid", "by_script")}
        return {**whole, "sizes": dict(self.sizes), "unsure": list(self.unsure)}


NOBODY_KNOWS = Pretraining(NONE, "not known")


@cache
def shipped_list(name: str) -> Pretraining:
    """One of ours by its name."""
    return NOBODY_KNOWS if name == NONE else read_list(PLACE / f"{name}.txt", name)


def find_list(name: str) -> Pretraining:
    """One of ours by its name, or a file. Raises UserError for what is neither, and for a file that is no list."""
    if name in (*NAMES, NONE):
        return shipped_list(name)
    if Path(name).is_file():
        return read_list(Path(name))
    raise UserError(f"{unknown('pre-training list', name, (*NAMES, NONE))}; nor is it a file of `code size` lines")


def recorded_list(record: Mapping[str, Any] | None) -> Pretraining:
    """Of scores.json. Those of versions that kept none were grouped by CC-100. Raises UserError for what is no record."""
    if record is None:
        return CC100
    try:
        if set(record) == {"name"}:
            return shipped_list(record["name"]) if record["name"] in (*NAMES, NONE) else Pretraining(NONE, str(record["name"]))
        one = Pretraining(**{**record, "unsure": tuple(record["unsure"])})
        for code in (*one.sizes, *one.unsure):
            language(code)
        return one
    except (TypeError, KeyError) as error:
        raise UserError(f"pretraining: is no list of what an encoder has read ({error})") from None


def read_list(path: Path, name: str = "") -> Pretraining:
    """A list from a file. Raises UserError naming file and line."""
    head: dict[str, Any] = {"title": path.stem}
    sizes: dict[str, float | None] = {}
    unsure: list[str] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if line.startswith("#"):
            key, colon, value = line[1:].partition(":")
            if colon and key.strip() in HEADER:
                head[key.strip()] = _header(where, key.strip(), value.strip())
        elif words := line.split():
            code, size = _entry(where, words)
            if size == UNSURE:
                unsure.append(code)
            else:
                sizes[code] = float(size) + (sizes.get(code) or 0.0) if size else sizes.get(code)
    if not sizes:
        raise UserError(f"{path}: lists no language; expected lines such as `yo 0.3`")
    by_script = head.pop("scripts", "known") not in ("not known", "not known")
    return Pretraining(name or str(path), **head, sizes=sizes, unsure=tuple(unsure), by_script=by_script)


def _entry(where: str, words: list[str]) -> tuple[str, str]:
    """(code, its size or '?', empty where none is given)."""
    code, size, *more = (*words, "") if len(words) == 1 else words
    if more:
        raise UserError(f"{where}: expected a code and a size, found {len(words)} words")
    try:
        language(code)
        if size not in ("", UNSURE) and not 0 <= float(size) < float("inf"):
            raise ValueError
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except ValueError:
        raise UserError(f"{where}: '{size}' is no size; expected a number from 0 on, `?` or nothing") from None
    return code, size


def _header(where: str, key: str, value: str) -> str | float:
    try:
        number: str | float = HEADER[key](value)
        return number
    except ValueError:
        raise UserError(f"{where}: {key}: expected a number, found '{value}'") from None


CC100 = shipped_list("cc100")
