"""Papers as BibTeX. Which paper a task or a method comes from is written with it, by arXiv number or author and year; what is
known of that paper is in bibliography.yaml."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from xdist.config.loading import load
from xdist.config.section import Section
from xdist.version import __version__

PLACE = Path(__file__).with_name("bibliography.yaml")
ARXIV = re.compile(r"\b(\d{4}\.\d{4,5})\b")
OTHERS = "others"
SPECIAL = {**{sign: f"\\{sign}" for sign in "%&$#_"}, "\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
HOME = "https://pypi.org/project/xdist-xtreme"

PaperField = Literal["title", "authors", "year", "arxiv", "venue", "url"]
TOLD: tuple[PaperField, ...] = get_args(PaperField)


class Paper(Section):
    title: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    arxiv: str | None = Field(None, pattern=ARXIV.pattern)
    venue: str = ""
    url: str = ""
    note: str = ""
    said: tuple[str, ...] = Field((), description="words by which a source names it, in addition to its arXiv number")
    encoders: tuple[str, ...] = Field((), description="parts of the names of encoders that it presents")
    checked: Literal["all"] | tuple[PaperField, ...] = Field((), description="what was compared with how others cite it")

    @property
    def unchecked(self) -> list[str]:
        """The parts of it that are from memory."""
        told = [name for name in TOLD if getattr(self, name)]
        return [] if self.checked == "all" else [name for name in told if name not in self.checked]


class Bibliography(Section):
    papers: dict[str, Paper]


@cache
def papers() -> Mapping[str, Paper]:
    """By their keys."""
    return load(Bibliography, PLACE)[0].papers


def named_in(text: str) -> dict[str, Paper]:
    """The papers that a source names, in their order in it; one that is not known has its arXiv number alone."""
    at: dict[str, int] = {}
    by_number = {one.arxiv: key for key, one in papers().items() if one.arxiv}
    papers_found: dict[str, Paper] = {}
    for number in ARXIV.finditer(text):
        key = by_number.get(number[1], f"arxiv-{number[1]}")
        papers_found[key] = papers().get(key) or Paper(title=f"arXiv {number[1]}", arxiv=number[1], checked="all")
        at.setdefault(key, number.start())
    for key, one in papers().items():
        places = [text.index(words) for words in one.said if words in text]
        if places:
            papers_found[key] = one
            at[key] = min(places)
    return {key: papers_found[key] for key in sorted(papers_found, key=lambda key: at[key])}


def of_encoder(name: str) -> dict[str, Paper]:
    """The paper of an encoder, by its name: the one with the longest part that fits."""
    parts = {part: key for key, paper in papers().items() for part in paper.encoders if part in name.lower()}
    return {parts[longest]: papers()[parts[longest]]} if (longest := max(parts, key=len, default="")) else {}


def as_it_says(name: str, source: str) -> dict[str, Paper]:
    """For what names no paper: an entry with what its source says."""
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "source"
    return {key: Paper(title=name, note="" if source == name else source, checked="all")}


def xdist_itself() -> dict[str, Paper]:
    about = {"title": "xdist: multilingual intermediate and robust training on DeepSpeed", "note": f"version {__version__}"}
    return {"xdist": Paper.model_validate({**about, "authors": ("{The xdist authors}",), "url": HOME, "checked": "all"})}


def bibtex(key: str, paper: Paper) -> str:
    """One entry. Capitals of titles stay, since names of data sets are not words."""
    kind = "inproceedings" if paper.venue and paper.venue != "TACL" else "article" if paper.venue else "misc"
    fields = {
        "title": f"{{{_escaped(paper.title)}}}",
        "author": " and ".join(map(_escaped, paper.authors)),
        "year": str(paper.year or ""),
        {"article": "journal"}.get(kind, "booktitle"): _escaped(paper.venue),
        "eprint": paper.arxiv or "",
        "archiveprefix": "arXiv" if paper.arxiv else "",
        "url": paper.url,
        "note": _escaped(paper.note),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _escaped(text: str) -> str:
    """Characters with a meaning in TeX; braces of a name that is no person's stay."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)
