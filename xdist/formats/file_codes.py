"""The codes of languages in the names of files that a user has named."""

import re
from pathlib import Path

from xdist.languages import code_among

MARK = "{language}"
CODE = r"([A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{2,8})*)"


def code_in_files(pattern: Path, language: str, endings: bool = False) -> str:
    """The code by which the files at `pattern`, with `{language}` in its last part, name a language in any code; `language`
    where none of them does. `endings`: their names have any ending in addition."""
    before, mark, after = pattern.name.partition(MARK)
    if not mark or not pattern.parent.is_dir():
        return language
    name = re.compile(f"{re.escape(before)}{CODE}{re.escape(after)}" + (r"(?:\..*)?" if endings else ""))
    names = sorted(path.name for path in pattern.parent.iterdir())
    return code_among(tuple(dict.fromkeys(found[1] for one in names if (found := name.fullmatch(one)))), language) or language
