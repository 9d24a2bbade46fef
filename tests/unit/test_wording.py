"""Plain words: phrases that a reader who learnt English later stumbles over, each with the word of the field, are used in no
page, message, help text, comment or docstring."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("xdist", "docs", "jobs", "benchmarks", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
MADE = {"docs/reference.md", "docs/encoders.md"}  # written from sources that are checked themselves

# Each pattern with what to write instead. Code between backquotes is not looked at, nor are names of other projects.
INSTEAD = {
    r"go(es)? on|went on|gone on|going on": "resume (a run), continue",
    r"(is|are|was|were|be|been|being) told|told apart|tells? \w+ apart": "is reported, is shown, gets; is distinguished",
    r"anew": "again, from scratch",
    r"so many (?!that)": "this many, N, up to N",
    r"nobody|somebody|anybody": "no process, others, any; or the passive",
    r"nowhere": "not … anywhere, in none",
    r"(?<!as\x20a\x20)(?<!part\x20/\x20)whole(?!-word)": "complete, intact, full, all of",
    r"of (one's|its|their|your|our|his|my) own"
    r"(?= (and|or|is|are|in|for|with|by|to|as|that|which|at|too|has|have)\b|[^\s\w]|$)": "its own …, separate",
    r"wherever|whatever|whoever|whichever": "where, any, for any, the one that",
    r"(stands?|stood) (in|at|there|here|alone|below|above|before|behind|on|beside|between|twice)": "is in, appears",
    r"l(ie|ies|ay) (in|at|there|here|below|above|beside|between|within|outside|under|inside)": "is in, is below",
    r"made (again|anew)": "recomputed, repeated, prepared again",
    r"bears? it|bear them": "tolerate",
    r"begun": "started",
    r"mistakes?": "error, wrong input",
    r"but for": "except",
    r"as (it|they) came": "unchanged, untrained",
    r"in place of|in its place": "instead of, instead",
    r"asked for|asks for": "requested, needs",
    r"at work": "running",
    r"beside": "next to, in addition to, together with",
    r"alike": "in the same way, equal, similar",
    r"thereby|thereof|hence|whence|lest|nought|unto|upon": "a word of today",
    r"by heart": "memorised",
    r"handed (to|over|in|on)|hands (over|on|it|them)": "passed, submitted",
    r"all its lives|every life|its lives": "starts, restarts",
    r"looked for": "searched",
}
SPACE = r"\s+(?:# )?"  # a phrase may go over the end of a line
PATTERNS = {re.compile(r"\b(?:" + key.replace(" ", SPACE) + r")(?!\w)", re.I): word for key, word in INSTEAD.items()}
ANY = re.compile("|".join(pattern.pattern for pattern in PATTERNS), re.I)
QUOTED = re.compile(r"```.*?```|`[^`]*`|\(https?:[^)]*\)|\]\([^)]*\)|“[^”]*”|<[^>]*>", re.S)


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of what people read in a file: a page as a whole, comments, docstrings, and strings of several words."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield 1, text.split("\n## 0.")[0] if path.name == "CHANGELOG.md" else text
    elif path.suffix == ".j2":
        yield 1, re.sub(r"\{[{%].*?[}%]\}", lambda match: "\n" * match[0].count("\n"), text, flags=re.S)
    elif path.suffix == ".yaml":
        for number, line in enumerate(text.splitlines(), 1):
            yield number, line.partition("#")[2]
    else:
        yield from _of_python(text)


def _of_python(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
        elif token.type == tokenize.STRING and " " in token.string.strip("rbfu'\" \n"):
            said = re.sub(r"\{[^{}]*\}", "", token.string) if "f" in token.string[:2].lower() else token.string
            yield token.start[0], said


def found(path: Path) -> list[str]:
    """A line for each banned phrase in a file, with its place and what to write instead."""
    if not ANY.search(path.read_text(encoding="utf-8")):  # most files: nothing need be taken apart
        return []
    lines = []
    for first, text in _prose(path):
        shown = QUOTED.sub(lambda match: "\n" * match[0].count("\n"), text)
        for pattern, word in PATTERNS.items():
            for match in pattern.finditer(shown):
                if match[0].isupper():  # a constant
                    continue
                number = first + shown.count("\n", 0, match.start())
                lines.append(f"{path}:{number}: “{' '.join(match[0].split())}”: write {word}")
    return lines


def _files(place: str) -> list[Path]:
    path = ROOT / place
    files = (
        [path] if path.is_file() else [one for one in sorted(path.rglob("*")) if one.suffix in {".py", ".md", ".yaml", ".j2"}]
    )
    return [one for one in files if str(one.relative_to(ROOT)) not in MADE]


@pytest.mark.parametrize("place", PLACES)
def test_pages_messages_and_comments_use_plain_words(place: str) -> None:
    lines = [line.replace(f"{ROOT}/", "") for path in _files(place) for line in found(path)]
    assert not lines, f"{len(lines)} phrases:\n" + "\n".join(lines)


def test_a_phrase_is_found_and_quoted_ones_are_not(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("A run goes\non. `it goes on` and [one](goes on) are quoted.\n", encoding="utf-8")
    assert found(page) == [f"{page}:1: “goes on”: write resume (a run), continue"]
    code = tmp_path / "code.py"
    code.write_text('x = f"it is {whole} here"  # of its own\ny = "whole"\n', encoding="utf-8")
    assert found(code) == [f"{code}:1: “of its own”: write its own …, separate"]
