"""Links of words in the form of Pharaoh, as fast_align and awesome-align write them: a line for each pair of sentences, and in
it `i-j` for each link of word i of the first text to word j of the second, from 0, words being what white space parts.
"""

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from xdist.errors import UserError, cut
from xdist.formats.examples import Line

LINK = re.compile(r"(\d{1,6})[-p](\d{1,6})")  # `p`: a possible link, of alignments made by hand
LOOKED_AT = 1000  # lines that are checked before a run starts


class LinkFile:
    """A file of links, of which 8 bytes a line are kept in memory. Raises UserError where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        self._text = np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.zeros(0, np.uint8)
        ends = np.flatnonzero(self._text == ord("\n"))
        if len(self._text) and (not len(ends) or ends[-1] != len(self._text) - 1):
            ends = np.append(ends, len(self._text))
        self._ends = ends

    def __len__(self) -> int:
        """Its lines."""
        return len(self._ends)

    def links(self, line: int) -> list[tuple[int, int]]:
        """Those of a line, from 0. Raises UserError for what is no link, and a line that it does not have."""
        if line >= len(self):
            raise UserError(f"{self.path}: {len(self)} lines, but its text has a line {line + 1}")
        begin = 0 if line == 0 else int(self._ends[line - 1]) + 1
        written = self._text[begin : int(self._ends[line])].tobytes().decode(errors="replace").split()
        found = []
        for word in written:
            if not (match := LINK.fullmatch(word)):
                raise UserError(f"{self.path}:{line + 1}: expected links such as 0-0 1-2, found '{cut(word)}'")
            found.append((int(match[1]), int(match[2])))
        return found

    def check(self, line: int, links: Iterable[tuple[int, int]], words: tuple[int, int]) -> None:
        """Raises UserError for a link to a word that the two texts of a line, of this many `words`, do not have."""
        for link in links:
            for number, there, which in zip(link, words, ("first", "second"), strict=True):
                if number >= there:
                    raise UserError(
                        f"{self.path}:{line + 1}: {link[0]}-{link[1]}: the {which} text of line {line + 1} has {there} words"
                    )

    def check_against(self, lines: Iterable[Line]) -> None:
        """The same for the first LOOKED_AT lines of parallel text."""
        for one in islice(lines, LOOKED_AT):
            links = self.links(one.number - 1)
            self.check(one.number - 1, links, (len(one.text.split()), len((one.translation or "").split())))
