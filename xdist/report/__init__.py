"""From the scores of finished runs to something to read: a terminal table, a page, Markdown, JSON and a spreadsheet."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xdist.files import write_text
from xdist.languages import Pretraining
from xdist.report import markdown, page
from xdist.report.naming import family_of, group_of, name_of, script_of
from xdist.report.reading import read_scores
from xdist.report.record import Record
from xdist.report.scores import Column, Mean, ScoreTable
from xdist.report.spreadsheet import languages_csv
from xdist.version import __version__


@dataclass(frozen=True, slots=True)
class ReportPaths:
    html: Path
    markdown: Path
    json: Path
    scores: ScoreTable


def write_report(runs: Sequence[Path], out: Path, notes: Sequence[str] = (), title: str = "Scores by language") -> ReportPaths:
    """Writes report.html, report.md, report.json and languages.csv of these run folders into `out`, each completely or not at
    all.

    `notes` are sentences on what the numbers can and cannot say. A run that cannot be read is reported and left
    out. Raises UserError where none can.
    """
    return write_scores(read_scores(runs), out, notes, title)


def write_scores(scores: ScoreTable, out: Path, notes: Sequence[str], title: str) -> ReportPaths:
    """The same of scores that were read already."""
    records = scores.records
    notes = [*notes, *scores.unknown, *(f"skipped: {line}" for line in scores.left_out)]
    written = datetime.now(UTC)
    paths = ReportPaths(out / "report.html", out / "report.md", out / "report.json", scores)
    texts = {
        out / "languages.csv": languages_csv(scores),
        paths.html: page.render(title, scores, records, notes, written),
        paths.markdown: markdown.report(title, scores, records, notes, written),
        paths.json: json.dumps(_content(title, scores, records, notes, written), ensure_ascii=False, indent=1) + "\n",
    }
    for path, text in texts.items():
        write_text(path, text)
    return paths


def _content(
    title: str, scores: ScoreTable, records: Sequence[Record], notes: Sequence[str], written: datetime
) -> dict[str, Any]:
    return {
        "title": title,
        "written": written.isoformat(timespec="seconds"),
        "xdist": __version__,
        "notes": [*notes, *scores.remarks],
        "pretraining": [_list(read) for read in scores.lists],
        "languages": [_language(code, scores) for code in scores.languages],
        "columns": [_column(column) for column in scores.columns],
        "runs": [
            {"run": record.name, "environment": dict(record.environment), "signatures": dict(record.signatures)}
            for record in records
        ],
    }


def _list(read: Pretraining) -> dict[str, Any]:
    return {key: getattr(read, key) for key in ("name", "title", "source", "unit", "low", "mid")}


def _language(code: str, scores: ScoreTable) -> dict[str, Any]:
    """`group`, and how much was read in the unit of the list, by the first list; of several `by_list` has each."""
    by_list = [{"list": one.name, "group": group_of(code, one), "pretraining": one.size(code)} for one in scores.lists]
    about = {"code": code, "name": name_of(code), "family": family_of(code), "script": script_of(code)}
    first = {key: by_list[0][key] for key in ("group", "pretraining")}
    measured = {"measured": [one.data for one in scores.measured(code)]} if scores.is_measured else {}
    return {**about, **first, **({"by_list": by_list} if len(by_list) > 1 else {}), **measured}


def _column(column: Column) -> dict[str, Any]:
    means = {row: _mean(mean) if mean else None for row, mean in column.summary.items()}
    cells: dict[str, Any] = {
        code: {**cell.metrics, "count": cell.count, "trained": cell.trained, "small": cell.small}
        for code, cell in column.cells.items()
    }
    cells |= dict.fromkeys(column.blank)
    about = {key: getattr(column, key) for key in ("task", "run", "family", "metric", "split", "trained_on", "selected_on")}
    about["pretraining"] = column.read.name
    return {**about, "means": means, "languages": cells, "no_gold": list(column.blank)}


def _mean(mean: Mean) -> dict[str, Any]:
    """`of` where it is not complete."""
    return {"score": mean.score, "languages": mean.languages, **({"of": mean.of} if mean.over else {})}
