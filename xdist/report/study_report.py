"""Writing a report on several conditions: its page, Markdown, JSON, CSV, LaTeX tables, figures, and what TensorBoard shows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from xdist.errors import UserError
from xdist.files import write_text
from xdist.report import figures, latex, study_json, study_markdown, study_page
from xdist.report.findings import Findings, findings
from xdist.report.results import Results
from xdist.report.spreadsheet import languages_csv


@dataclass(frozen=True, slots=True)
class Written:
    html: Path
    found: Findings


def write_study_report(results: Results, out: Path, tensorboard: bool = False) -> Written:
    """Each file is written completely or not at all. Raises UserError where nothing has scores yet, and for figures that would
    take the place of a run's own."""
    if not results.tasks and results.left_out:
        raise UserError(f"{results.title}: {results.left_out[0]}")
    if not results.tasks:
        raise UserError(f"{results.title}: no run that is finished has scores yet; there is nothing to report on")
    if tensorboard and (out / "config.yaml").exists():
        raise UserError(f"{out}: is a run folder, and its TensorBoard log would be lost; choose another folder (--out)")
    found, written = findings(results), datetime.now(UTC)
    texts: Mapping[str, str] = {
        "report.html": study_page.render(found, written),
        "report.md": study_markdown.report(found, written),
        "report.json": json.dumps(study_json.content(found, written), ensure_ascii=False, indent=1) + "\n",
        "languages.csv": languages_csv(found.scores),
        **{f"figures/{name}": text for name, text in figures.figures(found).items()},
        **{f"tables/{name}": text for name, text in latex.tables(found).items()},
    }
    for name, text in texts.items():
        write_text(out / name, text)
    if tensorboard:
        from xdist.report.tensorboard import write_events  # imports torch

        write_events(found, out)
    return Written(out / "report.html", found)
