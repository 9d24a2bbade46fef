"""Retrieval of sentences: Tatoeba, BUCC 2018, NTREX-128."""

from collections.abc import Iterator
from pathlib import Path

from xdist.formats import parallel
from xdist.formats.columns import Columns
from xdist.formats.examples import Sentence
from xdist.tasks.catalog.task import Hub, Task, per_language


def sentence_layer(depth: int) -> int:
    """The layer that sentence vectors are taken from: 8 of 12 for mBERT and 14 of 24 for XLM-R Large, as published, and as far
    up in other encoders. No layer is published for XLM-R base, whose 12 layers get mBERT's 8; XL and XXL get Large's share."""
    return round(depth * 8 / 12) if depth <= 12 else round(depth * 14 / 24)


def mined(foreign: Path, english: Path, *development: Path) -> Iterator[tuple[str, Sentence]]:
    """Both sides of a test set, then its development set ("dev-foreign", "dev-english"), which gives the threshold:
    `development` are foreign, English and gold files, and the test set's own gold if it is there."""
    dev_foreign, dev_english, dev_gold, *gold = development
    yield from parallel.read_bucc_sides(foreign, english, *gold)
    for side, sentence in parallel.read_bucc_sides(dev_foreign, dev_english, dev_gold):
        yield f"dev-{side}", sentence


def mined_dev(foreign: Path, english: Path, gold: Path, need_gold: bool = True) -> Iterator[tuple[str, Sentence]]:
    return parallel.read_bucc_sides(foreign, english, gold)


def _named(text: str) -> dict[str, str]:
    """{"ar": "ara", …} from "ar:ara …"."""
    return {code: name for code, _, name in (entry.partition(":") for entry in text.split())}


# The names that the Tatoeba files of LASER, and the hub's copy of them, give the languages.
CODES = _named("""
ar:ara he:heb vi:vie id:ind jv:jav tl:tgl eu:eus ml:mal ta:tam te:tel af:afr nl:nld de:deu el:ell
bn:ben hi:hin mr:mar ur:urd fa:pes fr:fra it:ita pt:por es:spa bg:bul ru:rus ja:jpn ka:kat ko:kor
th:tha sw:swh zh:cmn kk:kaz tr:tur et:est fi:fin hu:hun az:aze lt:lit pl:pol uk:ukr ro:ron
""")
_FEWER = per_language("jv 205 te 234 ta 307 sw 390 th 548 kk 575 ml 687 ka 746")
_BUCC_DEV = (
    "bucc2018/{language}-en.dev.{language}",
    "bucc2018/{language}-en.dev.en",
    "bucc2018/{language}-en.dev.gold",
)

# All of the fifty but ht, jv and qu, which NTREX-128 does not have.
NTREX_NAMES = _named("""
af:afr ar:arb az:aze-Latn bg:bul bn:ben de:deu el:ell es:spa et:est eu:eus fa:fas fi:fin fr:fra gu:guj he:heb
hi:hin hu:hun id:ind it:ita ja:jpn ka:kat kk:kaz ko:kor lt:lit ml:mal mr:mar ms:msa my:mya nl:nld pa:pan
pl:pol pt:por ro:ron ru:rus sw:swa ta:tam te:tel th:tha tl:fil tr:tur uk:ukr ur:urd vi:vie wo:wol yo:yor zh:zho-CN
""")

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
            )
        },
        gold={"test": "labels/tatoeba/test-{language}.tsv"},
        read=parallel.read_sides,
        max_length=512,
        layer=sentence_layer,
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
    Task(
        name="bucc2018",
        family="bitext-mining",
        metric="pair-f1",
        languages=("de", "fr", "ru", "zh"),
        files={
            "dev": _BUCC_DEV,
            "test": ("bucc2018/{language}-en.test.{language}", "bucc2018/{language}-en.test.en", *_BUCC_DEV),
        },
        gold={"test": "labels/bucc2018/test-{language}.tsv"},
        read={"dev": mined_dev, "test": mined},
        max_length=512,
        layer=sentence_layer,
        source="BUCC 2018 (Zweigenbaum et al. 2018); dev is the shared task's sample set, test its training set",
    ),
    Task(
        name="ntrex",
        family="sentence-retrieval",
        metric="accuracy",
        languages=tuple(NTREX_NAMES),
        files={"test": ("ntrex/NTREX-128/newstest2019-ref.{name}.txt", "ntrex/NTREX-128/newstest2019-src.eng.txt")},
        names=NTREX_NAMES,
        read=parallel.read_aligned,
        max_length=512,
        layer=sentence_layer,
        counts={"test": 1_997},
        source="NTREX-128 (Federmann et al. 2022), translations of WMT 2019's English news, read as sentence retrieval",
        licence="CC BY-SA 4.0",
    ),
)
