"""The report as Markdown: report.md, and the short table by resource group that a README carries."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from xdist.report.measured import HEADS, SAID
from xdist.report.naming import name_of
from xdist.report.record import Record
from xdist.report.scores import SMALL, Column, ScoreTable


def escaped(text: str) -> str:
    """`text` as itself on one line: no markup of Markdown or HTML in it takes effect."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", plain)


def readme_table(scores: ScoreTable) -> str:
    """A row per resource group: mean score and number of languages, a column per task and run."""
    rows = [[row, *(_mean(column, row) for column in scores.columns)] for row in scores.rows]
    return table(["mean over", *(_header(scores, column) for column in scores.columns)], rows)


def language_table(scores: ScoreTable) -> str:
    """A row per language, from least to most pre-training text."""
    extra = HEADS if scores.is_measured else ()
    headers = ["language", "group", escaped(scores.unit), *extra, *(_header(scores, column) for column in scores.columns)]
    rows = []
    for code in scores.languages:
        language = f"{name_of(code)} ({escaped(code)})" if name_of(code) != code else escaped(code)
        cells = (_cell(column, code) for column in scores.columns)
        rows.append(
            [language, "/".join(scores.groups(code)), scores.size(code), *(scores.measures(code) if extra else []), *cells]
        )
    return table(headers, rows, texts=2)


def report(title: str, scores: ScoreTable, records: Sequence[Record], notes: Sequence[str], written: datetime) -> str:
    parts = [f"# {escaped(title)}", f"Written {written:%Y-%m-%d %H:%M} UTC. Scores in the unit of their metric."]
    parts += ["## Means by resource group", readme_table(scores)]
    parts.append("In brackets: how many languages the mean is over; tasks cover different languages.")
    if said := [*notes, *scores.remarks]:
        parts += ["## What this can and cannot say", "\n".join(f"- {escaped(note)}" for note in said)]
    parts += ["## Every language", language_table(scores)]
    parts.append(
        f"† the task was trained on this language. \\* fewer than {SMALL} test examples. {escaped(' '.join(scores.said))}"
    )
    if scores.is_measured:
        parts.append(escaped(SAID))
    parts.append("## Provenance")
    parts += [part for record in records for part in _provenance(record)]
    return "\n\n".join(parts) + "\n"


def _provenance(record: Record) -> Iterator[str]:
    yield f"### {escaped(record.name)}"
    if record.environment:
        yield "\n".join(f"- {escaped(key)}: {escaped(value)}" for key, value in record.environment.items())
    if record.config:
        longest = max((len(run) for run in re.findall(r"`+", record.config)), default=0)
        fence = "`" * max(3, longest + 1)
        yield f"{fence}yaml\n{record.config.rstrip()}\n{fence}"


def _header(scores: ScoreTable, column: Column) -> str:
    run = f", {escaped(column.run)}" if len(scores.runs) > 1 else ""
    return f"{escaped(column.task)}{run} ({escaped(column.metric)})"


def _mean(column: Column, row: str) -> str:
    mean = column.summary[row]
    return f"{mean.score:.1f} ({mean.over or mean.languages})" if mean else "–"


def _cell(column: Column, code: str) -> str:
    cell = column.cells.get(code)
    if cell is None:
        return "–"
    return f"{cell.score:.1f}{'†' if cell.trained else ''}{chr(92) + '*' if cell.small else ''}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """`texts` columns are left-aligned, the rest are numbers."""
    rule = ["---"] * texts + ["--:"] * (len(headers) - texts)
    return "\n".join("| " + " | ".join(row) + " |" for row in (headers, rule, *rows))
