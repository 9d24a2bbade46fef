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


def report(found: Findings, written: datetime) -> str:
    return "\n\n".join(_parts(found, written)) + "\n"


def _parts(found: Findings, written: datetime) -> Iterator[str]:
    results = found.results
    yield f"# {escaped(results.title)}"
    yield f"Written {written:%Y-%m-%d %H:%M} UTC. Differences are in points of each task's metric."
    if asked := results.asked:
        yield from map(escaped, asked.question)
    yield "## The answer"
    yield from (f"**{escaped(line)}**" for line in found.cautions)
    yield from map(escaped, found.sentences)
    if found.answer.rows:
        yield answer_table(found)
    if lines := [*results.notes, *results.missing]:
        yield "\n".join(f"- {escaped(line)}" for line in lines)
    if results.asked:
        yield from _asked(results.asked)
    if found.tasks:
        yield "## Tasks and their average"
        yield task_table(found)
        yield "Mean and, after ±, standard deviation over seeds. Bold: better than each other condition, after correction."
    if found.reproduced:
        yield "## Published figures"
        yield published_table(found)
        yield MEANING
    if found.labelling:
        yield "## What labelling buys"
        yield labelling_table(found)
        yield "Differences from the fewest examples. Others: languages that no condition trains on."
    if found.scores.columns:
        yield "## Every language"
        yield language_table(found.scores)
    if found.languages:
        yield "## Differences by language"
        for one in found.languages:
            yield f"### {escaped(one.condition)} against {escaped(one.against)}"
            headers = ["language", *map(escaped, one.cells)]
            rows = []
            for code in found.scores.languages:
                cells = [of_task.get(code) for of_task in one.cells.values()]
                if any(cells):
                    texts = [
                        f"{signed(c.interval.difference)} ({limits(c.interval)}){' shown' if c.shown else ''}" if c else "–"
                        for c in cells
                    ]
                    rows.append([escaped(code), *texts])
            yield table(headers, rows)
    if found.pairs:
        yield "## Generalized transfer"
        rows = [
            [escaped(one.condition), escaped(one.task), *(_mean(one.means.get(key), one.over.get(key)) for key in SAID)]
            for one in found.pairs
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
    yield "\n".join(f"- {escaped(paragraph)}" for paragraph in statistics(found))


def _asked(asked: WhatWasRun) -> Iterator[str]:
    yield "## What was run"
    rows = [[escaped(one.stage), str(one.runs), *map(escaped, one.cells)] for one in asked.stages]
    yield table(["stage", "runs", *ASKED_HEADS], rows, texts=2 + len(ASKED_HEADS))
    lines = [
        f"- {escaped(name)}: {'; '.join(map(escaped, keys)) or 'nothing that a description says'}"
        for name, keys in asked.differs.items()
    ]
    if lines:
        yield "In what conditions differ from their baseline:\n\n" + "\n".join(lines)
    if asked.hypotheses:
        yield "Expected beforehand:\n\n" + "\n".join(f"- {escaped(line)}" for line in asked.hypotheses)
    if asked.frozen:
        yield escaped(asked.frozen)
    if asked.unshown:
        yield "Started and not shown:\n\n" + "\n".join(f"- {escaped(line)}" for line in asked.unshown)


def answer_table(found: Findings) -> str:
    rows = [
        [
            escaped(row.name),
            escaped(one.condition),
            one.over or str(one.languages),
            f"**{signed(one.interval.difference)}**" if one.shown else signed(one.interval.difference),
            limits(one.interval),
            escaped(probability(one.p)),
        ]
        for row in found.answer.rows
        for one in row.differences
    ]
    return table(["group", "condition", "languages", "difference", "95 % interval", "p (Holm)"], rows, texts=2)


def published_table(found: Findings) -> str:
    rows = [
        [escaped(text) for text in (one.of, one.figure.task, one.figure.source, one.theirs, one.mine, str(one.seeds), one.said)]
        for one in found.reproduced
    ]
    headers = ["condition", "task", "source", "published", "ours", "seeds", "within seed spread"]
    return table(headers, rows, texts=3)


def labelling_table(found: Findings) -> str:
    rows = [
        [
            escaped(curve.task),
            escaped(curve.name),
            f"{one.rows:,}",
            *(cell for gain in (one.labelled, one.others) for cell in _gain(gain)),
            str(one.seeds),
        ]
        for curve in found.labelling
        for one in curve.points
    ]
    gains = [head for what in ("labelled", "others") for head in (what, "difference", "95 % interval")]
    return table(["task", "languages", "examples", *gains, "seeds"], rows, texts=2)


def _gain(one: Gain | None) -> list[str]:
    if one is None or one.interval is None:
        return [f"{one.score:.1f}" if one else "–", "", ""]
    change = signed(one.interval.difference)
    return [f"{one.score:.1f}", f"**{change}**" if one.shown else change, limits(one.interval)]


COST = "training: seconds of all ranks, memory of one"


def task_table(found: Findings) -> str:
    names = [task.name for task in found.results.tasks]
    needs = any(row.needs for row in found.tasks)
    headers = [
        "condition",
        *(["data needed", COST] if needs else []),
        *(f"{escaped(name)} ({escaped(found.metric(name))})" for name in names),
    ]
    several = len(names) > 1
    headers += [*(["mean"] if several else []), *([found.average] if found.averaged else [])]
    rows = []
    for row in found.tasks:
        cells = [row.tasks.get(name) for name in names] + ([row.mean] if several else [])
        texts = [f"**{score(one)}**" if one and one.best else score(one) for one in cells]
        if found.averaged:
            texts.append(score(row.average) if row.average else row.done)
        rows.append([escaped(row.condition), *([escaped(row.needs or "none"), row.cost or "–"] if needs else []), *texts])
    for one in found.beside:
        numbers = [f"{one.tasks[name]:.1f}" if name in one.tasks else "–" for name in names]
        first = [f"{escaped(one.name)} ({escaped(one.said)})", *(["", ""] if needs else [])]
        rows.append([*first, *numbers, *["–"] * (len(headers) - len(first) - len(numbers))])
    return table(headers, rows, texts=3 if needs else 1)


def _mean(value: tuple[float, float | None] | None, over: str | None) -> str:
    if value is None:
        return "–"
    spread = f" ± {value[1]:.1f}" if value[1] is not None else ""
    return f"{value[0]:.1f}{spread}" + (f" ({over})" if over else "")


def _or(value: float | None, form: str) -> str:
    return "not logged" if value is None else format(value, form)
