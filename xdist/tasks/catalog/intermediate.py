"""Classification of pairs that encoders are trained on before their target: MultiNLI, SNLI, ANLI, QQP, RTE.

Each in English as published and, where files exist, in any other language, in the same format. NLI shares XNLI's head.
"""

from functools import partial

from xdist.formats import classification, nli
from xdist.formats.columns import Columns
from xdist.tasks.catalog.classification import HUB_NLI, NLI
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import Task

QQP_LABELS = ("not_duplicate", "duplicate")
RTE_LABELS = ("entailment", "not_entailment")
# -1 where annotators did not agree.
AGREED_NLI = Columns(kind=HUB_NLI.kind, texts=HUB_NLI.texts, gold=HUB_NLI.gold, names=HUB_NLI.names, agreed=True)


def _rounds(split: str) -> tuple[str, ...]:
    return tuple(f"anli_v1.0/R{number}/{split}.jsonl" for number in (1, 2, 3))


TASKS = (
    Task(
        name="multinli",
        family="classification",
        metric="accuracy",
        languages=("en",),
        files={
            "train": ("multinli_1.0/multinli_1.0_train.jsonl",),
            "dev": ("multinli_1.0/multinli_1.0_dev_matched.jsonl",),
        },
        read=nli.read_multinli,
        translated="multinli_1.0/{split}-{language}.jsonl",
        labels=NLI,
        shared_head="xnli",
        trained_on=("multinli",),
        counts={"train": 392_702, "dev": 9_815},
        source="MultiNLI 1.0 (Williams et al. 2018, arXiv 1704.05426); dev is the matched one",
        licence="OANC and others, per genre",
        hub=Hub(
            id="nyu-mll/multi_nli",
            config="default",
            splits={"train": "train", "dev": "validation_matched"},
            columns=AGREED_NLI,
        ),
    ),
    Task(
        name="snli",
        family="classification",
        metric="accuracy",
        languages=("en",),
        files={split: (f"snli_1.0/snli_1.0_{split}.jsonl",) for split in ("train", "dev", "test")},
        read=nli.read_multinli,
        translated="snli_1.0/{split}-{language}.jsonl",
        labels=NLI,
        shared_head="xnli",
        trained_on=("snli",),
        counts={"train": 549_367, "dev": 9_842, "test": 9_824},
        source="SNLI 1.0 (Bowman et al. 2015, arXiv 1508.05326), without the pairs that annotators did not agree on",
        licence="CC BY-SA 4.0",
        hub=Hub(
            id="stanfordnlp/snli",
            config="plain_text",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns=AGREED_NLI,
        ),
    ),
    Task(
        name="anli",
        family="classification",
        metric="accuracy",
        languages=("en",),
        files={split: _rounds(split) for split in ("train", "dev", "test")},
        read=nli.read_anli,
        translated="anli_v1.0/{split}-{language}.jsonl",
        labels=NLI,
        max_length=256,
        shared_head="xnli",
        trained_on=("anli",),
        counts={"train": 162_865, "dev": 3_200, "test": 3_200},
        source="ANLI 1.0 (Nie et al. 2020, arXiv 1910.14599), its three rounds together",
        licence="CC BY-NC 4.0",
        hub=Hub(
            id="facebook/anli",
            config="plain_text",
            splits={"train": "train_r?", "dev": "dev_r?", "test": "test_r?"},
            columns=HUB_NLI,
        ),
    ),
    Task(
        name="qqp",
        family="classification",
        metric="accuracy",
        languages=("en",),
        files={"train": ("QQP/train.tsv",), "dev": ("QQP/dev.tsv",)},
        read=partial(classification.read_published, form=classification.QQP, labels=QQP_LABELS),
        translated="QQP/{split}-{language}.tsv",
        labels=QQP_LABELS,
        trained_on=("qqp",),
        counts={"train": 363_846, "dev": 40_430},
        source="Quora Question Pairs as in GLUE (Wang et al. 2019, arXiv 1804.07461)",
        licence="Quora's terms, non-commercial",
        hub=Hub(
            id="nyu-mll/glue",
            config="qqp",
            splits={"train": "train", "dev": "validation"},
            columns=Columns(kind="classified", texts=("question1", "question2"), gold="label", names=QQP_LABELS),
        ),
    ),
    Task(
        name="rte",
        family="classification",
        metric="accuracy",
        languages=("en",),
        files={"train": ("RTE/train.tsv",), "dev": ("RTE/dev.tsv",)},
        read=partial(classification.read_published, form=classification.RTE, labels=RTE_LABELS),
        translated="RTE/{split}-{language}.tsv",
        labels=RTE_LABELS,
        max_length=256,
        trained_on=("rte",),
        counts={"train": 2_490, "dev": 277},
        source="Recognizing Textual Entailment as in GLUE (Wang et al. 2019, arXiv 1804.07461)",
        licence="not stated",
        hub=Hub(
            id="nyu-mll/glue",
            config="rte",
            splits={"train": "train", "dev": "validation"},
            columns=Columns(kind="classified", texts=("sentence1", "sentence2"), gold="label", names=RTE_LABELS),
        ),
    ),
)
