"""From the scores of finished runs to something to read: a terminal table, report.html, report.md, report.json."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xdist.files import write_text
from xdist.languages import CC100
from xdist.report import markdown, page
from xdist.report.record import Record
from xdist.report.scores import Column, Mean, ScoreTable, group_of, name_of, read_scores
from xdist.version import __version__


@dataclass(frozen=True, slots=True)
class ReportPaths:
    html: Path
    markdown: Path
    json: Path
    scores: ScoreTable


def write_report(runs: Sequence[Path], out: Path, notes: Sequence[str] = (), title: str = "Scores by language") -> ReportPaths:
    """Writes report.html, report.md and report.json of these run folders into `out`, each whole or not at all.

    `notes` are sentences on what the numbers can and cannot say. A run that cannot be read is told and left
    out. Raises UserError where none can.
    """
    scores = read_scores(runs)
    records = scores.records
    notes = [*notes, *scores.unknown, *(f"left out: {line}" for line in scores.left_out)]
    written = datetime.now(UTC)
    paths = ReportPaths(out / "report.html", out / "report.md", out / "report.json", scores)
    texts = {
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
        "languages": [_language(code) for code in scores.languages],
        "columns": [_column(column) for column in scores.columns],
        "runs": [{"run": record.name, "environment": dict(record.environment)} for record in records],
    }


def _language(code: str) -> dict[str, Any]:
    return {"code": code, "name": name_of(code), "group": group_of(code), "pretraining_gib": CC100.size(code)}


def _column(column: Column) -> dict[str, Any]:
    means = {row: _mean(mean) if mean else None for row, mean in column.summary.items()}
    cells: dict[str, Any] = {
        code: {**cell.metrics, "count": cell.count, "trained": cell.trained, "small": cell.small}
        for code, cell in column.cells.items()
    }
    cells |= dict.fromkeys(column.blank)
    about = {key: getattr(column, key) for key in ("task", "run", "family", "metric", "split", "trained_on")}
    return {**about, "means": means, "languages": cells, "no_gold": list(column.blank)}


def _mean(mean: Mean) -> dict[str, Any]:
    """`of` where it is not whole."""
    return {"score": mean.score, "languages": mean.languages, **({"of": mean.of} if mean.over else {})}
