"""XGLUE (Liang et al. 2020, arXiv 2004.01401): nine understanding tasks, trained in English and scored in nineteen languages.

The files are those of the released archive, `xglue_full_dataset/`; QG and NTG need a decoder and are left out. Its POS and
PAWS-X are not those of XTREME: one treebank a language, and four languages of seven.
"""

from functools import partial

from xdist.formats import classification, squad, xglue
from xdist.formats.columns import Columns
from xdist.formats.tagging import UPOS_TAGS
from xdist.metrics import metric
from xdist.metrics.average import Average, TaskScores, benchmark
from xdist.tasks.catalog.classification import HUB_NLI, NLI
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import Task, per_language

ROOT = "xglue_full_dataset"
HUB_ID = "hgissbkh/xglue"  # Parquet files made by the hub's own script
TERMS = "XGLUE's terms: non-commercial research"
NER_TAGS = ("O", *(f"{mark}-{kind}" for kind in ("PER", "ORG", "LOC", "MISC") for mark in "BI"))
TOPICS = (
    *("foodanddrink", "sports", "travel", "finance", "lifestyle"),
    *("news", "entertainment", "health", "video", "autos"),
)
GRADES = ("0", "1", "2", "3", "4")
POS_LANGUAGES = (
    *("ar", "bg", "de", "el", "en", "es", "fr", "hi", "it", "nl"),
    *("pl", "pt", "ru", "th", "tr", "ur", "vi", "zh"),
)


def _hub(config: str, columns: Columns, lost: int = 0, lacks: tuple[str, ...] = ()) -> Hub:
    splits = {"train": "train", "dev": "validation.{language}", "test": "test.{language}"}
    return Hub(id=HUB_ID, config=config, splits=splits, columns=columns, lost=lost, lacks=lacks, checked=False)


def _files(folder: str, pattern: str, train: str | None = None) -> dict[str, tuple[str, ...]]:
    """`pattern` with `{split}` filled in, `train` instead for that split."""
    names = {split: pattern.replace("{split}", split) for split in ("train", "dev", "test")}
    return {split: (f"{ROOT}/{folder}/{train if train and split == 'train' else name}",) for split, name in names.items()}


def _searched(name: str, text: str) -> dict[str, tuple[str, ...]]:
    return _files(text, f"xglue.{name}.{{language}}.{{split}}")


def _named(*names: str, labels: tuple[str, ...], texts: tuple[str, ...], gold: str, titled: bool = False) -> Columns:
    """Columns of a file that calls the `labels` by other `names`."""
    return Columns(kind="titled" if titled else "classified", texts=texts, gold=gold, names=names, labels=labels)


TASKS = (
    Task(
        name="xglue-ner",
        family="tagging",
        metric="seqeval-0.0.12",
        languages=("de", "en", "es", "nl"),
        files=_files("NER", "{language}.{split}"),
        read=partial(xglue.read_tagged, tags=NER_TAGS),
        labels=NER_TAGS,
        max_length=256,
        trained_on=("xglue-ner",),
        counts={
            "train": {"en": 14_042},
            "dev": per_language("en 3252 de 2874 es 1923 nl 2895"),
            "test": per_language("en 3454 de 3007 es 1523 nl 5202"),
        },
        source="XGLUE NER: CoNLL-2002 and CoNLL-2003 (Tjong Kim Sang 2002; with De Meulder 2003)",
        licence="per corpus",
        hub=_hub("ner", Columns(kind="tagged", texts=("words",), gold="ner")),
    ),
    Task(
        name="xglue-pos",
        family="tagging",
        metric="xglue-pos",
        languages=POS_LANGUAGES,
        files=_files("POS", "{language}.{split}"),
        read=partial(xglue.read_tagged, tags=UPOS_TAGS),
        labels=UPOS_TAGS,
        shared_head="udpos",
        trained_on=("xglue-pos",),
        counts={
            "train": {"en": 25_377},
            "dev": per_language(
                """
                ar 909 bg 1115 de 799 el 403 en 2002 es 1400 fr 1476 hi 1659 it 564 nl 718 pl 2215 pt 1210 ru 579 th 498
                tr 988 ur 552 vi 800 zh 500
                """
            ),
            "test": per_language(
                """
                ar 680 bg 1116 de 977 el 456 en 2077 es 426 fr 416 hi 1684 it 482 nl 596 pl 2215 pt 1204 ru 601 th 498
                tr 983 ur 535 vi 800 zh 500
                """
            ),
        },
        source="XGLUE POS: one treebank a language of Universal Dependencies 2.5; Thai dev is its test. The hub's copy has no "
        "pt, and its script lost the last sentence of every file",
        licence="per treebank, several non-commercial",
        hub=_hub("pos", Columns(kind="tagged", texts=("words",), gold="pos"), lost=1, lacks=("pt",)),
    ),
    Task(
        name="xglue-nc",
        family="classification",
        metric="accuracy",
        languages=("de", "en", "es", "fr", "ru"),
        files=_searched("nc", "NC"),
        read=partial(classification.read, labels=TOPICS),
        labels=TOPICS,
        max_length=256,
        trained_on=("xglue-nc",),
        counts={"train": {"en": 100_000}, "dev": 10_000, "test": 10_000},
        source="XGLUE NC: the category of a news article by its title and body",
        licence=TERMS,
        hub=_hub("nc", Columns(kind="classified", texts=("news_title", "news_body"), gold="news_category")),
    ),
    Task(
        name="xglue-mlqa",
        family="span-qa",
        metric="mlqa",
        languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
        files=_files(
            "MLQA", "MLQA_V1/{split}/{split}-context-{language}-question-{language}.json", train="squad1.1/train-v1.1.json"
        ),
        spelt={"MLQA_V1": "MLQA_v1"},
        read=squad.read,
        extension="json",
        max_length=384,
        shared_head="squad",
        trained_on=("xglue-mlqa",),
        counts={
            "train": {"en": 87_599},
            "dev": per_language("ar 517 de 512 en 1148 es 500 hi 507 vi 511 zh 504"),
            "test": per_language("ar 5335 de 4517 en 11590 es 5253 hi 4918 vi 5495 zh 5137"),
        },
        source="XGLUE MLQA: MLQA (Lewis et al. 2020, arXiv 1910.07475), trained on SQuAD 1.1; F1 alone counts",
        licence="CC BY-SA",
        hub=_hub("mlqa", Columns(kind="question", texts=("question", "context"), gold="answers")),  # no ids: rows are counted
    ),
    Task(
        name="xglue-xnli",
        family="classification",
        metric="accuracy",
        languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
        files=_files("XNLI", "{language}.{split}", train="multinli.train.{language}.tsv"),
        read={
            "train": partial(classification.read_published, form=classification.MULTINLI, labels=NLI),
            "dev": partial(classification.read, labels=NLI),
            "test": partial(classification.read, labels=NLI),
        },
        labels=NLI,
        max_length=256,
        shared_head="xnli",
        trained_on=("xglue-xnli",),
        counts={"train": {"en": 392_702}, "dev": 2_490, "test": 5_010},
        source="XGLUE XNLI: XNLI (Conneau et al. 2018, arXiv 1809.05053)",
        licence="CC BY-NC 4.0",
        hub=_hub("xnli", HUB_NLI),
    ),
    Task(
        name="xglue-pawsx",
        family="classification",
        metric="accuracy",
        languages=("de", "en", "es", "fr"),
        files=_files("PAWSX", "{language}/{split}_2k.tsv", train="{language}/train.tsv"),
        read=partial(classification.read_published, form=classification.PAWSX, labels=("0", "1")),
        labels=("0", "1"),
        max_length=256,
        shared_head="pawsx",
        trained_on=("xglue-pawsx",),
        counts={"train": {"en": 49_401}, "dev": 2_000, "test": 2_000},
        source="XGLUE PAWSX: PAWS-X (Yang et al. 2019, arXiv 1908.11828) in four of its seven languages",
        licence="free for any purpose",
        hub=_hub("paws-x", _named("different", "same", labels=("0", "1"), texts=("sentence1", "sentence2"), gold="label")),
    ),
    Task(
        name="xglue-qadsm",
        family="classification",
        metric="accuracy",
        languages=("de", "en", "fr"),
        files=_searched("qadsm", "QADSM"),
        read=partial(xglue.read_three, labels=("Bad", "Good")),
        labels=("Bad", "Good"),
        max_length=256,
        trained_on=("xglue-qadsm",),
        counts={"train": {"en": 100_000}, "dev": 10_000, "test": 10_000},
        source="XGLUE QADSM: does an advertisement (title and description) fit a query?",
        licence=TERMS,
        hub=_hub(
            "qadsm",
            Columns(
                kind="titled", texts=("query", "ad_title", "ad_description"), gold="relevance_label", names=("Bad", "Good")
            ),
        ),
    ),
    Task(
        name="xglue-wpr",
        family="classification",
        metric="ndcg",
        languages=("de", "en", "es", "fr", "it", "pt", "zh"),
        files=_searched("wpr", "WPR"),
        read=partial(xglue.read_three, labels=GRADES),
        labels=GRADES,
        max_length=256,
        trained_on=("xglue-wpr",),
        counts={
            "train": {"en": 99_997},
            "dev": per_language("de 10004 en 10008 es 10004 fr 10005 it 10003 pt 10001 zh 10002"),
            "test": per_language("de 9997 en 10004 es 10006 fr 10020 it 10001 pt 10015 zh 9999"),
        },
        source="XGLUE WPR: how far a page (title and snippet) answers a query, 0 to 4",
        licence=TERMS,
        hub=_hub(
            "wpr",
            _named(
                *("Bad", "Fair", "Good", "Excellent", "Perfect"),
                labels=GRADES,
                texts=("query", "web_page_title|wed_page_title", "web_page_snippet"),
                gold="relavance_label",
                titled=True,
            ),
        ),
    ),
    Task(
        name="xglue-qam",
        family="classification",
        metric="accuracy",
        languages=("de", "en", "fr"),
        files=_searched("qam", "QAM"),
        read=partial(classification.read, labels=("0", "1")),
        labels=("0", "1"),
        max_length=256,
        trained_on=("xglue-qam",),
        counts={"train": {"en": 100_000}, "dev": 10_000, "test": 10_000},
        source="XGLUE QAM: does a passage answer a question?",
        licence=TERMS,
        hub=_hub("qam", _named("False", "True", labels=("0", "1"), texts=("question", "answer|annswer"), gold="label")),
    ),
)

# The nine whose mean XGLUE calls understanding, and the four that are its own.
UNDERSTANDING = tuple(task.name for task in TASKS)
UNIQUE = ("xglue-nc", "xglue-qadsm", "xglue-wpr", "xglue-qam")
# How the release and submissions call the folder of each.
FOLDERS = {
    task.name: folder
    for task, folder in zip(TASKS, ("NER", "POS", "NC", "MLQA", "XNLI", "PAWSX", "QADSM", "WPR", "QAM"), strict=True)
}
MEANS = {"understanding": UNDERSTANDING, "unique": UNIQUE}


def averages(scores: TaskScores) -> dict[str, Average]:
    """The means of XGLUE by name, each over exactly its tasks and all their languages; of answers F1 alone counts. Empty where
    no task of it has scores."""
    tasks = {task.name: task for task in TASKS}
    mine = {name: of_task for name, of_task in scores.items() if name in tasks}
    if not mine:
        return {}
    languages = {name: task.languages for name, task in tasks.items()}
    metrics = {name: metric(task.metric) for name, task in tasks.items()}
    return {mean: benchmark(mine, {name: languages[name] for name in names}, metrics, "f1") for mean, names in MEANS.items()}
