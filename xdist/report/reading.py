"""The scores of run folders, from `<run>/scores.json` as the evaluation writes it; errors in them are reported by file and
key."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from xdist.errors import UserError
from xdist.languages import by_size
from xdist.languages.pretraining import recorded_list
from xdist.report.measured import Measured
from xdist.report.record import Record, read_record
from xdist.report.scores import Cell, Column, ScoreTable
from xdist.run.recorded import parse_recorded, recorded_text
from xdist.tasks.collapse import describe_collapse

# What is said of options that make other numbers than the default does: docs/how-to/published-figures.md.
CHOICES = {
    ("evaluate.answers", "official"): "answers were cut at words, as the public recipes do (evaluate.answers: official)",
    ("evaluate.relevance", "expected"): "examples were ranked by their expected label (evaluate.relevance: expected)",
    ("data.words", "official"): "rows end as those of XTREME's scripts (data.words: official)",
    ("data.words", "separate"): "each word was encoded alone (data.words: separate)",
    ("data.words", "text"): "words were joined by the blanks of the treebank (data.words: text)",
}


def read_scores(runs: Sequence[Path]) -> ScoreTable:
    """The scores and records of these run folders. One that cannot be read hides no other. Raises UserError naming file and key
    where none can, and for two runs of one name."""
    if not runs:
        raise UserError("no run to report on: name at least one run folder")
    named: dict[str, list[Column]] = {}
    records: list[Record] = []
    wrong: list[UserError] = []
    for run in runs:
        try:
            name, columns = _read(run / "scores.json")
            record = read_record(run, name)
        except UserError as error:
            wrong.append(error)
            continue
        if name in named:
            raise UserError(f"{run / 'scores.json'}: run: a second run named '{name}'; each run of a report needs its own name")
        named[name] = columns
        records.append(record)
    if not named:
        raise wrong[0]
    columns = [column for columns in named.values() for column in columns]
    tasks = list(dict.fromkeys((column.task, column.metric, column.split) for column in columns))
    columns.sort(key=lambda column: tasks.index((column.task, column.metric, column.split)))
    languages = by_size({code for column in columns for code in column.languages}, columns[0].read)
    return ScoreTable(tuple(named), tuple(columns), tuple(languages), tuple(records), tuple(map(str, wrong)))


def _read(file: Path) -> tuple[str, list[Column]]:
    if not file.exists():
        raise UserError(f"{file}: no such file; a run has scores once it has been evaluated")
    content = parse_recorded(recorded_text(file), file)
    at = _At(file)
    run = at.get(content, "run", str)
    tasks = at.get(content, "tasks", dict)
    if not tasks:
        raise UserError(f"{file}: tasks: no task was scored")
    try:
        read = recorded_list(at.get(content, "pretraining", dict, default={}) or None)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    since = tuple(map(str, at.get(content, "read_since", list, default=[])))
    columns = [_column(at.down("tasks").down(task), run, task, value) for task, value in tasks.items()]
    return run, [replace(column, read=read, read_since=since) for column in columns]


def _column(at: "_At", run: str, task: str, value: Any) -> Column:
    metric = at.get(value, "metric", str)
    trained_on = tuple(at.get(value, "trained_on", list, default=[]))
    languages = at.get(value, "languages", dict)
    if not languages:
        raise UserError(f"{at}.languages: no language was scored")
    cells, blank = {}, []
    for code, numbers in languages.items():
        at_language = at.down("languages").down(code)
        if isinstance(numbers, dict) and set(numbers) == {"count"}:
            blank.append(code)
            continue
        score, count = at_language.number(numbers, metric), at_language.get(numbers, "count", int)
        metrics = {name: at_language.number(numbers, name) for name in numbers if name != "count"}
        cells[code] = Cell(score, count, metrics, code in trained_on)
    mean = at.down("mean").number(at.get(value, "mean", dict), metric) if cells else None
    family, split = at.get(value, "family", str), at.get(value, "split", str, default="")
    scored_by = at.get(value, "scored_by", str, default="")
    alike = tuple(describe_collapse(task, {"collapsed": _alike(at, value)}))
    about = (run, task, family, metric, split, trained_on)
    chosen, how = tuple(at.get(value, "selected_on", list, default=[])), _how(value)
    if chosen:
        how = (*how, f"the model was chosen by the dev sets of {', '.join(map(str, chosen))} too: they are not zero-shot")
    column = Column(*about, cells, mean, scored_by, blank=tuple(blank), collapsed=alike, measured=_measured(at, value))
    return replace(column, selected_on=chosen, how=how)


def _how(value: Any) -> tuple[str, ...]:
    """What was chosen that makes other numbers than the default does, a line each."""
    made = value.get("made_of")
    options = made.get("options") if isinstance(made, dict) else None
    if not isinstance(options, dict):
        return ()
    return tuple(choice_words for (key, choice), choice_words in CHOICES.items() if options.get(key) == choice)


def _alike(at: "_At", value: Any) -> dict[str, Any]:
    collapsed: dict[str, Any] = at.get(value, "collapsed", dict, default={})
    for code, entry in collapsed.items():
        at_language = at.down("collapsed").down(code)
        at_language.get(entry, "predictions", int)
        at_language.get(entry, "are", str)
    return collapsed


def _measured(at: "_At", value: Any) -> dict[str, Measured]:
    measured = {}
    for code, counts in at.get(value, "measured", dict, default={}).items():
        at_language = at.down("measured").down(code)
        for key in ("rows", "pieces", "unknown", "units", "changed"):
            at_language.get(counts, key, int)
        for key in ("per", "form"):
            at_language.get(counts, key, str)
        measured[code] = Measured.of(counts)
    return measured


_KINDS = {str: "a text", int: "an integer", (int, float): "a number", list: "a list", dict: "a mapping"}


@dataclass(frozen=True, slots=True)
class _At:
    """A place in a file, for errors: `runs/a/scores.json: tasks.xquad.languages`."""

    file: Path
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {'.'.join(self.keys)}" if self.keys else str(self.file)

    def down(self, key: str) -> "_At":
        return _At(self.file, (*self.keys, key))

    def get(self, mapping: Any, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """`mapping[key]`, which must be of `kind`; required unless a default is given."""
        if not isinstance(mapping, dict):
            raise UserError(f"{self}: expected a mapping, found {json.dumps(mapping)[:40]}")
        if key not in mapping and default is None:
            raise UserError(f"{self.down(key)}: missing{_near(key, mapping)}")
        value = mapping.get(key, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UserError(f"{self.down(key)}: expected {_KINDS[kind]}, found {json.dumps(value)[:40]}")
        return value

    def number(self, mapping: Any, key: str) -> float:
        """`mapping[key]` as a finite number."""
        value = self.get(mapping, key, (int, float))
        if not math.isfinite(value):
            raise UserError(f"{self.down(key)}: not a finite number")
        return float(value)


def _near(key: str, present: Iterable[str]) -> str:
    close = get_close_matches(key, list(present), n=1, cutoff=0.5)
    return f"; is '{close[0]}' meant?" if close else f" (present: {', '.join(sorted(present))})"
