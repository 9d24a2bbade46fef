"""Span question answering: SQuAD 1.1 and 2.0, XQuAD, MLQA, TyDiQA-GoldP. XQuAD and MLQA are answered by SQuAD's head."""

from xdist.formats import squad
from xdist.formats.columns import Columns
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import Task, per_language

MAX_LENGTH = 384
HUB_SQUAD = Columns(kind="question", texts=("question", "context"), gold="answers", id="id")
MLQA_FILES = "mlqa/MLQA_V1/{split}/{split}-context-{language}-question-{language}.json"

TASKS = (
    Task(
        name="squad",
        family="span-qa",
        metric="squad",
        languages=("en",),
        files={"train": ("squad/train-v1.1.json",), "dev": ("squad/dev-v1.1.json",)},
        read=squad.read,
        translated="squad/{split}-{language}.json",
        extension="json",
        max_length=MAX_LENGTH,
        trained_on=("squad",),
        counts={"train": 87_599, "dev": 10_570},
        source="SQuAD 1.1 (Rajpurkar et al. 2016, arXiv 1606.05250)",
        licence="CC BY-SA 4.0",
        hub=Hub(
            id="rajpurkar/squad",
            config="plain_text",
            splits={"train": "train", "dev": "validation"},
            columns=HUB_SQUAD,
        ),
    ),
    Task(
        name="squad2",
        family="span-qa",
        metric="squad",
        languages=("en",),
        files={"train": ("squad2/train-v2.0.json",)},
        read=squad.read,
        translated="squad2/{split}-{language}.json",
        extension="json",
        max_length=MAX_LENGTH,
        shared_head="squad",
        trained_on=("squad2",),
        counts={"train": 130_319},
        source="SQuAD 2.0 (Rajpurkar et al. 2018, arXiv 1806.03822): trained on only, since targets always have an answer",
        licence="CC BY-SA 4.0",
        hub=Hub(
            id="rajpurkar/squad_v2",
            config="squad_v2",
            splits={"train": "train"},
            columns=Columns(kind="squad2", texts=("question", "context"), gold="answers", id="id"),
        ),
    ),
    Task(
        name="xquad",
        family="span-qa",
        metric="squad",
        languages=("en", "es", "de", "el", "ru", "tr", "ar", "vi", "th", "zh", "hi", "ro"),
        files={"test": ("xquad/xquad.{language}.json",)},
        read=squad.read,
        extension="json",
        max_length=MAX_LENGTH,
        shared_head="squad",
        trained_on=("squad",),
        counts={"test": 1_190},
        source="XQuAD (Artetxe et al. 2020, arXiv 1910.11856); ro is not in the official download",
        licence="CC BY-SA 4.0",
        hub=Hub(id="google/xquad", config="xquad.{language}", splits={"test": "validation"}, columns=HUB_SQUAD),
        shares="XQuAD",
    ),
    Task(
        name="mlqa",
        family="span-qa",
        metric="mlqa",
        languages=("en", "es", "de", "ar", "hi", "vi", "zh"),
        files={split: (MLQA_FILES.replace("{split}", split),) for split in ("dev", "test")},
        read=squad.read,
        extension="json",
        max_length=MAX_LENGTH,
        shared_head="squad",
        trained_on=("squad",),
        counts={
            "dev": per_language("ar 517 de 512 en 1148 es 500 hi 507 vi 511 zh 504"),
            "test": per_language("ar 5335 de 4517 en 11590 es 5253 hi 4918 vi 5495 zh 5137"),
        },
        source="MLQA (Lewis et al. 2020, arXiv 1910.07475), question and context in one language",
        licence="CC BY-SA 3.0",
        hub=Hub(
            id="facebook/mlqa",
            config="mlqa.{language}.{language}",
            splits={"dev": "validation", "test": "test"},
            columns=HUB_SQUAD,
        ),
    ),
    Task(
        name="tydiqa",
        family="span-qa",
        metric="squad",
        languages=("en", "ar", "bn", "fi", "id", "ko", "ru", "sw", "te"),
        files={
            "train": ("tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{language}.train.json",),
            "test": ("tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{language}.dev.json",),
        },
        read=squad.read,
        extension="json",
        max_length=MAX_LENGTH,
        trained_on=("tydiqa",),
        counts={
            "train": per_language("ar 14805 bn 2390 en 3696 fi 6855 id 5702 ko 1625 ru 6490 sw 2755 te 5563"),
            "test": per_language("ar 921 bn 113 en 440 fi 782 id 565 ko 276 ru 812 sw 499 te 669"),
        },
        source="TyDiQA-GoldP 1.1 (Clark et al. 2020, arXiv 2003.05002); its dev set is the test set here, and it has no other",
        licence="Apache-2.0",
        hub=Hub(
            id="juletxara/tydiqa_xtreme",
            config="{language}",
            splits={"train": "train", "test": "validation"},
            columns=HUB_SQUAD,
        ),
    ),
)
