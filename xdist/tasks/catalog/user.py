"""Tasks of a user's own, of a known family, described in YAML:

tasks:
  swahili-news:
    family: classification
    languages: [sw, en]             # in any code; `codes` says how files are named that have other ones
    files: {train: "news/{language}-train.csv", test: "news/{language}-test.csv"}
    columns: {text: [headline, body], label: category}
    names: {0: politics, 1: sport}  # what the values of the label's column are called
    labels: [politics, sport]       # null: those of the training files
    metric: macro-f1                # null: what its family is scored by
    unlabelled: true                # its test files may hold no gold yet: they are predicted, and scored once they do

The catalog's own sets of many languages are such files too. What reads the files: xdist/formats/layout.py.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import Field

from xdist.config.fitting import Text
from xdist.config.loading import Source, load
from xdist.config.reader import KeyPath
from xdist.config.section import Section
from xdist.errors import UserError, unknown
from xdist.formats.layout import FORMS, ROLES
from xdist.languages import code_among, same_language
from xdist.tasks.catalog.building import DEFAULT_METRICS, LABELLED, build_task, layout_of
from xdist.tasks.catalog.task import LANGUAGE_CODE, Task

Own = Literal["classification", "multiple-choice", "tagging", "span-qa", "sentence-retrieval", "masked-lm"]
Role = Literal["text", "text1", "text2", "label", "word", "tag", "prompt", "options", "question", "context", "answers"]
Count = Annotated[int, Field(ge=1, le=10**12)]
Pattern = Annotated[str, Text.BELOW]
Codes = Annotated[dict[str, str], Field(description="the code that files are named by, of languages whose code is another")]
ValueNames = Annotated[
    dict[str, str] | tuple[str, ...],
    Field(
        description="what the values of the gold column are called: {0: no, 1: yes}, or [no, yes] for 0 and 1; of a choice "
        "the values in the order of the options: [A, B, C]"
    ),
]
Roles = Annotated[
    dict[Role, str | tuple[str, ...]],
    Field(description="where the parts of an example are: a column's name or its number from 1, a list where it is in several"),
]


class HubCopy(Section):
    """The set's Parquet files as a repository of the hub has them, below `hub/ID/CONFIG` of the data root."""

    id: str = Field(description="the set's name on the hub")
    config: str = Field("default", description="the set's own name of a language's part, with {language}")
    splits: dict[Literal["train", "dev", "test"], str] = Field(min_length=1, description="the set's own names of these")
    columns: Roles = Field({})
    names: ValueNames = Field({})
    codes: Codes = Field({})


class UserTask(Section):
    family: Own = Field(description="what kind of task it is")
    languages: tuple[str, ...] = Field(min_length=1, description="in any code")
    files: dict[Literal["train", "dev", "test"], Pattern] = Field(
        min_length=1, description="below the data root, {language} standing for the code of each"
    )
    form: Literal["tsv", "csv", "jsonl", "parquet", "conll", "conllu", "squad", "parallel"] | None = Field(
        None, description="null: by the files' ending; without that and `columns` the family's official form"
    )
    columns: Roles = Field({})
    names: ValueNames = Field({})
    codes: Codes = Field({})
    header: bool | None = Field(
        None, description="the first line of TSV or CSV names the columns; null: where `columns` are names"
    )
    quotes: bool = Field(False, description="cells of TSV are quoted as those of CSV")
    comment: str = Field("", max_length=20, description="prefix of CoNLL lines that belong to no sentence")
    strip: Literal["prefix"] | None = Field(
        None, description="prefix: of each word the part up to its first colon, as in WikiANN"
    )
    pivot: str = Field("eng_Latn", description="the language whose sentences are searched among those of the others")
    labels: tuple[str, ...] | None = Field(None, description="of classification and tagging; null: those of the training files")
    texts: Literal[1, 2] = Field(2, description="of an example of classification")
    fields: tuple[str, ...] = Field(
        ("text",), min_length=1, max_length=2, description="of running text: the fields of JSON lines or Parquet that hold it"
    )
    metric: str | None = Field(None, min_length=1, description="what it is scored by; null: as its family is")
    unlabelled: bool = Field(False, description="test files may hold no gold: they are predicted, and scored once they do")
    head: str | None = Field(None, description="tasks of equal head share one; null: its own")
    max_length: int | None = Field(None, ge=8, le=1_000_000, description="tokens per sequence; null: as its family has it")
    train_languages: tuple[str, ...] = Field((), description="whose training files `xdist fetch` downloads; none named: all")
    trained_on: tuple[str, ...] = Field((), description="tasks whose training data it is trained on, in order")
    counts: dict[Literal["train", "dev", "test"], Count | dict[str, Count]] = Field(
        {}, description="examples of a split as published, in every language or in each"
    )
    hub: HubCopy | None = None
    source: str = Field("your own task", description="what it is and where it comes from, as `xdist tasks show` says it")
    licence: str = Field("yours", description="of its files")
    checked: bool = Field(True, description="whether a file as published was read with this description")


class UserTasks(Section):
    tasks: dict[str, UserTask] = Field(min_length=1, description="each by its name")


def user_tasks(path: Path | None, taken: Collection[str] = ()) -> dict[str, Task]:
    """The tasks described at `path`, whose names are none of `taken`; the same values each time. Raises UserError with file,
    line and key."""
    found = read_user_tasks(path) if path else {}
    for name in found:
        if path and name in taken:
            raise UserError(f"{line_of(path, name)}: a task '{name}' is in the catalog already; choose another name")
    return found


@lru_cache
def read_user_tasks(path: Path) -> dict[str, Task]:
    """The tasks of a YAML file, the same values each time. Raises UserError with file, line and key."""
    found, source = load(UserTasks, path)
    for name, entry in found.tasks.items():
        _check(name, entry, source)
    return {name: build_task(name, entry) for name, entry in found.tasks.items()}


def line_of(path: Path, name: str, *key: str) -> str:
    """Where a task, or a key of it, is in its file; the task where the key does not."""
    _, source = load(UserTasks, path)
    return source.at(("tasks", name, *key))


def _check(name: str, entry: UserTask, source: Source) -> None:
    def wrong(key: KeyPath, message: str) -> UserError:
        return UserError(f"{source.at(('tasks', name, *key))}: {message}")

    family = entry.family
    if entry.labels is not None and (family not in LABELLED or not entry.labels):
        raise wrong(("labels",), f"a {family} task {'needs some' if family in LABELLED else 'has no labels'}")
    if entry.labels is None and family in LABELLED and "train" not in entry.files:
        raise wrong((), "needs `labels`: there are no training files to find them in")
    if len(set(entry.labels or ())) < len(entry.labels or ()):
        raise wrong(("labels",), "a label appears here twice")
    if entry.metric is not None and family not in DEFAULT_METRICS:
        raise wrong(("metric",), f"a {family} task is trained, not scored")
    if entry.unlabelled and (family not in DEFAULT_METRICS or "test" not in entry.files):
        raise wrong(("unlabelled",), "there are no test files that it could apply to")
    for index, code in enumerate(entry.languages):
        if not LANGUAGE_CODE.fullmatch(code):
            raise wrong(("languages", index), f"'{code}' is no language code such as sw, quy or yor_Latn")
        for other in entry.languages[:index]:
            if same_language(code, other):
                raise wrong(("languages", index), f"'{code}' is the language of '{other}' above")
    for code in entry.codes:
        if code not in entry.languages and code != entry.pivot:
            raise wrong(("codes", code), "is not among its `languages`")
    for index, code in enumerate(entry.train_languages):
        if code_among(entry.languages, code) is None:
            raise wrong(("train_languages", index), unknown("language", code, entry.languages))
    for split, count in entry.counts.items():
        for code in count if isinstance(count, dict) else ():
            if code_among(entry.languages, code) is None:
                raise wrong(("counts", split, code), unknown("language", code, entry.languages))
    for split, pattern in entry.files.items():
        try:
            names = {field for _, field, _, _ in Formatter().parse(pattern) if field is not None}
        except ValueError as error:
            raise wrong(("files", split), f"'{pattern}': {error}") from None
        if names - {"language"} or (not names and len(entry.languages) > 1):
            raise wrong(("files", split), f"'{pattern}': the file of each language is named by {{language}}")
    if entry.form and entry.form not in FORMS.get(family, ()):
        raise wrong(
            ("form",), f"a {family} task is read from {', '.join(FORMS.get(family, ())) or 'running text'}, not {entry.form}"
        )
    if entry.columns:
        _check_columns(entry, wrong)
    if entry.hub and (layout := layout_of(entry, entry.hub)) is not None and not layout.columns:
        raise wrong(("hub",), "needs `columns`")


def _check_columns(entry: UserTask, wrong: Callable[[KeyPath, str], UserError]) -> None:
    roles = ROLES.get(entry.family, ())
    given = set(entry.columns)
    if not any(given <= set(one) and (entry.family == "tagging" or given >= set(one[:-1])) for one in roles):
        listed = " or ".join("{" + ", ".join(one) + "}" for one in roles) or "no columns"
        raise wrong(("columns",), f"a {entry.family} task has {listed}")
