"""Where the parts of an example are in files of any usual form, as a user describes them: one value, which reads them.

Layout(family="classification", form="csv", columns={"text": ("tweet",), "label": ("gold",)}, names={"0": "negative"}, …)
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from xdist.errors import UserError, unknown
from xdist.formats import conll, parallel, squad, tables, treebank
from xdist.formats.columns import value_at
from xdist.formats.examples import Choice, Classified, Question, Sentence, Tagged
from xdist.formats.gold import with_uniform_gold
from xdist.formats.lines import show_value
from xdist.formats.squad import Keys, answers
from xdist.formats.through_datasets import TableRow

ENDINGS = {
    **dict.fromkeys(("conll", "iob", "iob2", "bio", "ner"), "conll"),
    **dict.fromkeys(("tsv", "tab"), "tsv"),
    **dict.fromkeys(("jsonl", "ndjson"), "jsonl"),
    **{name: name for name in ("conllu", "csv", "parquet")},
}
# The columns of each family, in the order of an example's parts; the last is its gold.
ROLES = {
    "classification": (("text", "label"), ("text1", "text2", "label")),
    "tagging": (("word", "tag"),),
    "multiple-choice": (("prompt", "options", "label"),),
    "span-qa": (("question", "context", "answers"),),
    "sentence-retrieval": (("text1", "text2"),),
}
FORMS = {
    "classification": ("tsv", "csv", "jsonl", "parquet"),
    "tagging": ("conll", "conllu", "jsonl", "parquet"),
    "multiple-choice": ("jsonl", "csv", "tsv", "parquet"),
    "span-qa": ("squad", "jsonl", "parquet"),
    "sentence-retrieval": ("parallel", "tsv", "csv", "jsonl", "parquet"),
}
PlacedExample = tuple[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`form` is one of FORMS; empty: by each file's ending. `columns` are names in the header or the keys of records
    (`answers.text` is a field of `answers`), or numbers from 1, by their meaning (ROLES); several texts are joined by a
    blank. `names`: what the values of the gold column are called, of a choice their numbers from 0. `labels`: those that there
    are; none: any, which shows what there is. `header`, `quotes`: of TSV and CSV, as in `tables.rows`, null: by `columns`.
    `comment` and `prefixed`: of CoNLL, as in `conll.sentences`."""

    family: str
    form: str = ""
    columns: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    header: bool | None = None
    quotes: bool = False
    comment: str = ""
    prefixed: bool = False

    def __call__(self, *paths: Path, need_gold: bool = False) -> Iterator[Any]:
        """The examples of the files of a split, in order. Raises UserError naming file and line (of SQuAD the question): not
        this form, no such column, a value that cannot be there, an unknown label, gold in some examples alone, none
        under `need_gold`."""
        if self.family == "sentence-retrieval":
            return self._sides(paths)
        placed = (example for path in paths for example in self.placed(path, need_gold))
        return with_uniform_gold(placed, need_gold, self._expected)

    def placed(self, path: Path, need_gold: bool = False) -> Iterator[PlacedExample]:
        """(file:line, example) of each."""
        form = self.form_of(path)
        if form == "conllu":
            named = self._number("tag", treebank.UPOS)
            for where, sentence in treebank.sentences(path, () if self.names else self.labels, named):
                yield (
                    where,
                    replace(sentence, tags=tuple(self._label(tag, where) or "" for tag in sentence.tags))
                    if sentence.tags
                    else sentence,
                )
        elif form == "conll":
            columns = conll.WordColumns(self._number("word", 1), self._number("tag", -1), self.comment, self.prefixed)
            yield from conll.sentences(path, columns, self.labels, self.names)
        elif form == "squad":
            yield from squad.questions(path)
        else:
            key = Keys()
            for number, (where, row) in enumerate(self.rows(path, form)):
                example = _MAKE[self.family](self, row, need_gold, where, number)
                yield where, replace(example, key=key(example.id)) if isinstance(example, Question) else example

    def form_of(self, path: Path) -> str:
        """The form of a file. Raises UserError where neither the description nor its ending says it."""
        ending = path.suffix.removeprefix(".").lower()
        form = self.form or ("squad" if ending == "json" and self.family == "span-qa" else ENDINGS.get(ending, ""))
        if self.family == "tagging" and form in ("tsv", ""):
            return "conll"  # words with their tags are in files of any ending, as sentences do
        if self.family == "sentence-retrieval" and not form:
            return "parallel"
        if form not in FORMS[self.family]:
            forms = ", ".join(FORMS[self.family])
            raise UserError(f"{path}: its ending does not say what form a {self.family} file has; add `form:` ({forms})")
        return form

    def rows(self, path: Path, form: str) -> Iterator[tables.PlacedRow]:
        """The rows of a table, in which every column of this layout goes by the name that the layout has for it."""
        named = [column for columns in self.columns.values() for column in columns]
        header = any(not column.isdigit() for column in named) if self.header is None else self.header
        stored = self.stored(path) if form == "parquet" else self.names
        places: dict[str, str] = {}
        for number, (where, row) in enumerate(tables.rows(path, form, header=header, quotes=self.quotes)):
            if not number and form in ("tsv", "csv"):
                names = list(row)
                places = {
                    one: names[int(one) - 1] for one in named if one.isdigit() and one not in row and 0 < int(one) <= len(row)
                }
            renamed = {**row, **{one: row[name] for one, name in places.items()}}
            yield where, renamed | {_NAMES: stored}

    def stored(self, path: Path) -> Mapping[str, str]:
        """The names of the gold's values; where none are described, those that a Parquet file says for its integers."""
        gold = self.columns.get(self._gold, ("",))[0]
        return self.names or {str(number): name for number, name in enumerate(tables.stored_names(path, gold))}

    @property
    def _gold(self) -> str:
        return ROLES[self.family][-1][-1]

    @property
    def _expected(self) -> str:
        return " and ".join(f"{role} in '{' '.join(columns)}'" for role, columns in self.columns.items())

    def _number(self, role: str, otherwise: int) -> int:
        (column,) = self.columns.get(role, (str(otherwise),))
        return int(column)

    def _sides(self, paths: tuple[Path, ...]) -> Iterator[tuple[str, Sentence]]:
        if self.form_of(paths[0]) == "parallel":
            return parallel.read_filled(*paths)
        rows = self.rows(paths[0], self.form_of(paths[0]))
        first, second = self.columns["text1"], self.columns["text2"]
        texts = [(_text(row, first, where), _text(row, second, where)) for where, row in rows]
        return parallel.sides([one for one, _ in texts], [other for _, other in texts])

    def _label(self, value: Any, where: str, names: Mapping[str, str] | None = None) -> str | None:
        """What a value of the gold column says; None where it is blanked."""
        if isinstance(value, bool | float | list | dict):
            raise UserError(f"{where}: a label cannot be {show_value(value)}")
        names = self.names if names is None else names
        text = "" if value is None else str(value).strip()
        if text not in names and (not text or value == -1):
            return None
        label = names.get(text, text)
        if names and text not in names and text not in names.values():
            raise UserError(f"{where}: {unknown('label', text, [*names])}")
        if self.labels and label not in self.labels:
            raise UserError(f"{where}: {unknown('label', label, self.labels)}")
        return label


_NAMES = "\0names"  # no column is called so


def _value(row: TableRow, column: str, where: str) -> Any:
    return row[column] if column in row else value_at({name: row[name] for name in row if name != _NAMES}, column, where)


def _text(row: TableRow, columns: tuple[str, ...], where: str) -> str:
    texts = [_value(row, column, where) for column in columns]
    for column, text in zip(columns, texts, strict=True):
        if not isinstance(text, str):
            raise UserError(f"{where}: column '{column}' cannot hold {show_value(text)}")
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(f"{where}: column '{column}': not text: half a surrogate pair")
    return " ".join(texts)


def _gold_at(row: TableRow, column: str, needed: bool, where: str) -> Any:
    """The value of the gold column; None where the file has none and need not. A name that is nearly that of a column is a
    error and not a file without gold."""
    if column in row or "." in column or needed:
        return _value(row, column, where)
    names = [name for name in row if name != _NAMES]
    return _value(row, column, where) if get_close_matches(column, names, n=1, cutoff=0.7) else None


def _classified(layout: Layout, row: TableRow, needed: bool, where: str, number: int) -> Classified:
    *parts, gold = layout.columns
    texts = tuple(_text(row, layout.columns[part], where) for part in parts)
    label = _gold_at(row, layout.columns[gold][0], needed, where)
    return Classified(texts=texts, label=layout._label(label, where, row[_NAMES]))


def _tagged(layout: Layout, row: TableRow, needed: bool, where: str, number: int) -> Tagged:
    words = _value(row, layout.columns["word"][0], where)
    tags = _gold_at(row, layout.columns["tag"][0], needed, where)
    for role, value in (("word", words), ("tag", tags if tags is not None else [])):
        if not isinstance(value, list):
            raise UserError(f"{where}: column '{layout.columns[role][0]}' cannot hold {show_value(value)}: expected a list")
    for place, text in enumerate(words, start=1):
        if not isinstance(text, str):
            raise UserError(f"{where}: item {place} of '{layout.columns['word'][0]}' cannot be {show_value(text)}")
    labels = [layout._label(tag, where, row[_NAMES]) for tag in tags or ()]
    if not any(label is not None for label in labels):
        return Tagged(words=tuple(words))
    if len(labels) != len(words) or None in labels:
        raise UserError(f"{where}: {sum(label is not None for label in labels)} tags for {len(words)} words")
    return Tagged(words=tuple(words), tags=tuple(label for label in labels if label is not None))


def _choice(layout: Layout, row: TableRow, needed: bool, where: str, number: int) -> Choice:
    columns = layout.columns["options"]
    options = [_value(row, column, where) for column in columns]
    if len(columns) == 1:
        (options,) = options
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options) or len(options) < 2:
        raise UserError(f"{where}: '{' '.join(columns)}' holds no list of texts, of which one is to be chosen")
    label = layout._label(_gold_at(row, layout.columns["label"][0], needed, where), where)
    if label is not None and label not in (valid := [str(place) for place in range(len(options))]):
        raise UserError(f"{where}: {unknown('label', label, valid)}")
    prompt = _text(row, layout.columns["prompt"], where)
    return Choice(prompt=prompt, options=tuple(options), label=None if label is None else int(label))


def _question(layout: Layout, row: TableRow, needed: bool, where: str, number: int) -> Question:
    question, context = (_text(row, layout.columns[role], where) for role in ("question", "context"))
    gold = _gold_at(row, layout.columns["answers"][0], needed, where)
    id = str(row["id"]) if isinstance(row.get("id"), str | int) else str(number)
    spans = None
    if gold is not None:
        texts, starts = value_at(gold, "text", where), value_at(gold, "answer_start", where)
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise UserError(f"{where}: answers are two lists of one length, 'text' and 'answer_start'")
        for start, text in zip(starts, texts, strict=True):
            if not isinstance(start, int) or isinstance(start, bool) or not isinstance(text, str):
                raise UserError(f"{where}: an answer is a number and a text, found {show_value(start)} and {show_value(text)}")
        spans = answers(context, zip(starts, texts, strict=True), f"{where}: question '{id}'")
    return Question(key=id, id=id, question=question, context=context, answers=spans)


_MAKE: dict[str, Callable[[Layout, TableRow, bool, str, int], Any]] = {
    "classification": _classified,
    "tagging": _tagged,
    "multiple-choice": _choice,
    "span-qa": _question,
}
