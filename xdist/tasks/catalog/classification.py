"""Classification of pairs: XNLI, PAWS-X, AmericasNLI, and the first two in the generalized setting of mixed pairs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from xdist.formats import classification
from xdist.formats.classification import Published
from xdist.formats.columns import Columns
from xdist.formats.examples import Classified
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import Task, splits

NLI = ("contradiction", "entailment", "neutral")
HUB_NLI = Columns(
    kind="classified", texts=("premise", "hypothesis"), gold="label", names=("entailment", "neutral", "contradiction")
)
HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}

XNLI = Task(
    name="xnli",
    family="classification",
    metric="accuracy",
    languages=("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"),
    files=splits("xnli/{split}-{language}.tsv"),
    read=partial(classification.read, labels=NLI),
    labels=NLI,
    trained_on=("xnli",),
    counts={"train": 392_702, "dev": 2_490, "test": 5_010},
    source="XNLI (Conneau et al. 2018, arXiv 1809.05053); English training data is MultiNLI",
    licence="CC BY-NC 4.0",
    hub=Hub(id="facebook/xnli", config="{language}", splits=HUB_SPLITS, columns=HUB_NLI),
)

# The prepared files hold csv quoting that the official reader does not undo: read "faithful", so that scores are the official
# ones.
PAWSX = Task(
    name="pawsx",
    family="classification",
    metric="accuracy",
    languages=("de", "en", "es", "fr", "ja", "ko", "zh"),
    files=splits("pawsx/{split}-{language}.tsv"),
    read=partial(classification.read, labels=("0", "1"), quoting="faithful"),
    labels=("0", "1"),
    trained_on=("pawsx",),
    counts={"train": 49_401, "dev": 2_000, "test": 2_000},
    source="PAWS-X (Yang et al. 2019, arXiv 1908.11828); untranslated rows (NS) are kept, as officially",
    licence="free for any purpose",
    hub=Hub(
        id="google-research-datasets/paws-x",
        config="{language}",
        splits=HUB_SPLITS,
        columns=Columns(kind="classified", texts=("sentence1", "sentence2"), gold="label", names=("0", "1")),
    ),
)

_AMERICAS_DEV = {"cni": 658, "nah": 376, "oto": 222}
_AMERICAS_TEST = {"nah": 738, "oto": 748}
AMERICAS = ("aym", "bzd", "cni", "gn", "hch", "nah", "oto", "quy", "shp", "tar")

AMERICASNLI = Task(
    name="americasnli",
    family="classification",
    metric="accuracy",
    languages=AMERICAS,
    files=splits("anli_final/{split}/{language}.tsv", ("dev", "test")),
    read=partial(classification.read_published, form=Published(texts=("premise", "hypothesis"), label="label"), labels=NLI),
    labels=NLI,
    shared_head="xnli",
    trained_on=("xnli",),
    counts={
        "dev": {code: _AMERICAS_DEV.get(code, 743) for code in AMERICAS},
        "test": {code: _AMERICAS_TEST.get(code, 750) for code in AMERICAS},
    },
    source="AmericasNLI (Ebrahimi et al. 2022, arXiv 2104.08726): XNLI in ten indigenous languages of the Americas",
    licence="CC BY-SA 4.0",
    hub=Hub(
        id="nala-cub/americas_nli",
        config="{language}",
        splits={"dev": "validation", "test": "test"},
        columns=HUB_NLI,
    ),
)


def generalized(base: Task, source: str, left_out: Callable[[Classified], bool] | None = None) -> Task:
    """The generalized setting of `base`, whose rows are parallel: every ordered pair of its languages, equal ones included,
    named as `base` with `-pairs`. The first text of a row is in the one language, the second in the other."""
    return replace(
        base,
        name=f"{base.name}-pairs",
        languages=tuple(f"{first}-{second}" for first in base.languages for second in base.languages),
        files={split: files for split, files in base.files.items() if split != "train"},
        shared_head=base.head,
        counts={split: count for split, count in base.counts.items() if split != "train"},
        source=source,
        hub=None,
        any_language=False,
        translated=None,
        pairs_of=base,
        left_out=left_out,
    )


_SETTING = "generalized cross-lingual transfer (arXiv 2104.08645): the two sentences of a pair in two languages"
TASKS = (
    XNLI,
    PAWSX,
    AMERICASNLI,
    generalized(XNLI, f"XNLI, {_SETTING}"),
    generalized(PAWSX, f"PAWS-X without untranslated rows, {_SETTING}", left_out=classification.untranslated),
)
