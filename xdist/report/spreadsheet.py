"""The table of languages as CSV: for spreadsheets and for your own figures."""

import csv
import io

from xdist.report.naming import family_of, name_of, script_of
from xdist.report.scores import ScoreTable

ABOUT = ("code", "name", "family", "script", "group")


def languages_csv(scores: ScoreTable) -> str:
    """A row per language, a column per task and run; what is not there is empty. Of several encoders group and size are parted
    by slashes; how a tokenizer splits a language is shown for each."""
    tokenizers = max((len(scores.measured(code)) for code in scores.languages), default=0)
    measures = [f"{name}{number or ''}" for number in range(tokenizers) for name in ("unknown %", "pieces", "per", "changed %")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    labels = [f"{scores.label(column)} ({column.metric})" for column in scores.columns]
    writer.writerow([*ABOUT, f"read ({scores.unit})", *measures, *labels])
    for code in scores.languages:
        about = [code, name_of(code), family_of(code), script_of(code), "/".join(scores.groups(code))]
        taken = [
            value
            for one in scores.measured(code)
            for value in (f"{one.unknown_share:.3f}", f"{one.fertility:.4f}", one.per, f"{one.changed_share:.3f}")
        ]
        taken += [""] * (len(measures) - len(taken))
        cells = [column.cells.get(code) for column in scores.columns]
        writer.writerow([*about, scores.size(code), *taken, *(f"{cell.score:.4f}" if cell else "" for cell in cells)])
    return out.getvalue()
