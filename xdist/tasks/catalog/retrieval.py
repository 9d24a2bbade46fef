"""Retrieval: Tatoeba."""

from collections.abc import Iterator
from pathlib import Path

from xdist.formats import parallel
from xdist.formats.columns import Columns
from xdist.formats.examples import Sentence
from xdist.tasks.catalog.task import Hub, Task, per_language


def both_sides(foreign: Path, english: Path, labels: Path | None = None) -> Iterator[tuple[str, Sentence]]:
    yield from (("foreign", sentence) for sentence in parallel.read_tatoeba(foreign))
    yield from (("english", sentence) for sentence in parallel.read_tatoeba(english, labels=labels))


# The names that the Tatoeba files of LASER, and the hub's copy of them, give the languages.
_NAMES = """
ar:ara he:heb vi:vie id:ind jv:jav tl:tgl eu:eus ml:mal ta:tam te:tel af:afr nl:nld de:deu el:ell
bn:ben hi:hin mr:mar ur:urd fa:pes fr:fra it:ita pt:por es:spa bg:bul ru:rus ja:jpn ka:kat ko:kor
th:tha sw:swh zh:cmn kk:kaz tr:tur et:est fi:fin hu:hun az:aze lt:lit pl:pol uk:ukr ro:ron
"""
CODES = {code: name for code, _, name in (entry.partition(":") for entry in _NAMES.split())}
_FEWER = per_language("jv 205 te 234 ta 307 sw 390 th 548 kk 575 ml 687 ka 746")

TASKS = (
    Task(
        name="tatoeba",
        family="sentence-retrieval",
        metric="accuracy",
        languages=tuple(CODES),
        files={
            "test": (
                "tatoeba/{language}-en.{language}",
                "tatoeba/{language}-en.en",
                "labels/tatoeba/test-{language}.tsv",
            )
        },
        read=both_sides,
        max_length=512,
        trained_on=("squad",),
        counts={"test": {code: _FEWER.get(code, 1000) for code in CODES}},
        source="Tatoeba sentence pairs selected for LASER (Artetxe and Schwenk 2019, arXiv 1812.10464)",
        licence="CC BY 2.0 FR",
        hub=Hub(
            id="mteb/tatoeba-bitext-mining",
            config="{language}-eng",
            codes=CODES,
            splits={"test": "test"},
            columns={
                "foreign": Columns(kind="sentence", texts=("sentence1",)),
                "english": Columns(kind="aligned", texts=("sentence2",)),
            },
        ),
    ),
)
