"""A report on several conditions as Markdown: report.md."""

from collections.abc import Iterator
from datetime import datetime

from xdist.report.asked import HEADS as ASKED_HEADS
from xdist.report.asked import WhatWasRun
from xdist.report.findings import Findings, costs, statistics
from xdist.report.labelling import Gain
from xdist.report.markdown import escaped, language_table, table
from xdist.report.numbers import limits, probability, score, signed
from xdist.report.pair_matrix import SAID
from xdist.report.published import MEANING


def report(findings: Findings, written: datetime) -> str:
    return "\n\n".join(_parts(findings, written)) + "\n"


def _parts(findings: Findings, written: datetime) -> Iterator[str]:
    results = findings.results
    yield f"# {escaped(results.title)}"
    yield f"Written {written:%Y-%m-%d %H:%M} UTC. Differences are in points of each task's metric."
    if what_was_run := results.asked:
        yield from map(escaped, what_was_run.question)
    yield "## The answer"
    yield from (f"**{escaped(line)}**" for line in findings.cautions)
    yield from map(escaped, findings.sentences)
    if findings.answer.rows:
        yield answer_table(findings)
    if lines := [*results.notes, *results.missing]:
        yield "\n".join(f"- {escaped(line)}" for line in lines)
    if results.asked:
        yield from _what_was_run_parts(results.asked)
    if findings.tasks:
        yield "## Tasks and their average"
        yield task_table(findings)
        yield "Mean and, after ±, standard deviation over seeds. Bold: better than each other condition, after correction."
    if findings.reproduced:
        yield "## Published figures"
        yield published_table(findings)
        yield MEANING
    if findings.labelling:
        yield "## What labelling buys"
        yield labelling_table(findings)
        yield "Differences from the fewest examples. Others: languages that no condition trains on."
    if findings.scores.columns:
        yield "## Every language"
        yield language_table(findings.scores)
    if findings.languages:
        yield "## Differences by language"
        for one in findings.languages:
            yield f"### {escaped(one.condition)} against {escaped(one.against)}"
            headers = ["language", *map(escaped, one.cells)]
            rows = []
            for code in findings.scores.languages:
                cells = [of_task.get(code) for of_task in one.cells.values()]
                if any(cells):
                    texts = [
                        f"{signed(c.interval.difference)} ({limits(c.interval)}){' shown' if c.shown else ''}" if c else "–"
                        for c in cells
                    ]
                    rows.append([escaped(code), *texts])
            yield table(headers, rows)
    if findings.pairs:
        yield "## Generalized transfer"
        rows = [
            [escaped(one.condition), escaped(one.task), *(_mean(one.means.get(key), one.over.get(key)) for key in SAID)]
            for one in findings.pairs
        ]
        yield table(["condition", "task", *SAID.values()], rows, texts=2)
    yield "## Training, cost, and what failed"
    numbers = [
        [escaped(one.stage), str(one.runs), str(one.finished), _or(one.hours, ".2f"), _or(one.speed, ",.0f")]
        for one in costs(results)
    ]
    yield table(["stage", "runs", "finished", "GPU-hours", "tokens/s"], numbers)
    unfinished = [run for run in results.runs if run.state != "finished"]
    if unfinished:
        yield "\n".join(f"- {escaped(f'{run.name}: {run.state}. {run.reason}')}" for run in unfinished)
    yield "## How the numbers were made"
    yield "\n".join(f"- {escaped(paragraph)}" for paragraph in statistics(findings))


def _what_was_run_parts(what_was_run: WhatWasRun) -> Iterator[str]:
    yield "## What was run"
    rows = [[escaped(stage.stage), str(stage.runs), *map(escaped, stage.cells)] for stage in what_was_run.stages]
    yield table(["stage", "runs", *ASKED_HEADS], rows, texts=2 + len(ASKED_HEADS))
    lines = [
        f"- {escaped(name)}: {'; '.join(map(escaped, keys)) or 'nothing that a description says'}"
        for name, keys in what_was_run.differs.items()
    ]
    if lines:
        yield "In what conditions differ from their baseline:\n\n" + "\n".join(lines)
    if what_was_run.hypotheses:
        yield "Expected beforehand:\n\n" + "\n".join(f"- {escaped(line)}" for line in what_was_run.hypotheses)
    if what_was_run.frozen:
        yield escaped(what_was_run.frozen)
    if what_was_run.unshown:
        yield "Started and not shown:\n\n" + "\n".join(f"- {escaped(line)}" for line in what_was_run.unshown)


def answer_table(findings: Findings) -> str:
    rows = [
        [
            escaped(row.name),
            escaped(difference.condition),
            difference.over or str(difference.languages),
            f"**{signed(difference.interval.difference)}**" if difference.shown else signed(difference.interval.difference),
            limits(difference.interval),
            escaped(probability(difference.p)),
        ]
        for row in findings.answer.rows
        for difference in row.differences
    ]
    return table(["group", "condition", "languages", "difference", "95 % interval", "p (Holm)"], rows, texts=2)


def published_table(findings: Findings) -> str:
    rows = [
        [
            escaped(text)
            for text in (
                figure.of,
                figure.figure.task,
                figure.figure.source,
                figure.theirs,
                figure.mine,
                str(figure.seeds),
                figure.said,
            )
        ]
        for figure in findings.reproduced
    ]
    headers = ["condition", "task", "source", "published", "ours", "seeds", "within seed spread"]
    return table(headers, rows, texts=3)


def labelling_table(findings: Findings) -> str:
    rows = [
        [
            escaped(curve.task),
            escaped(curve.name),
            f"{point.rows:,}",
            *(cell for gain in (point.labelled, point.others) for cell in _gain(gain)),
            str(point.seeds),
        ]
        for curve in findings.labelling
        for point in curve.points
    ]
    gains = [head for what in ("labelled", "others") for head in (what, "difference", "95 % interval")]
    return table(["task", "languages", "examples", *gains, "seeds"], rows, texts=2)


def _gain(gain: Gain | None) -> list[str]:
    if gain is None or gain.interval is None:
        return [f"{gain.score:.1f}" if gain else "–", "", ""]
    change = signed(gain.interval.difference)
    return [f"{gain.score:.1f}", f"**{change}**" if gain.shown else change, limits(gain.interval)]


COST = "training: seconds of all ranks, memory of one"


def task_table(findings: Findings) -> str:
    names = [task.name for task in findings.results.tasks]
    needs = any(row.needs for row in findings.tasks)
    headers = [
        "condition",
        *(["data needed", COST] if needs else []),
        *(f"{escaped(name)} ({escaped(findings.metric(name))})" for name in names),
    ]
    several = len(names) > 1
    headers += [*(["mean"] if several else []), *([findings.average] if findings.averaged else [])]
    rows = []
    for row in findings.tasks:
        cells = [row.tasks.get(name) for name in names] + ([row.mean] if several else [])
        texts = [f"**{score(extra)}**" if extra and extra.best else score(extra) for extra in cells]
        if findings.averaged:
            texts.append(score(row.average) if row.average else row.done)
        rows.append([escaped(row.condition), *([escaped(row.needs or "none"), row.cost or "–"] if needs else []), *texts])
    for extra in findings.beside:
        numbers = [f"{extra.tasks[name]:.1f}" if name in extra.tasks else "–" for name in names]
        first = [f"{escaped(extra.name)} ({escaped(extra.said)})", *(["", ""] if needs else [])]
        rows.append([*first, *numbers, *["–"] * (len(headers) - len(first) - len(numbers))])
    return table(headers, rows, texts=3 if needs else 1)


def _mean(value: tuple[float, float | None] | None, over: str | None) -> str:
    if value is None:
        return "–"
    spread = f" ± {value[1]:.1f}" if value[1] is not None else ""
    return f"{value[0]:.1f}{spread}" + (f" ({over})" if over else "")


def _or(value: float | None, form: str) -> str:
    return "not logged" if value is None else format(value, form)
