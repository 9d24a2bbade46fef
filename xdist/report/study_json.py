"""A report on several conditions as data: report.json."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from xdist.metrics.significance import Interval
from xdist.report.findings import Findings, costs, statistics
from xdist.report.labelling import Gain
from xdist.report.results import RunFacts
from xdist.report.task_table import Score
from xdist.version import __version__


def content(findings: Findings, written: datetime) -> dict[str, Any]:
    results = findings.results
    return {
        "title": results.title,
        "written": written.isoformat(timespec="seconds"),
        "xdist": __version__,
        "sentences": list(findings.sentences),
        "preliminary": bool(results.preliminary),
        "cautions": findings.cautions,
        "asked": asdict(results.asked) if results.asked else None,
        "frozen": results.asked.frozen if results.asked else "",
        "notes": [*results.notes, *results.missing],
        "not_learnt": dict(results.not_learnt),
        "published": [{**asdict(one), "within_seed_spread": one.within} for one in findings.reproduced],
        "statistics": statistics(findings),
        "conditions": [asdict(one) for one in results.conditions],
        "answer": [
            {
                "group": row.name,
                "headline": row.headline,
                "differences": [
                    {**_interval(one.interval), "p_holm": one.p, "shown": one.shown}
                    | {key: getattr(one, key) for key in ("condition", "against", "languages", "tasks", "seeds", "over")}
                    for one in row.differences
                ],
            }
            for row in findings.answer.rows
        ],
        "tasks": [
            {
                "condition": row.condition,
                "tasks": {name: _score(one) for name, one in row.tasks.items()},
                "mean": _score(row.mean),
                "xtreme_r": _score(row.average),
                "xtreme_r_complete": row.done,
            }
            for row in findings.tasks
        ],
        "beside": [asdict(one) for one in findings.beside],
        "no_gold": {task.name: task.blank for task in results.tasks if task.blank},
        "scores": [
            {"condition": name, "seed": seed, "task": task.name, "metric": task.metric.headline, "languages": numbers}
            for task in results.tasks
            for (name, seed), numbers in task.scores.items()
        ],
        "languages": [
            {
                "condition": one.condition,
                "against": one.against,
                "tasks": {
                    task: {code: {**_interval(c.interval), "p_holm": c.p, "count": c.count} for code, c in cells.items()}
                    for task, cells in one.cells.items()
                },
            }
            for one in findings.languages
        ],
        "pairs": [
            {
                "task": one.task,
                "condition": one.condition,
                "languages": list(one.transfer.languages),
                "matrix": [[None if value != value else float(value) for value in row] for row in one.transfer.matrix],
                "means": {n: {"mean": mean, "sd": sd, "over": one.over[n]} for n, (mean, sd) in one.means.items()},
            }
            for one in findings.pairs
        ],
        "labelling": [
            {
                "task": curve.task,
                "metric": curve.metric,
                "languages": curve.languages,
                "series": curve.series,
                "points": [
                    {"condition": one.condition, "rows": one.rows, "seeds": one.seeds}
                    | {"labelled": _gain(one.labelled), "others": one.others and _gain(one.others)}
                    for one in curve.points
                ],
            }
            for curve in findings.labelling
        ],
        "cost": [asdict(one) for one in costs(results)],
        "runs": [_run(run) for run in results.runs],
    }


def _interval(interval: Interval) -> dict[str, float]:
    return {"difference": interval.difference, "low": interval.low, "high": interval.high, "p": interval.p}


def _gain(gain: Gain) -> dict[str, Any]:
    compared = {**_interval(gain.interval), "p_holm": gain.p, "shown": gain.shown} if gain.interval else {}
    return {"score": gain.score, "languages": gain.languages, **compared}


def _score(score: Score | None) -> dict[str, Any] | None:
    return asdict(score) if score else None


def _run(run: RunFacts) -> dict[str, Any]:
    about = {key: getattr(run, key) for key in ("name", "stage", "state", "reason", "seed", "step", "steps", "hours")}
    return {**about, "tokens_per_second": run.tokens_per_second, "signatures": dict(run.record.signatures)}
