"""Retrieval of sentences: Tatoeba, BUCC 2018, NTREX-128."""

from collections.abc import Iterator
from pathlib import Path

from xdist.formats import parallel
from xdist.formats.columns import Columns
from xdist.formats.examples import Sentence
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import Task, per_language


def sentence_layer(depth: int) -> int:
    """The layer that sentence vectors are taken from: 8 of 12 for mBERT and 14 of 24 for XLM-R Large, as published, and as far
    up in other encoders. No layer is published for XLM-R base, whose 12 layers get mBERT's 8; XL and XXL get Large's share."""
    return round(depth * 8 / 12) if depth <= 12 else round(depth * 14 / 24)


def mining_task(foreign: Path, english: Path, *development: Path) -> Iterator[tuple[str, Sentence]]:
    """Both sides of a test set, then its development set ("dev-foreign", "dev-english"), which gives the threshold:
    `development` are the other language's, English and gold files, and the test set's own gold if it exists."""
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

# The translations of NTREX-128 by the codes of its files; those of the fifty by theirs, which are all but ht, jv and qu.
NTREX_NAMES = _named("""
af:afr ar:arb az:aze-Latn bg:bul bn:ben de:deu el:ell es:spa et:est eu:eus fa:fas fi:fin fr:fra gu:guj he:heb
hi:hin hu:hun id:ind it:ita ja:jpn ka:kat kk:kaz ko:kor lt:lit ml:mal mr:mar ms:msa my:mya nl:nld pa:pan
pl:pol pt:por ro:ron ru:rus sw:swa ta:tam te:tel th:tha tl:fil tr:tur uk:ukr ur:urd vi:vie wo:wol yo:yor zh:zho-CN
""")
_NTREX_OTHERS = """
amh bak bel bem bod bos cat ces ckb-Arab cym dan div dzo eng-GB eng-IN eng-US ewe fao fij fra-CA fuc gle glg hau hmn hrv hye ibo
isl kan khm kin kir kmr lao lav ltz mey mkd mlg mlt mon mri nde nep nno nob nso nya orm por-BR prs pus shi sin slk slv smo
sna-Latn snd-Arab som spa-MX sqi srp-Cyrl srp-Latn ssw swe tah tat tgk-Cyrl tir ton tsn tuk uig uzb ven xho yue zho-TW zul
"""
NTREX_NAMES |= {code: code for code in _NTREX_OTHERS.split()}
# The columns that mteb's copy has them in, other than xxx_Latn; variants of a language and Estonian it does not have.
_COLUMNS = """
amh_Ethi arb_Arab bak_Cyrl bel_Cyrl ben_Beng bod_Tibt bul_Cyrl ckb_Arab div_Thaa dzo_Tibt ell_Grek fas_Arab guj_Gujr heb_Hebr
hin_Deva hye_Armn jpn_Jpan kan_Knda kat_Geor kaz_Cyrl khm_Khmr kir_Cyrl kor_Hang lao_Laoo mal_Mlym mar_Deva mey_Arab mkd_Cyrl
mon_Mong mya_Mymr nep_Deva orm_Ethi pan_Guru prs_Arab pus_Arab rus_Cyrl shi_Arab sin_Sinh snd_Arab tam_Taml tat_Cyrl tel_Telu
tgk_Cyrl tha_Thai tir_Ethi uig_Arab ukr_Cyrl urd_Arab yue_Hant
"""
_NTREX_COLUMNS = {name[:3]: name for name in _COLUMNS.split()}
_NTREX_COLUMNS |= {"srp-Cyrl": "srp_Cyrl", "zho-CN": "zho_Hans", "zho-TW": "zho_Hant"}
_NTREX_LACKS = ("et", "eng-GB", "eng-IN", "eng-US", "fra-CA", "por-BR", "spa-MX")


def _ntrex_column(name: str) -> str:
    return _NTREX_COLUMNS.get(name) or _NTREX_COLUMNS.get(name[:3], f"{name[:3]}_Latn")


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
        read={"dev": mined_dev, "test": mining_task},
        max_length=512,
        layer=sentence_layer,
        source="BUCC 2018 (Zweigenbaum et al. 2018); dev is the shared task's sample set, test its training set",
    ),
    Task(
        name="ntrex",
        family="sentence-retrieval",
        metric="bitext-accuracy",
        languages=tuple(NTREX_NAMES),
        files={"test": ("ntrex/NTREX-128/newstest2019-ref.{name}.txt", "ntrex/NTREX-128/newstest2019-src.eng.txt")},
        names=NTREX_NAMES,
        read=parallel.read_aligned,
        max_length=512,
        layer=sentence_layer,
        counts={"test": 1_997},
        source="NTREX-128 (Federmann et al. 2022), translations of WMT 2019's English news, read as sentence retrieval",
        licence="CC BY-SA 4.0",
        shares="NTREX-128",
        hub=Hub(
            id="mteb/NTREXBitextMining",
            config="data",
            splits={"test": "test"},
            codes={code: _ntrex_column(name) for code, name in NTREX_NAMES.items()},
            lacks=_NTREX_LACKS,
            columns={
                "foreign": Columns(kind="sentence", texts=("{language}",)),
                "english": Columns(kind="aligned", texts=("eng_Latn",)),
            },
            checked=False,
        ),
    ),
)
