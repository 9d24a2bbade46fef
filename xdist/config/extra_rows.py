"""Rows of others in addition to a report's own: scores that were published, or that a language model got. Nothing of them was
run here.

```json
{"rows": [{"name": "XLM-R large", "source": "arXiv 1911.02116", "tasks": {"xnli": 79.2}, "metrics": {"xnli": "accuracy"}}]}
```
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from xdist.config.loading import load
from xdist.config.section import Section
from xdist.errors import UserError, unknown


class ExtraRow(Section):
    name: str = Field(min_length=1, max_length=100, description="what the system is called")
    source: str = Field(min_length=1, max_length=300, description="where the scores come from")
    tasks: dict[str, float] = Field(min_length=1, description="by task its mean score, in the unit of the report")
    metrics: dict[str, str] = Field({}, description="by task the number that it is; refused where the report has another")


class ExtraRows(Section):
    rows: tuple[ExtraRow, ...] = Field(min_length=1, description="a system each")


def read_extra_rows(path: Path, metrics: Mapping[str, str]) -> tuple[ExtraRow, ...]:
    """The rows of a file; `metrics`: by task of the report the number it shows. Raises UserError naming file, line and key, for
    a task that the report does not have and a number that is another than its own, too."""
    found, source = load(ExtraRows, path)
    for number, row in enumerate(found.rows):
        for part in ("tasks", "metrics"):
            for task in getattr(row, part):
                if task not in metrics:
                    raise UserError(
                        f"{source.at(('rows', number, part, task))}: {unknown('task of the report', task, metrics)}"
                    )
        for task, name in row.metrics.items():
            if name != metrics[task]:
                where = source.at(("rows", number, "metrics", task))
                raise UserError(f"{where}: the report shows {metrics[task]} of {task}, not {name}")
    return found.rows
