"""Language modelling: masked, on running text in any language, and translation language modelling, on parallel text.

All share one head, so one batch may have sequences of all of them.
"""

from collections.abc import Iterator
from pathlib import Path

from xdist.formats import corpus
from xdist.formats.examples import Line
from xdist.languages import LANGUAGES
from xdist.tasks.catalog.retrieval import NTREX_NAMES
from xdist.tasks.catalog.task import Task
from xdist.tasks.families import WITH_ENGLISH

HEAD = "mlm"
ALL = tuple(LANGUAGES)
BIBLE = ("eu", "gu", "qu", "sw", "uk", "wo")
NTREX_FILES = ("ntrex/NTREX-128/newstest2019-ref.{name}.txt", "ntrex/NTREX-128/newstest2019-src.eng.txt")


def _text(
    name: str,
    place: str,
    languages: tuple[str, ...],
    source: str,
    licence: str,
    fields: tuple[str, ...] = ("text",),
    shares: str = "",
) -> Task:
    return Task(
        name=name,
        family="masked-lm",
        languages=languages,
        files={"train": (place,)},
        read=corpus.blocks,
        fields=fields,
        any_language=True,
        max_length=256,
        shared_head=HEAD,
        train_languages=languages,
        source=source,
        licence=licence,
        shares=shares,
        needs="parallel text" if len(fields) > 1 else "",
        written=WITH_ENGLISH if len(fields) > 1 else (),
    )


def read_aligned(first: Path, second: Path, need_gold: bool = True) -> Iterator[Line]:
    return corpus.aligned(first, second)


TASKS = (
    _text("mlm", "mlm/{language}", ALL, "your own running text: a file or a folder for each language", "yours"),
    _text(
        *("udhr", "mlm/udhr/{language}", ALL),
        "Universal Declaration of Human Rights, texts of UDHR in Unicode: a paragraph a line",
        "not stated",
    ),
    _text(
        *("bible", "mlm/bible/{language}", BIBLE),
        "New Testament (Christodoulopoulos and Steedman 2015): a verse a line, chapters set apart by blank lines",
        "CC0 1.0 as stated by its authors",
        shares="the Bible",
    ),
    _text(
        *("tlm", "tlm/{language}-en", ALL),
        "your own parallel text: the language and English, in two columns or in fields `text` and `translation`",
        "yours",
        ("text", "translation"),
    ),
    Task(
        name="ntrex-tlm",
        family="masked-lm",
        languages=tuple(NTREX_NAMES),
        files={"train": NTREX_FILES},
        names=NTREX_NAMES,
        read=read_aligned,
        max_length=256,
        shared_head=HEAD,
        train_languages=tuple(NTREX_NAMES),
        source="NTREX-128 (Federmann et al. 2022): each sentence with its English translation",
        licence="CC BY-SA 4.0",
        shares="NTREX-128",
        needs="parallel text",
        written=WITH_ENGLISH,
    ),
)
