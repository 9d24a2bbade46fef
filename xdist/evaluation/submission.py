"""Predictions in the submission layout of XTREME-R: a folder per task, a file `test-xx.EXT` per language.

| family | EXT | content |
|---|---|---|
| classification | tsv | a label a line; a number, where labels are ranked by |
| multiple-choice | jsonl | `{"label": 0}` a line |
| tagging | tsv | a tag a line, a blank line between sentences |
| sentence-retrieval | tsv | a 0-based row of the other side a line; or rows, see below |
| bitext-mining | tsv | foreign id TAB English id a line |
| span-qa | json | {question id: answer} |
| others | json | {id: [candidate ids, best first]} |

Where a task's metric reads several rows of sentence retrieval, they are in a line, best first; where it reads both ways,
lines for the sentences of the first side follow those for the second's.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from xdist.errors import UserError, unknown
from xdist.files import write_json, write_text
from xdist.formats.lines import field, read_jsonl, read_lines, without_trailing_blanks
from xdist.metrics import metric
from xdist.metrics.retrieval import K
from xdist.strict_json import parsed
from xdist.tasks.catalog import Task


def predictions_path(folder: Path, task: Task, split: str, language: str) -> Path:
    return folder / task.name / f"{split}-{language}.{task.extension}"


def write_predictions(path: Path, task: Task, predictions: Sequence[Any] | Mapping[str, Any]) -> None:
    """What `family.finish` gave, in the layout of the task's family."""
    if isinstance(predictions, Mapping):
        write_json(path, predictions)
    elif task.predicts == "tagging":
        write_text(path, "\n\n".join("\n".join(tags) for tags in predictions) + "\n")
    elif task.predicts == "multiple-choice":
        write_text(path, "".join(f'{{"label": {option}}}\n' for option in predictions))
    elif task.predicts == "sentence-retrieval" and metric(task.metric).nearest > 1:
        write_text(path, "".join(f"{' '.join(map(str, ranking))}\n" for ranking in predictions))
    else:
        write_text(path, "".join(f"{prediction}\n" for prediction in predictions))


def read_predictions(path: Path, task: Task, examples: Sequence[Any], candidates: Collection[str] | None = None) -> Any:
    """Predictions that anyone wrote, in the form that `family.score` takes, one for each of `examples`. Where `candidates` are
    given, rankings name no others.

    Raises UserError that names the file, the first line that is wrong and the number that was expected: predictions that are
    missing, too many, twice, of the wrong size, or that cannot be.
    """
    if task.predicts in READERS:
        return READERS[task.predicts](path, task, examples)
    return _rankings(path, examples, candidates)


def _labels(path: Path, task: Task, examples: Sequence[Any]) -> list[str]:
    rows = _check_count(
        path, ((number, line.strip()) for number, line in without_trailing_blanks(read_lines(path))), len(examples)
    )
    graded = metric(task.metric).graded
    for number, label in rows:
        if graded and not _is_number(label):
            raise UserError(f"{path}:{number}: '{label:.40}' is no number")
        if not graded and label not in task.labels:
            raise UserError(f"{path}:{number}: {unknown('label', label, task.labels)}")
    return [label for _, label in rows]


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _options(path: Path, task: Task, examples: Sequence[Any]) -> list[int]:
    rows = _check_count(path, read_jsonl(path), len(examples))
    labels = [(number, field(record, "label", int, f"{path}:{number}")) for number, record in rows]
    for (number, option), example in zip(labels, examples, strict=True):
        if not 0 <= option < len(example.options):
            raise UserError(f"{path}:{number}: option {option} of an example with options 0 to {len(example.options) - 1}")
    return [option for _, option in labels]


def _rows(path: Path, task: Task, examples: Sequence[Any]) -> list[int] | list[list[int]]:
    by = metric(task.metric)
    queries = sum(side == "english" for side, _ in examples)
    candidates = len(examples) - queries
    lines = _check_count(
        path, ((n, line.strip()) for n, line in without_trailing_blanks(read_lines(path))), queries + candidates * by.both_ways
    )
    chosen = []
    for place, (number, line) in enumerate(lines):
        rows_on_other_side = candidates if place < queries else queries
        ranking, wanted = line.split(" "), min(by.nearest, rows_on_other_side)
        if len(ranking) != wanted or len(set(ranking)) < wanted:
            raise UserError(
                f"{path}:{number}: expected {wanted} different row{'s' * (wanted > 1)}, best first, found '{line:.40}'"
            )
        for row in ranking:
            if not re.fullmatch(r"\d{1,9}", row, re.ASCII) or int(row) >= rows_on_other_side:
                raise UserError(f"{path}:{number}: '{row}' is no row number from 0 to {rows_on_other_side - 1}")
        chosen.append([int(row) for row in ranking])
    return chosen if by.nearest > 1 else [row for (row,) in chosen]


def _pairs(path: Path, task: Task, examples: Sequence[Any]) -> list[str]:
    sides = [{sentence.id for side, sentence in examples if side == name} for name in ("foreign", "english")]
    line_numbers: dict[str, int] = {}
    for number, line in without_trailing_blanks(read_lines(path)):
        cells = line.strip().split("\t")
        if len(cells) != 2:
            raise UserError(f"{path}:{number}: expected 'other id TAB English id', found {line!r:.40}")
        for id, ids in zip(cells, sides, strict=True):
            if id not in ids:
                raise UserError(f"{path}:{number}: there is no sentence '{id}'")
        if line.strip() in line_numbers:
            raise UserError(f"{path}:{number}: this pair is already in line {line_numbers[line.strip()]}")
        line_numbers[line.strip()] = number
    return list(line_numbers)


def _tags(path: Path, task: Task, examples: Sequence[Any]) -> list[list[str]]:
    lines = [(number, line.strip()) for number, line in without_trailing_blanks(read_lines(path))]
    # The official label list has O for every task, UD-POS too: a model trained so may predict it, and is wrong then.
    tags_of = {*task.labels, *(["O"] if task.metric in ("seqeval-0.0.12", "xglue-pos") else [])}
    all_tags: list[list[str]] = []
    at = 0
    for sentence, example in enumerate(examples, start=1):
        where = f"sentence {sentence} of {len(examples)} has {len(example.words)} words"
        tags: list[str] = []
        while at < len(lines) and lines[at][1]:
            number, tag = lines[at]
            if len(tags) == len(example.words):
                raise UserError(f"{path}:{number}: one tag too many: {where}")
            if tag not in tags_of:
                raise UserError(f"{path}:{number}: {unknown('tag', tag, task.labels)}")
            tags.append(tag)
            at += 1
        if len(tags) < len(example.words):
            line, what = (lines[at][0], "a blank line") if at < len(lines) else (len(lines) + 1, "the end")
            raise UserError(f"{path}:{line}: {what} after {len(tags)} tags: {where}")
        all_tags.append(tags)
        at += 1  # the blank line
    if at < len(lines):
        raise UserError(f"{path}:{lines[at][0]}: more than the {len(examples)} sentences expected")
    return all_tags


def _answers(path: Path, task: Task, examples: Sequence[Any]) -> dict[str, str]:
    by_id = _by_id(path, [example.key for example in examples])
    for id, (line, answer) in by_id.items():
        if not isinstance(answer, str):
            raise UserError(f"{path}:{line}: answer to '{id}' must be text, found {json.dumps(answer)[:40]}")
    return {id: answer for id, (_, answer) in by_id.items()}


def _rankings(path: Path, examples: Sequence[Any], candidates: Collection[str] | None) -> dict[str, list[str]]:
    # Examples of retrieval come as (what they are, Example); the queries are those that say what is relevant.
    by_id = _by_id(path, [example.id for _, example in examples if hasattr(example, "relevant")])
    for id, (line, ranking) in by_id.items():
        if not isinstance(ranking, list) or not all(isinstance(item, str) for item in ranking):
            raise UserError(f"{path}:{line}: '{id}' needs a list of candidate ids, found {json.dumps(ranking)[:40]}")
        if len(ranking) > K or len(set(ranking)) < len(ranking):
            what = f"{len(ranking)} candidates, at most {K}" if len(ranking) > K else "a candidate appears twice"
            raise UserError(f"{path}:{line}: '{id}': {what}")
        if candidates is not None and (unknown_ids := [item for item in ranking if item not in candidates]):
            raise UserError(f"{path}:{line}: '{id}': there is no candidate '{unknown_ids[0]:.60}'")
    return {id: ranking for id, (_, ranking) in by_id.items()}


READERS: dict[str, Callable[[Path, Task, Sequence[Any]], Any]] = {
    "classification": _labels,
    "multiple-choice": _options,
    "tagging": _tags,
    "sentence-retrieval": _rows,
    "bitext-mining": _pairs,
    "span-qa": _answers,
}


def _check_count(path: Path, rows: Iterable[tuple[int, Any]], expected: int) -> list[tuple[int, Any]]:
    """`rows` as a list, if there are as many as expected."""
    listed = list(rows)
    if len(listed) < expected:
        raise UserError(f"{path}:{len(listed) + 1}: the end after {len(listed)} predictions, expected {expected}")
    if len(listed) > expected:
        raise UserError(f"{path}:{listed[expected][0]}: more than the {expected} predictions expected ({len(listed)} found)")
    return listed


def _by_id(path: Path, ids: Sequence[str]) -> dict[str, tuple[int, Any]]:
    """{id: (line, value)} of a JSON object that has exactly the keys `ids`."""
    text = "\n".join(line for _, line in read_lines(path))
    pairs = parsed(text, path, pairs=_Pairs)
    if not isinstance(pairs, _Pairs):
        raise UserError(f"{path}:1: expected one JSON object with {len(ids)} ids, found {type(pairs).__name__}")
    lines = _lines_of_keys(text)
    counts, wanted = Counter(key for key, _ in pairs), set(ids)
    seen: set[str] = set()
    for key, _ in pairs:
        if key not in wanted:
            extra = sum(key not in wanted for key in counts)
            raise UserError(f"{path}:{lines(key, 1)}: id '{key}' is not in the gold ({extra} such; expected {len(ids)} ids)")
        if key in seen:
            raise UserError(
                f"{path}:{lines(key, 2)}: id '{key}' appears {counts[key]} times (expected {len(ids)} ids, each once)"
            )
        seen.add(key)
    if missing := [id for id in ids if id not in seen]:
        end = text.rstrip().count("\n") + 1
        raise UserError(f"{path}:{end}: no prediction for '{missing[0]}' ({len(missing)} missing; expected {len(ids)} ids)")
    return {key: (lines(key, 1), value) for key, value in pairs}


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys as written, twice where they appear twice."""


def _lines_of_keys(text: str) -> Callable[[str, int], int]:
    """A function that gives the line of the n-th time that a key is in `text`; the lines are found at the first call."""
    lines: dict[str, list[int]] = {}

    def line(key: str, time: int) -> int:
        if not lines:
            number, since = 1, 0
            for match in re.finditer(r'("(?:[^"\\]|\\.)*")(\s*:)?', text):
                number += text.count("\n", since, match.start())
                since = match.start()
                if match[2]:
                    lines.setdefault(json.loads(match[1]), []).append(number)
        return lines[key][time - 1]

    return line
