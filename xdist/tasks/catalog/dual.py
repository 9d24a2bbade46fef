"""Retrieval by a dual encoder: LAReQA, Mewsli-X. Each is trained on a set of pairs that has its own entry."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from xdist.errors import UserError
from xdist.formats import lareqa, mewslix
from xdist.formats.columns import Columns
from xdist.formats.examples import Pair, Passage, Query
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import POOL, Task, per_language

LAREQA_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
LAREQA_FILES = "lareqa/xquad-r/{language}.json"
MEWSLIX_LANGUAGES = ("ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk")
# The candidates of Mewsli-X, described in fifty languages, are in one file.
EVERY_LANGUAGE = "all"
# Texts as the model reads them, gold in place.
HUB_MEWSLIX = "izhx/mewsli-x"


def questions(own: Path, *files: Path) -> Iterator[tuple[str, Query]]:
    """The questions of the file `own`, with their answers in all `files`, of which it is one. Files are called by language."""
    asked = lareqa.queries({path.stem: path for path in files})
    return (("query", query) for query in asked if query.id.endswith(f"_{own.stem}"))


def answer_sentences(path: Path) -> Iterator[tuple[str, Passage]]:
    return (("candidate", passage) for passage in lareqa.passages(path, path.stem))


def answer_pairs(path: Path, need_gold: bool = True) -> Iterator[Pair]:
    return lareqa.pairs(path)


def mentions(path: Path, labels: Path | None = None, need_gold: bool = False) -> Iterator[tuple[str, Query]]:
    """`labels` give the gold where the mentions come without, as officially in the test set. Raises UserError for a mention
    that they do not have."""
    gold = mewslix.read_labels(labels) if labels else None
    for query in mewslix.read_mentions(path, need_gold=need_gold):
        if gold is not None and query.relevant is None:
            if query.id not in gold:
                raise UserError(f"{labels}: no entity for example '{query.id}' of {path}")
            query = replace(query, relevant=gold[query.id])
        yield "query", query


def entities(path: Path) -> Iterator[tuple[str, Passage]]:
    return (("candidate", passage) for passage in mewslix.read_entities(path))


def mention_pairs(path: Path, need_gold: bool = True) -> Iterator[Pair]:
    return mewslix.read_pairs(path)


TASKS = (
    Task(
        name="squad-sentences",
        family="dual-encoder",
        metric="map@20",
        languages=("en",),
        files={"train": ("squad/train-v1.1.json",), "dev": ("squad/dev-v1.1.json",)},
        read=answer_pairs,
        extension="json",
        max_length=256,
        query_length=96,
        negatives=4,
        shared_head="lareqa",
        trained_on=("squad-sentences",),
        source="SQuAD 1.1 (Rajpurkar et al. 2016, arXiv 1606.05250) as pairs of a question and the sentence that answers it",
        licence="CC BY-SA 4.0",
    ),
    Task(
        name="lareqa",
        family="dual-encoder",
        metric="map@20",
        languages=LAREQA_LANGUAGES,
        files={
            "test": (LAREQA_FILES, *(LAREQA_FILES.replace("{language}", code) for code in LAREQA_LANGUAGES)),
            POOL: (LAREQA_FILES,),
        },
        read={"test": questions, POOL: answer_sentences},
        pool=LAREQA_LANGUAGES,
        extension="json",
        max_length=256,
        query_length=96,
        trained_on=("squad-sentences",),
        counts={
            "test": 1_190,
            POOL: per_language("ar 1222 de 1276 el 1234 en 1180 es 1215 hi 1244 ru 1219 th 852 tr 1167 vi 1209 zh 1196"),
        },
        source="LAReQA's XQuAD-R (Roy et al. 2020, arXiv 2004.05484): one pool of sentences, 11 right ones for each question",
        licence="CC BY-SA 4.0",
        shares="XQuAD",
    ),
    Task(
        name="mewslix-pairs",
        family="dual-encoder",
        metric="map@20",
        languages=("en",),
        files={"train": ("mewslix/wikipedia_pairs-train.jsonl",)},
        read=mention_pairs,
        extension="json",
        max_length=64,
        query_length=64,
        negatives=64,
        shared_head="mewslix",
        trained_on=("mewslix-pairs",),
        counts={"train": 167_719},
        source="Mewsli-X (Ruder et al. 2021, arXiv 2104.07412): mentions in English Wikipedia and the entities they name",
        licence="Apache-2.0",
        hub=Hub(
            id=HUB_MEWSLIX,
            config="wikipedia_pairs",
            splits={"train": "train"},
            columns=Columns(kind="pair", texts=("mention", "entity")),
        ),
    ),
    Task(
        name="mewslix",
        family="dual-encoder",
        metric="map@20",
        languages=MEWSLIX_LANGUAGES,
        files={
            "dev": ("mewslix/wikinews_mentions/dev-{language}.jsonl",),
            "test": ("mewslix/wikinews_mentions/test-{language}.jsonl",),
            POOL: ("mewslix/candidate_set_entities.jsonl",),
        },
        gold={"test": "mewslix/wikinews_labels/test-{language}.json"},
        read={"dev": mentions, "test": mentions, POOL: entities},
        pool=(EVERY_LANGUAGE,),
        extension="json",
        max_length=64,
        query_length=64,
        trained_on=("mewslix-pairs",),
        counts={POOL: 1_003_893},
        source="Mewsli-X (Ruder et al. 2021, arXiv 2104.07412), released in 2022: the entity that a mention in the news names",
        licence="Apache-2.0",
        hub=Hub(
            id=HUB_MEWSLIX,
            config="{language}",
            codes={EVERY_LANGUAGE: "candidate_entities"},
            splits={"test": "test", POOL: "test"},
            columns={
                "query": Columns(kind="query", texts=("mention",), gold="entity_id"),
                "candidate": Columns(kind="passage", texts=("description",), id="entity_id"),
            },
            kinds={"test": "query", POOL: "candidate"},
        ),
    ),
)
