"""Parallel text, each language with English: what maps are fitted on, and what alignment trains on. None of it is scored."""

from xdist.formats import corpus, sib_pairs
from xdist.tasks.catalog.shipped import shipped_tasks
from xdist.tasks.catalog.task import Task

SIB = next(one for one in shipped_tasks() if one.name == "sib200")
OTHERS = tuple(code for code in SIB.languages if code != "eng_Latn")

TASKS = (
    Task(
        name="parallel",
        family="parallel",
        languages=(),
        any_language=True,
        files={"train": ("parallel/{language}-en",)},
        read=corpus.blocks,
        fields=("text", "translation"),
        max_length=96,
        needs="parallel text",
        negatives=256,
        source="your own parallel text: the language and English, in the forms of OPUS, in two columns or in two fields",
        licence="yours",
    ),
    Task(
        name="sib200-parallel",
        family="parallel",
        languages=OTHERS,
        names=SIB.names,
        files={"train": ("sib200/{name}/train.tsv", "sib200/eng_Latn/train.tsv")},
        read=sib_pairs.read_sib,
        max_length=128,
        needs="parallel text",
        negatives=64,
        train_languages=OTHERS,
        shares=SIB.shares,
        source="SIB-200's training sentences (Adelani et al. 2024, arXiv 2309.07445), matched by their number in FLORES-200",
        licence=SIB.licence,
    ),
)
