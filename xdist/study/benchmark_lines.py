"""What a benchmark found, as lines of JSON: a score per task and language, means, and what there is no score of, and why."""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from xdist.metrics import metric
from xdist.metrics.average import Variant, benchmark
from xdist.report.naming import group_of, name_of
from xdist.report.reading import read_scores
from xdist.report.results import mean_and_spread
from xdist.report.scores import ALL, SUMMARY, ZERO_SHOT, Column, ScoreTable
from xdist.run.folder import RunFolder
from xdist.study.benchmark import PlannedBenchmark
from xdist.study.expansion import Graph
from xdist.study.state import Standing
from xdist.tasks.catalog import task

FILE = "scores.jsonl"
TRAINED, SUITE = "trained on", "suite"
VARIANTS: tuple[Variant, ...] = ("official", "f1")
ScoreLine = dict[str, Any]
BySeed = Mapping[int, Column]


def text_of(lines: Sequence[ScoreLine]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def benchmark_lines(planned: PlannedBenchmark, graph: Graph, standings: Mapping[str, Standing]) -> list[ScoreLine]:
    """A line for each language of a task (`score` in points of its metric, the mean over `seeds`, `std` their spread), each
    mean over languages, the mean over tasks where the suite has one, each task without a score (`absent`) and each `remark`.
    `trained`: whether the task was trained on that language, so that its score is not zero-shot."""
    request = planned.asked
    columns, remarks = _columns(graph, standings)
    about = {"suite": request.suite.name, "model": request.model}
    lines: list[ScoreLine] = []
    for name in request.suite.tasks:
        if name in columns:
            lines += _of_task(name, columns[name], len(request.suite.tasks[name]))
    if request.suite.suite.average:
        every = tuple(request.suite.tasks)
        lines += [_over_tasks(planned, columns, variant, SUITE, every) for variant in VARIANTS]
    for mean, names in request.suite.suite.means.items():
        lines.append(_over_tasks(planned, columns, "f1", mean, names))
    absent = {**planned.absent, **_failed_tasks(graph, standings, columns)}
    lines += [{"absent": name, "reason": reason} for name, reason in absent.items()]
    lines += [
        {"task": name, "remark": f"{len(codes)} languages have no files", "languages": list(codes)}
        for name, codes in planned.missing.items()
    ]
    lines += [{"remark": remark} for remark in remarks]
    return [{**about, **line} for line in lines]


def _columns(graph: Graph, standings: Mapping[str, Standing]) -> tuple[dict[str, dict[int, Column]], list[str]]:
    """By task and seed its scores, and what is to be said of them."""
    columns: dict[str, dict[int, Column]] = {}
    remarks: dict[str, None] = {}
    read: dict[Path, ScoreTable] = {}
    for point in graph.points:
        folder = graph.nodes[point.last].run.folder
        if standings[point.last].state != "finished" or not RunFolder(folder).scores.exists():
            continue
        if folder not in read:
            read[folder] = read_scores([folder])
            seed = f" (seed {point.seed})" if len(graph.study.seeds) > 1 else ""
            remarks |= dict.fromkeys(f"{line}{seed}" for line in read[folder].remarks)
        wanted = {(subset.task.name, subset.language) for subset in graph.nodes[point.last].resolved.subsets.evaluation}
        for column in read[folder].columns:
            columns.setdefault(column.task, {})[point.seed] = _wanted_cells(column, wanted)
    return columns, list(remarks)


def _wanted_cells(column: Column, wanted: Set[tuple[str, str]]) -> Column:
    """`column` without languages that were scored before, and are not requested now."""
    cells = {code: cell for code, cell in column.cells.items() if (column.task, code) in wanted}
    blank = tuple(code for code in column.blank if (column.task, code) in wanted)
    return replace(column, cells=cells, blank=blank, mean=fmean(cell.score for cell in cells.values()) if cells else None)


def _of_task(name: str, by_seed: BySeed, of: int) -> Iterator[ScoreLine]:
    first = next(iter(by_seed.values()))
    about = {"task": name, "split": first.split, "metric": first.metric}
    seeds = {"seeds": list(by_seed)}
    read = {"pretraining": first.read.name}  # the list that groups are made by
    for code in first.languages:
        cells = [column.cells[code] for column in by_seed.values() if code in column.cells]
        its = {"name": name_of(code), "group": group_of(code, first.read), "trained": code in first.trained_on}
        line = {**about, "language": code, **its}
        if len(cells) < len(by_seed):
            yield {**line, "score": None, "reason": "no gold"}
            continue
        score, spread = mean_and_spread([cell.score for cell in cells])
        metrics = {key: mean_and_spread([cell.metrics[key] for cell in cells])[0] for key in cells[0].metrics}
        yield {**line, "score": score, "std": spread, "count": cells[0].count, "metrics": metrics, **seeds}
    for row in (TRAINED, *first.summary):
        means = [_row(column, row) for column in by_seed.values()]
        scores = [mean[0] for mean in means if mean]
        if not means or len(scores) < len(means):
            continue
        score, spread = mean_and_spread(scores)
        whole = {"of": of} if row == ALL else {}
        yield {
            **about,
            "mean": row,
            "score": score,
            "std": spread,
            "languages": means[0][1] if means[0] else 0,
            **whole,
            **read,
            **seeds,
        }


def _row(column: Column, row: str) -> tuple[float, int] | None:
    """(score, number of languages) of a mean over languages."""
    if row == TRAINED:
        scores = [cell.score for cell in column.cells.values() if cell.trained]
        return (sum(scores) / len(scores), len(scores)) if scores else None
    mean = column.summary.get(row)
    return (mean.score, mean.languages) if mean else None


def _over_tasks(
    planned: PlannedBenchmark, columns: Mapping[str, BySeed], variant: Variant, mean: str, names: Sequence[str]
) -> ScoreLine:
    """The mean of that name over tasks of the suite, each over exactly its languages: null unless all have scores, with every
    seed."""
    languages = {name: planned.asked.suite.tasks[name] for name in names}
    metrics = {name: metric(task(name).metric) for name in languages}
    averages = []
    for seed in planned.study.seeds:
        scores = {
            name: {code: cell.metrics for code, cell in by_seed[seed].cells.items()}
            for name, by_seed in columns.items()
            if name in languages and seed in by_seed
        }
        averages.append(benchmark(scores, languages, metrics, variant))
    done = min(average.done for average in averages)
    values = [average.value for average in averages if average.value is not None]
    score, spread = mean_and_spread(values) if len(values) == len(averages) else (None, None)
    return {"mean": mean, "variant": variant, "score": score, "std": spread, "tasks": done, "of": len(languages)}


def _failed_tasks(graph: Graph, standings: Mapping[str, Standing], columns: Mapping[str, BySeed]) -> dict[str, str]:
    """Tasks whose runs have not come to an end."""
    reasons: dict[str, str] = {}
    for point in graph.points:
        now = standings[point.last]
        evaluate = graph.nodes[point.last].run.evaluate
        for name in evaluate.tasks if evaluate and now.state != "finished" else ():
            if name not in columns:
                reasons.setdefault(name, f"{now.state}: {now.reason}" if now.reason else now.state)
    return reasons


def table(lines: Sequence[ScoreLine]) -> list[tuple[str, ...]]:
    """A small table, its head first: of each task metric and languages, then the means that any of them has, those that are
    zero-shot and those that are not first."""
    means: dict[str, dict[str, ScoreLine]] = {}
    for line in lines:
        if "mean" in line and "task" in line:
            means.setdefault(line["task"], {})[line["mean"]] = line
    other_groups = [
        row for row in SUMMARY if row not in (ZERO_SHOT, ALL) and any(row in by_group for by_group in means.values())
    ]
    rows = [("task", "metric", "languages", TRAINED, ZERO_SHOT, *other_groups)]
    for name, by_group in means.items():
        whole = by_group[ALL]
        count = f"{whole['languages']} of {whole['of']}" if whole["languages"] < whole["of"] else str(whole["of"])
        rows.append((name, whole["metric"], count, *(format_points(by_group.get(row)) for row in rows[0][3:])))
    return rows


def format_points(line: ScoreLine | None) -> str:
    """'86.8 ± 1.2': points, and how far seeds spread."""
    if line is None or line["score"] is None:
        return ""
    spread = f" ± {line['std']:.1f}" if line.get("std") is not None else ""
    return f"{line['score']:.1f}{spread}"
