"""From the description of your own task to the task."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.formats import choice, classification, corpus, squad, treebank
from xdist.formats.layout import ENDINGS, ROLES, Layout
from xdist.languages import code_among
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.retrieval import sentence_layer
from xdist.tasks.catalog.task import NEED_GOLD, Read, Task
from xdist.tasks.families import OWN

if TYPE_CHECKING:
    from xdist.tasks.catalog.user import HubCopy, UserTask

# By family, what a task is scored by that names no metric; language models are not scored.
DEFAULT_METRICS = {"classification": "accuracy", "multiple-choice": "accuracy", "tagging": "seqeval-1.2.2", "span-qa": "squad"}
DEFAULT_METRICS |= {"sentence-retrieval": "accuracy"}
LENGTHS = {"classification": 128, "multiple-choice": 128, "tagging": 128, "span-qa": 384, "masked-lm": 256}
LENGTHS |= {"sentence-retrieval": 512}
EXTENSIONS = {"multiple-choice": "jsonl", "span-qa": "json"}
LABELLED = ("classification", "tagging")
# The endings that a family's official form has in addition to those that no form has.
OFFICIAL = {
    "classification": ("tsv", "tab"),
    "tagging": ("tsv", "tab", "conllu"),
    "multiple-choice": ("jsonl", "tsv"),
    "span-qa": (),
}


def build_task(name: str, entry: "UserTask") -> Task:
    """The task that `entry` describes; without labels where those of its training files are to be found."""
    slot = "{name}" if entry.codes else "{language}"
    files: dict[str, tuple[str, ...]] = {
        split: (pattern.replace("{language}", slot),) for split, pattern in entry.files.items()
    }
    if entry.family == "sentence-retrieval":
        pivot, layout = entry.codes.get(entry.pivot, entry.pivot), layout_of(entry)
        for split, (one, *_) in files.items():
            if layout.form_of(Path(one)) == "parallel":
                files[split] = one, one.replace(slot, pivot)
    return Task(
        name=name,
        family=entry.family,
        metric=entry.metric or DEFAULT_METRICS.get(entry.family, ""),
        languages=entry.languages,
        files=files,
        read=reader(entry),
        labels=entry.labels or (),
        extension=EXTENSIONS.get(entry.family, "tsv"),
        max_length=entry.max_length or LENGTHS[entry.family],
        shared_head=entry.head,
        train_languages=tuple(_own(entry, code) for code in entry.train_languages) or entry.languages,
        trained_on=entry.trained_on,
        counts={
            split: {_own(entry, code): number for code, number in count.items()} if isinstance(count, dict) else count
            for split, count in entry.counts.items()
        },
        names=entry.codes,
        layer=sentence_layer if entry.family == "sentence-retrieval" else None,
        written=(OWN, entry.pivot) if entry.family == "sentence-retrieval" else (),
        fields=entry.fields if entry.family == "masked-lm" else (),
        need_gold=(*NEED_GOLD, *(() if entry.unlabelled else ("test",))),
        hub=_hub(entry),
        source=entry.source,
        licence=entry.licence,
        checked=entry.checked,
    )


def _own(entry: "UserTask", code: str) -> str:
    """The code that `languages` has for one of them in any code."""
    return code_among(entry.languages, code) or code


def reader(entry: "UserTask") -> Read:
    """What reads its files: the reader of the family's official form where the description says nothing else."""
    if entry.family == "masked-lm":
        return corpus.blocks
    layout = layout_of(entry)
    if entry.family == "sentence-retrieval" or not _official(entry):
        return layout
    official: dict[str, Read] = {
        "classification": partial(classification.read, labels=entry.labels or (), texts=entry.texts),
        "multiple-choice": choice.read_listed,
        "tagging": partial(treebank.read, tags=entry.labels or ()),
        "span-qa": squad.read,
    }
    return official[entry.family]


def layout_of(entry: "UserTask", copy: "HubCopy | None" = None) -> Layout:
    """How its files are read, or those of its copy on the hub, whose columns have other names."""
    return Layout(
        family=entry.family,
        form="parquet" if copy else entry.form or "",
        columns=_columns(entry, copy),
        names=_names(entry, copy),
        labels=entry.labels or (),
        header=None if copy else entry.header,
        quotes=entry.quotes,
        comment=entry.comment,
        prefixed=entry.strip == "prefix",
    )


def _official(entry: "UserTask") -> bool:
    said = (entry.form, entry.columns, entry.names, entry.header, entry.quotes, entry.comment, entry.strip)
    if any(said) or (entry.family in LABELLED and entry.labels is None):
        return False
    endings = {pattern.rpartition(".")[2].lower() for pattern in entry.files.values()}
    return all(ending not in ENDINGS or ending in OFFICIAL[entry.family] for ending in endings)


def _columns(entry: "UserTask", copy: "HubCopy | None") -> dict[str, tuple[str, ...]]:
    """By role, in the order of an example's parts. What is not named is in a column of the role's name; in TSV without
    any name, in order."""
    given = (copy and copy.columns) or entry.columns
    found: dict[str, tuple[str, ...]] = {
        role: (column,) if isinstance(column, str) else tuple(column) for role, column in given.items()
    }
    if entry.family == "tagging" and not found:
        return {}
    pair = "text1" in found or (not found and entry.texts == 2)
    roles = ROLES[entry.family][-1 if pair else 0]
    forms = {entry.form or ENDINGS.get(pattern.rpartition(".")[2].lower(), "") for pattern in entry.files.values()}
    if not found and not copy and entry.family == "classification" and entry.header is not True and forms == {"tsv"}:
        return {role: (str(place),) for place, role in enumerate(roles, start=1)}
    return {role: found.get(role, (role,)) for role in roles}


def _names(entry: "UserTask", copy: "HubCopy | None") -> dict[str, str]:
    given = (copy and copy.names) or entry.names
    if isinstance(given, dict):
        return dict(given)
    if entry.family == "multiple-choice":
        return {value: str(place) for place, value in enumerate(given)}
    return {str(place): name for place, name in enumerate(given)}


def _hub(entry: "UserTask") -> Hub | None:
    copy = entry.hub
    if copy is None:
        return None
    return Hub(
        id=copy.id,
        config=copy.config,
        splits={split: name for split, name in copy.splits.items()},  # noqa: C416
        columns=layout_of(entry, copy),
        codes=copy.codes or entry.codes,
    )
