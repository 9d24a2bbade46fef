"""Tasks of a user's own, of a known family, described in YAML:

tasks:
  swahili-news:
    family: classification          # classification, multiple-choice, tagging, span-qa or masked-lm
    languages: [sw, en]
    files: {train: "news/train-{language}.tsv", test: "news/test-{language}.tsv"}
    labels: [politics, sport]       # of classification and tagging
    texts: 1                        # of classification: one text or a pair
    metric: accuracy                # what it is scored by, if not what its family is scored by
    unlabelled: true                # its test files may hold no gold yet: they are predicted, and scored once they do

Files have the form of the family's official ones: `text TAB text TAB label`; one JSON object a line with `prompt`, `options`
and `label`; `word TAB tag`, or a treebank's .conllu; SQuAD's JSON; running text.
"""

from collections.abc import Collection
from functools import lru_cache, partial
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import Field

from xdist.config.fitting import Text
from xdist.config.loading import KeyPath, load
from xdist.config.section import Section
from xdist.errors import UserError
from xdist.formats import choice, classification, corpus, squad, treebank
from xdist.tasks.catalog.task import LANGUAGE_CODE, NEED_GOLD, Read, Task

# By family, what a task is scored by that names no metric; language models are not scored.
DEFAULT_METRICS = {"classification": "accuracy", "multiple-choice": "accuracy", "tagging": "seqeval-1.2.2", "span-qa": "squad"}
LENGTHS = {"classification": 128, "multiple-choice": 128, "tagging": 128, "span-qa": 384, "masked-lm": 256}
EXTENSIONS = {"multiple-choice": "jsonl", "span-qa": "json"}
LABELLED = ("classification", "tagging")


class UserTask(Section):
    family: Literal["classification", "multiple-choice", "tagging", "span-qa", "masked-lm"]
    languages: tuple[str, ...] = Field(min_length=1)
    files: dict[Literal["train", "dev", "test"], Annotated[str, Text.BELOW]] = Field(min_length=1)
    labels: tuple[str, ...] = ()
    texts: Literal[1, 2] = 2
    fields: tuple[str, ...] = Field(("text",), min_length=1, max_length=2)
    metric: str | None = Field(None, min_length=1, description="what it is scored by; null: as its family is")
    unlabelled: bool = Field(False, description="test files may hold no gold: they are predicted, and scored once they do")
    head: str | None = None
    max_length: int | None = Field(None, ge=8, le=1_000_000)
    licence: str = "yours"


class UserTasks(Section):
    tasks: dict[str, UserTask] = Field(min_length=1)


def user_tasks(path: Path | None, taken: Collection[str] = ()) -> dict[str, Task]:
    """The tasks described at `path`, whose names are none of `taken`; the same values each time. Raises UserError with file,
    line and key."""
    found = _described(path) if path else {}
    for name in found:
        if path and name in taken:
            raise UserError(f"{line_of(path, name)}: a task '{name}' is in the catalog already; choose another name")
    return found


@lru_cache
def _described(path: Path) -> dict[str, Task]:
    described, source = load(UserTasks, path)

    def wrong(key: KeyPath, message: str) -> UserError:
        return UserError(f"{source.at(('tasks', *key))}: {message}")

    for name, entry in described.tasks.items():
        if (entry.family in LABELLED) != bool(entry.labels):
            raise wrong((name,), f"a {entry.family} task {'needs' if entry.family in LABELLED else 'has no'} labels")
        if len(set(entry.labels)) < len(entry.labels):
            raise wrong((name, "labels"), "a label stands here twice")
        if entry.metric is not None and entry.family not in DEFAULT_METRICS:
            raise wrong((name, "metric"), f"a {entry.family} task is trained, not scored")
        if entry.unlabelled and (entry.family not in DEFAULT_METRICS or "test" not in entry.files):
            raise wrong((name, "unlabelled"), "there are no test files that it could be said of")
        for index, code in enumerate(entry.languages):
            if not LANGUAGE_CODE.fullmatch(code):
                raise wrong((name, "languages", index), f"'{code}' is no language code such as sw, quy or yor_Latn")
        for split, pattern in entry.files.items():
            try:
                names = {field for _, field, _, _ in Formatter().parse(pattern) if field is not None}
            except ValueError as error:
                raise wrong((name, "files", split), f"'{pattern}': {error}") from None
            if names - {"language"} or (not names and len(entry.languages) > 1):
                raise wrong((name, "files", split), f"'{pattern}': the file of each language is named by {{language}}")
    return {name: _task(name, entry) for name, entry in described.tasks.items()}


def line_of(path: Path, name: str, *key: str) -> str:
    """Where a task, or a key of it, stands in its file; the task where the key does not."""
    _, source = load(UserTasks, path)
    return source.at(("tasks", name, *key))


def _task(name: str, entry: UserTask) -> Task:
    readers: dict[str, Read] = {
        "classification": partial(classification.read, labels=entry.labels, texts=entry.texts),
        "multiple-choice": choice.read_listed,
        "tagging": partial(treebank.read, tags=entry.labels),
        "span-qa": squad.read,
        "masked-lm": corpus.blocks,
    }
    return Task(
        name=name,
        family=entry.family,
        metric=entry.metric or DEFAULT_METRICS.get(entry.family, ""),
        languages=entry.languages,
        files={split: (pattern,) for split, pattern in entry.files.items()},
        read=readers[entry.family],
        labels=entry.labels,
        extension=EXTENSIONS.get(entry.family, "tsv"),
        max_length=entry.max_length or LENGTHS[entry.family],
        shared_head=entry.head,
        train_languages=entry.languages,
        fields=entry.fields if entry.family == "masked-lm" else (),
        need_gold=(*NEED_GOLD, *(() if entry.unlabelled else ("test",))),
        source="a task of your own",
        licence=entry.licence,
    )
