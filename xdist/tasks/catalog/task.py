"""What a task is: one value that readers, heads, tables, checks and tests share."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from xdist.config.data import Joining
from xdist.errors import UserError, unknown
from xdist.formats import bitext, corpus, pairs, sources
from xdist.formats.file_codes import code_in_files
from xdist.formats.layout import Layout
from xdist.formats.treebank import TREEBANK
from xdist.languages import same_language
from xdist.metrics import metric
from xdist.plugins import digest_in
from xdist.registry import Registry
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.families import FAMILIES, OWN

# Examples of a split: the same number in every language, or a number per language; a language that is not named is unknown.
Counts = int | Mapping[str, int]

# Splits that make no sense without gold. An official test split may be blanked: it is then predicted and not scored.
NEED_GOLD = ("train", "dev")

# The split of the candidates that every query of a retrieval task is looked up among, for any language.
POOL = "pool"

Read = Callable[..., Iterator[Any]]

# A language outside the listed ones, where a task takes any: as in BCP 47, such as "quy" or "sr-Latn".
LANGUAGE_CODE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """`files` gives, per split, the official files of a language below the data root, `{name}` in them being the language's
    name in `names`; `members` says of a code for several languages which one its files are in; `gold` names a file of a split's
    separate gold, without which it is predicted and not scored. `read(*paths)`, one for all splits or one for each, turns
    them into Examples and takes `need_gold=True` where a split needs gold.

    `metric` names what the task is scored by (`xdist.metrics`), the official metric where there is one; language models have
    none. Tasks of equal `head` share one head and may mix in a batch.
    `trained_on` names the tasks whose training data it is trained on officially, in order; `counts` the official numbers
    of examples per split. `pairs_of`: its languages are ordered pairs such as "en-de", whose rows take their first text from
    one language of that task and their second from another; no pair is made of an example that `left_out` is true for.
    Retrieval: `pool` says which files of split "pool" hold the candidates, by language; `query_length` is the `max_length` of
    queries, `negatives` how many answers a query is distinguished from in training, its own among them; `layer(depth)` is the
    hidden layer that is read where no head is trained, and which a run may choose.
    `any_language`: files of languages beyond the listed ones are taken too, and of all under any code in their names.
    `translated`: the name of a file in another language than the listed ones, of the same format as the official one.
    `spelt`: parts of names of files that are spelt otherwise in some releases, and how; either is taken.
    `fields`: the task is a corpus of running text, which `files` names without endings (`xdist.formats.corpus`), and these hold
    the text, or the two of a pair.
    `need_gold`: the splits whose files must hold gold; a file of another form could pass for one without gold elsewhere.
    `checked`: a file as published was read as this entry says.
    `labels_found`: they are those of its training files, since the description names none.
    `plugins`: the plugins of it and its family, 'name@digest' each, which the catalog fills in; none for those of ours.
    `needs`: what training on it needs in addition to labelled English, as reports show it: "parallel text".
    `shares`: the set whose sentences it has; what one task with them has trained, another does not test.
    `written`: the languages of its texts of a code, OWN being that of the code; none named: as its family has them.
    """

    name: str
    family: str
    metric: str = ""
    languages: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    read: Read | Mapping[str, Read]
    labels: tuple[str, ...] = ()
    extension: str = "tsv"
    max_length: int = 128
    source: str = ""
    licence: str = ""
    shared_head: str | None = None
    train_languages: tuple[str, ...] = ("en",)
    trained_on: tuple[str, ...] = ()
    counts: Mapping[str, Counts] = field(default_factory=dict)
    hub: Hub | None = None
    pairs_of: "Task | None" = None
    left_out: Callable[[Any], bool] | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)
    gold: Mapping[str, str] = field(default_factory=dict)
    pool: tuple[str, ...] = ()
    query_length: int | None = None
    negatives: int = 1
    layer: Callable[[int], int] | None = None
    any_language: bool = False
    translated: str | None = None
    spelt: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    need_gold: tuple[str, ...] = NEED_GOLD
    plugins: tuple[str, ...] = ()
    shares: str = ""
    needs: str = ""
    checked: bool = True
    labels_found: bool = False
    written: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        return self.shared_head or self.name

    @property
    def sentences(self) -> str:
        """What its examples are drawn from: the set whose sentences it has, or itself."""
        return self.shares or (self.pairs_of.sentences if self.pairs_of else self.name)

    @property
    def form(self) -> tuple[Any, ...]:
        """What its rows depend on in addition to its files: a user's own task may change in it under one name, and in the code
        of its plugin."""
        texts = self.read.keywords.get("texts") if isinstance(self.read, partial) else None
        layout = (repr(self.read),) if isinstance(self.read, Layout) else ()
        return self.family, self.labels, self.query_length, self.fields, texts, *layout, *map(digest_in, self.plugins)

    def count(self, split: str, language: str) -> int | None:
        """The official number of examples; None where it is not known."""
        counts = self.counts.get(split)
        return counts if isinstance(counts, int) or counts is None else counts.get(language)

    def languages_of(self, split: str) -> tuple[str, ...]:
        """The languages that a split has files of. A training file whose name says no language is of those trained in."""
        if split == "train" and not any("{" in pattern for pattern in self.files.get(split, ("{",))):
            return self.train_languages
        return self.pool if split == POOL else self.languages

    def written_in(self, language: str) -> tuple[str, ...]:
        """The languages of its texts of a code, each once: of a pair both; English in addition, or instead, where so said."""
        own = self.parts(language)
        said = self.written or FAMILIES.get(self.family).written
        return tuple(dict.fromkeys(code for one in said for code in (own if one == OWN else (one,))))

    def mixes(self, language: str) -> bool:
        """Whether a row of a code may hold texts of two languages."""
        return len(self.written_in(language)) > 1 and not FAMILIES.get(self.family).apart

    @property
    def translates(self) -> bool:
        """Whether it is running text with its translation, which is trained or fitted on as it stands."""
        return self.family in ("parallel", "masked-lm") and self.mixes(OWN)

    def on_hub(self, split: str, language: str) -> Hub | None:
        """The data set of the hub that has this split of a language. It has nothing of a language beyond the listed ones."""
        hub = self.hub
        has = hub is not None and split in hub.splits and language in self.languages_of(split) and language not in hub.lacks
        return hub if has else None

    @property
    def predicts(self) -> str:
        """The family in whose form its predictions are."""
        return FAMILIES.get(self.family).predicts or self.family

    def joining(self, asked: Joining) -> Joining | None:
        """How its words become text under `data.words: asked`; None for a task whose texts are not given as words. `text` is
        for treebanks, which say where blanks are; files of official names do not."""
        if self.predicts != "tagging":
            return None
        treebank = any(name.endswith(TREEBANK) for names in self.files.values() for name in names)
        treebank = treebank or (isinstance(self.read, Layout) and self.read.form == "conllu")
        return "joined" if asked == "text" and not treebank else asked

    @property
    def needs_head(self) -> bool:
        """Whether predictions come from a head that was trained, and not from hidden states alone."""
        return FAMILIES.get(self.family).head

    @property
    def scorable(self) -> bool:
        """False for the pairs of a dual encoder, which are trained on and have no candidates to search, and for what has
        no metric, as language models."""
        return bool(self.pool) if self.family == "dual-encoder" else bool(self.metric)

    def check(self, named: Collection[str] | None = None) -> None:
        """Raises UserError for a family or metric that does not exist (as far as plugins that are `named` provide it), with the
        nearest name, and for a metric that cannot score such a task."""
        FAMILIES.get(self.family, named)
        if not self.metric:
            return
        by = metric(self.metric, named)
        read = self.family if self.family in by.families else self.predicts
        if reason := by.refusal(read, self.labels, self.languages):
            raise UserError(reason)

    def own(self, language: str) -> str:
        """The code that this task's files have for a language in any code; the code itself where they have none."""
        if language in self.languages:
            return language
        asked = (
            code
            for code in self.languages
            if same_language(code, language) or same_language(self.members.get(code, code), language)
        )
        return next(asked, language)

    def parts(self, language: str) -> tuple[str, ...]:
        """The codes whose files hold one of its languages: the two of an ordered pair, else the language itself."""
        if self.pairs_of is None:
            return (language,)
        own = set(self.pairs_of.languages)
        ends = (found.start() for found in re.finditer("-", language))
        return next((language[:at], language[at + 1 :]) for at in ends if {language[:at], language[at + 1 :]} <= own)

    def has_language(self, split: str, language: str) -> bool:
        return language in self.languages_of(split) or (
            (self.any_language or self.translated is not None) and bool(LANGUAGE_CODE.fullmatch(language))
        )

    def paths(self, root: Path, split: str, language: str) -> tuple[Path, ...]:
        """The files of a split in a language: the official ones, or the hub's where those exist and the official ones
        are not. Raises UserError for a split or language that the task does not have."""
        if split not in self.files:
            raise UserError(f"task '{self.name}': {unknown('split', split, self.files)}")
        if not self.has_language(split, language):
            raise UserError(f"task '{self.name}': {unknown('language', language, self.languages_of(split))}")
        if self.pairs_of:
            return tuple(path for code in self.parts(language) for path in self.pairs_of.paths(root, split, code))
        if self.fields:
            found = (one for source in self.sources(root, split, language) for one in bitext.files_of(source))
            return tuple(map(Path, found)) or (self._place(root, split, language),)
        if self.translated and language not in self.languages:
            pattern = root / self.translated.replace("{split}", split)
            return (pattern.with_name(pattern.name.format(language=code_in_files(pattern, language))),)
        if self.any_language:
            language = code_in_files(root / self.files[split][0], language)
        name = self.names.get(language, language)
        patterns = (*self.files[split], *([self.gold[split]] if split in self.gold else []))
        official = tuple(root / pattern.format(language=language, name=name) for pattern in patterns)
        if split in self.gold and not official[-1].is_file():
            official = official[:-1]
        if self.spelt and not all(path.is_file() for path in official):
            otherwise = tuple(Path(*(self.spelt.get(part, part) for part in path.parts)) for path in official)
            official = otherwise if all(path.is_file() for path in otherwise) else official
        if (hub := self.on_hub(split, language)) and not all(path.is_file() for path in official):
            return hub.files(root, split, language) or official
        return official

    def is_there(self, root: Path, split: str, language: str) -> bool:
        """Whether all files of a split in a language exist. Raises UserError as `paths` does."""
        if self.fields:
            return bool(self.sources(root, split, language))
        return all(path.is_file() for path in self.paths(root, split, language))

    def sources(self, root: Path, split: str, language: str) -> list[str]:
        """The sources of a corpus: local paths or addresses, in order; none where nothing exists."""
        place = self._corpus(root, split, language)
        return sources.sources(root, place, bitext.begin_pairs) if len(self.fields) > 1 else sources.sources(root, place)

    def _place(self, root: Path, split: str, language: str) -> Path:
        return root / f"{self._corpus(root, split, language)}.txt"

    def _corpus(self, root: Path, split: str, language: str) -> str:
        pattern = self.files[split][0]
        if self.any_language:
            language = code_in_files(root / pattern, language, endings=True)
        return pattern.format(language=language, name=self.names.get(language, language))

    def examples(self, root: str | Path, split: str, language: str) -> Iterator[Any]:
        """The Examples of a split in a language, as published. Raises UserError naming the file that is missing, wrong or
        without an example."""
        root = Path(root)
        if self.fields and (sources := self.sources(root, split, language)):
            found = (block for source in sources for block in corpus.blocks(source, self.fields))
            return (line for block in found for line in corpus.lines(block, self.fields, Counter()))
        paths = self.paths(root, split, language)
        return _check_some(
            self._read(paths, root, split, language), f"{paths[0]}: holds no example ({self.name} {split} {language})"
        )

    def score(self, predictions: Any, examples: Sequence[Any], language: str = "") -> dict[str, float]:
        """The numbers of its metric, in points, of predictions as its family makes them: a label or a number for each example,
        the tags of each, by id an answer or a ranking. Empty where the examples have no gold."""
        from xdist.tasks.family import family_of

        return family_of(self).score(predictions, examples, language)

    def _read(self, paths: tuple[Path, ...], root: Path, split: str, language: str) -> Iterator[Any]:
        if self.pairs_of:
            first, second = (self.pairs_of.examples(root, split, code) for code in self.parts(language))
            return pairs.join(first, second, " and ".join(map(str, dict.fromkeys(paths))), self.left_out)
        for path in paths:
            if self.fields or not path.is_file():
                raise UserError(f"{path}: no such file (task '{self.name}', {split}, {language})")
        need_gold = split in self.need_gold
        if self.hub and paths[0].suffix == ".parquet":
            return self.hub.read(paths, split, language, need_gold, self.labels)
        read = self.read[split] if isinstance(self.read, Mapping) else self.read
        return read(*paths, **({"need_gold": True} if need_gold else {}))


def _check_some(examples: Iterator[Any], message: str) -> Iterator[Any]:
    """`examples`. Raises UserError with the `message` where there are none: a download that failed is not a test set."""
    first = next(examples, None)
    if first is None:
        raise UserError(message)
    yield first
    yield from examples


def per_language(text: str) -> dict[str, int]:
    """{"af": 425, …} from "af 425 ar 1680 …"."""
    words = text.split()
    return {code: int(count) for code, count in zip(words[::2], words[1::2], strict=True)}


def splits(pattern: str, names: tuple[str, ...] = ("train", "dev", "test")) -> dict[str, tuple[str, ...]]:
    """One file per split: `pattern` with `{split}` filled in."""
    return {split: (pattern.replace("{split}", split),) for split in names}


TASKS: Registry[Task] = Registry("task", "xdist.tasks.catalog")
register = TASKS.register
