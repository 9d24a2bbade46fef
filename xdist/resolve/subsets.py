"""Which language subsets a run names: a task in one language and split each, checked by name and file, none of them opened."""

from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path

from xdist.config import Data, Evaluate, Model, Run, Train
from xdist.config.reader import KeyPath
from xdist.data.fetched import use_fetched_model
from xdist.data.heads import heads_in
from xdist.data.subset import Subset, pool_subsets
from xdist.errors import UserError, unknown
from xdist.languages import EVERY_GROUP, HEAD, LANGUAGES, TAIL, Pretraining, by_size, code_among, identity
from xdist.resolve.encoder import what_was_read
from xdist.tasks.catalog import Task, sharing, task
from xdist.tasks.catalog.chosen import chosen, single_codes

GROUP = "group:"  # before the name of one: some of the names are codes of languages too
NAMED_GROUPS = {f"{GROUP}{name}": (name,) for name in EVERY_GROUP} | {f"{GROUP}tail": TAIL, f"{GROUP}head": HEAD}


class Subsets:
    """What a run trains on, chooses its model by and scores, each in the order of its description and found when it is first
    needed. Every property raises UserError pointing at the key that is wrong."""

    def __init__(self, run: Run, there: Collection[str] | None = None, read: Pretraining | None = None) -> None:
        """`there`: which of those that could be scored have their files, and `read` what the encoder has read, where the caller
        has looked already; None: looked at when it is needed."""
        self._there = there
        if read is not None:
            self.__dict__["_read"] = read  # as the cached property would
        self._model: Model = run.model
        self._merge, self._align = run.merge, run.align
        self._data: Data = run.data
        self._plugins = run.plugins
        self._train: Train | None = run.train
        self._evaluate: Evaluate | None = run.evaluate
        self._error: Callable[[KeyPath, str], UserError] = run.error

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """The task of each entry of `train.tasks`, with the head that the run gives it."""
        tasks: list[Task] = []
        heads: dict[str, Task] = {}
        for number, entry in enumerate(self._train.tasks if self._train else ()):
            assert self._train
            key = ("train", *self._train.key_of(number), "task")
            tasks.append(task_ := self._task(key, entry.task))
            first = heads.setdefault(task_.head, task_)
            if (task_.family, task_.labels) != (first.family, first.labels):
                message = f"'{task_.name}' and '{first.name}' cannot share the head '{task_.head}': other family or labels"
                raise self._error(key, message)
        return tuple(tasks)

    @cached_property
    def training(self) -> tuple[Subset, ...]:
        """Those that `train.tasks` names."""
        subsets: list[Subset] = []
        entries = self._train.tasks if self._train else ()
        for number, (described, entry) in enumerate(zip(self.tasks, entries, strict=True)):
            assert self._train
            key = ("train", *self._train.key_of(number))
            if "train" not in described.files:
                raise self._error((*key, "task"), f"task '{entry.task}' is evaluated, not trained")
            subsets += [
                self._subset((*key, "languages", index), described, "train", code) for index, code in enumerate(entry.languages)
            ]
        seen: set[Subset] = set()
        for subset in subsets:
            if subset in seen:
                raise self._error(("train", "tasks"), f"{subset} appears here twice")
            seen.add(subset)
        return tuple(subsets)

    @cached_property
    def selection(self) -> tuple[Subset, ...]:
        """The dev sets that the model to keep is chosen by: of every trained task that has any."""
        if self._train is None or self._train.select is None:
            return ()
        key, select = ("train", "select"), self._train.select
        tasks = [entry for entry in dict.fromkeys(subset.task for subset in self.training) if "dev" in entry.files]
        if not tasks:
            raise self._error(key, "no trained task has a dev set; leave it out to keep the last model")
        for entry in tasks:
            if select.by == "score" and not entry.scorable:
                raise self._error((*key, "by"), f"'{entry.name}' has no score on dev; give by: loss")
        if select.languages == "all":
            return tuple(
                self._subset((*key, "languages"), entry, "dev", code) for entry in tasks for code in by_size(entry.languages)
            )
        languages = list(enumerate(select.languages))
        return tuple(
            self._subset((*key, "languages", index), entry, "dev", code) for entry in tasks for index, code in languages
        )

    @cached_property
    def evaluation(self) -> tuple[Subset, ...]:
        """Those of `evaluate`: with languages 'all', every language whose files exist."""
        there, root = self._there, self._data.root
        if there is not None:
            return self._evaluation(lambda subset: str(subset) in there)
        return self._evaluation(lambda subset: subset.task.is_there(root, subset.split, subset.language))

    @cached_property
    def evaluation_named(self) -> tuple[Subset, ...]:
        """The same whether their files exist or not: with languages 'all', every language of each task."""
        return self._evaluation(lambda subset: subset.language in subset.task.languages)

    @cached_property
    def aligned(self) -> tuple[Subset, ...]:
        """The parallel text that maps are fitted on: with languages 'all', of every language that is evaluated and whose files
        exist, which may be none."""
        subsets: list[Subset] = []
        for number, entry in enumerate(self._align.tasks if self._align else ()):
            key: KeyPath = ("align", "tasks", number)
            text = self._task((*key, "task"), entry.task)
            if text.family != "parallel":
                raise self._error((*key, "task"), f"task '{entry.task}' is no parallel text ({text.family})")
            if entry.languages != "all":
                subsets += [
                    self._subset((*key, "languages", at), text, "train", code) for at, code in enumerate(entry.languages)
                ]
                continue
            languages = dict.fromkeys(
                text.own(subset.language) for subset in self.evaluation_named if subset.task.pairs_of is None
            )
            codes = [
                code for code in languages if text.has_language("train", code) and text.is_there(self._data.root, "train", code)
            ]
            subsets += [Subset(text, "train", code) for code in codes]
        # Of two codes of one language, as two tasks have them, the first: its file would count twice.
        return tuple({(one.task, identity(one.language)): one for one in reversed(subsets)}.values())[::-1]

    @cached_property
    def pools(self) -> tuple[Subset, ...]:
        """Those whose rows are the candidates of the queries that are scored."""
        return tuple(pool for entry in dict.fromkeys(subset.task for subset in self.evaluation) for pool in pool_subsets(entry))

    @cached_property
    def trained(self) -> tuple[Subset, ...]:
        """All that training reads."""
        return self.training + self.selection

    @cached_property
    def scored(self) -> tuple[Subset, ...]:
        """All that evaluation reads."""
        return self.evaluation + self.pools

    @cached_property
    def wanted(self) -> tuple[tuple[Subset, bool], ...]:
        """All that the run reads, at any path, and whether the run names the language itself instead of taking all."""
        languages = self._evaluate.languages if self._evaluate else "all"
        named = languages != "all" and not any(word.startswith(GROUP) for word in languages)
        pools = (
            pool for entry in dict.fromkeys(subset.task for subset in self.evaluation_named) for pool in pool_subsets(entry)
        )
        return (
            *((subset, True) for subset in self.trained),
            *((subset, named) for subset in self.evaluation_named),
            *((pool, True) for pool in pools),
        )

    def _evaluation(self, included: Callable[[Subset], bool]) -> tuple[Subset, ...]:
        """`included`: of those that the run does not name itself, which."""
        if self._evaluate is None:
            return ()
        root, split = self._data.root, self._evaluate.split
        entries = [self._task(("evaluate", "tasks", number), name) for number, name in enumerate(self._evaluate.tasks)]
        for number, entry in enumerate(entries):
            if not entry.scorable:
                raise self._error(("evaluate", "tasks", number), f"task '{entry.name}' is trained, not evaluated")
        codes, groups = self._asked()
        listed = {entry: single_codes(entry, entry.languages) for entry in entries}
        unlisted = [code for code in codes if not any(chosen(entry, [code]) for entry in entries)]
        lacking = [code for code in unlisted if not any(entry.has_language(split, code) for entry in entries)]
        for code in lacking:
            # Any of the fifty may be named, for tasks that have them and others, where something else is scored.
            if code_among(LANGUAGES, code) is None or (len(lacking) == len(codes) and not groups):
                names = ", ".join(f"'{entry.name}'" for entry in entries)
                message = unknown("language", code, {one for languages in listed.values() for one in languages})
                raise self._error(("evaluate", "languages"), f"task{'s' if len(entries) > 1 else ''} {names}: {message}")
        subsets: list[Subset] = []
        for number, entry in enumerate(entries):
            if self._evaluate.languages == "all":
                of_task = [
                    Subset(entry, split, code)
                    for code in by_size(entry.languages)
                    if split in entry.files and included(Subset(entry, split, code))
                ]
                if not of_task:
                    example = absent(entry.paths(root, split, entry.languages[0]))
                    raise self._error(
                        ("evaluate", "tasks", number), f"no language of '{entry.name}' has its files, such as {example}"
                    )
                subsets += of_task
                continue
            grouped = [code for code in by_size(listed[entry]) if groups and self._read.group(code) in groups]
            # Files of other languages than the listed ones must be there where no other task has the language.
            others = [code for code in codes if not chosen(entry, [code]) and entry.has_language(split, code)]
            named = [*chosen(entry, codes), *(code for code in others if code in unlisted)]
            subsets += [self._subset(("evaluate", "languages"), entry, split, code) for code in named]
            found = [Subset(entry, split, code) for code in (*others, *chosen(entry, [*codes, *grouped])) if code not in named]
            subsets += [subset for subset in found if split in entry.files and included(subset)]
        if groups and not subsets:
            message = f"no language of {', '.join(entry.name for entry in entries)} is {' or '.join(groups)}"
            raise self._error(("evaluate", "languages"), f"{message} ({self._read.title})")
        return tuple(dict.fromkeys(subsets))

    def _asked(self) -> tuple[list[str], list[str]]:
        """The languages that `evaluate` names itself, and the groups that it names, `tail` and `head` being several."""
        assert self._evaluate
        words = [] if self._evaluate.languages == "all" else list(self._evaluate.languages)
        groups: list[str] = []
        for word in (word for word in words if word.startswith(GROUP)):
            parts = NAMED_GROUPS.get(word)
            if parts is None:
                raise self._error(("evaluate", "languages"), unknown("group", word, NAMED_GROUPS))
            groups += parts
        if groups and not self._read.known:
            reason = "what the encoder has read is not known, so languages are in no group; give model.pretraining"
            raise self._error(("evaluate", "languages"), reason)
        return [word for word in words if not word.startswith(GROUP)], groups

    @cached_property
    def _read(self) -> Pretraining:
        return what_was_read(self._model, use_fetched_model(self._model, self._data.root).backbone)

    def _task(self, key: KeyPath, name: str) -> Task:
        try:
            entry = task(name, self._data.tasks, self._plugins, self._data.root)
        except UserError as error:
            raise self._error(key, str(error)) from None
        if self._train:
            return sharing(entry, self._train.share) if self._train.share else entry
        # What is only evaluated has the heads that it was trained with.
        heads = {**self._merged_heads, **heads_in(Path(use_fetched_model(self._model, self._data.root).backbone))}
        return next(
            (version for version in (entry, sharing(entry, "task"), sharing(entry, "family")) if version.head in heads), entry
        )

    @cached_property
    def _merged_heads(self) -> dict[str, object]:
        places = [model.model for model in self._merge.models if model.model] if self._merge else ()
        return {name: entry for place in places for name, entry in heads_in(Path(place)).items()}

    def _subset(self, key: KeyPath, entry: Task, split: str, code: str) -> Subset:
        own = entry.own(code)
        try:
            entry.paths(self._data.root, split, own)
        except UserError as error:
            raise self._error(key, str(error)) from None
        return Subset(entry, split, own)


def absent(paths: tuple[Path, ...]) -> Path:
    """The first that is no file; the first of all where there is none such."""
    return next((path for path in paths if not path.is_file()), paths[0])
