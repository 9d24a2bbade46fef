"""The figures of a report as separate SVG files, for papers and slides: no style sheet, no script, white ground."""

import re
from collections.abc import Sequence
from html import escape
from textwrap import wrap

from xdist.report import curves
from xdist.report.answer import GroupDifference
from xdist.report.by_number import number_chart, number_curves
from xdist.report.curves import axis
from xdist.report.findings import Findings
from xdist.report.kinship import size_plots
from xdist.report.labelling_chart import labelling_chart
from xdist.report.naming import name_of
from xdist.report.numbers import signed
from xdist.report.page import scale, template
from xdist.report.scores import Column, ScoreTable

LINE = 22
PLOT, RIGHT = 420, 60  # of the figure of differences
LETTER = 7  # the most that a letter is wide in the mean
CELL = 110  # of a heat map
LOW, MIDDLE, HIGH = (245, 240, 223), (98, 179, 166), (17, 60, 107)  # those of report.css
# What report.css says of the classes of charts, in colours that print.
STYLE = """text{font:12.5px Helvetica,Arial,sans-serif;fill:#1d1c1a}.soft,.axis{fill:#5f5a52}.grid{stroke:#e2ddd2;fill:none}
.tick{stroke:#5f5a52;fill:none}.zero{stroke:#5f5a52;stroke-dasharray:2 2}.span{stroke:#1d1c1a;stroke-width:2}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke:#0f6e8c}.bar{stroke-width:1.6;stroke:#0f6e8c}
.run1{stroke:#c4451c;stroke-dasharray:7 3}.run2{stroke:#6b4fa3;stroke-dasharray:2 3}
.run3{stroke:#12876a;stroke-dasharray:10 3 2 3}
.run4{stroke:#a86f00;stroke-dasharray:4 4}.run5{stroke:#b03a74;stroke-dasharray:12 4}
.dot-shown{fill:#1d1c1a;stroke:#1d1c1a}.dot-open{fill:#fff;stroke:#1d1c1a;stroke-width:1.6}
.point{fill:#fff;stroke:#8a857c;stroke-width:1.6}.point.unseen{stroke:#c4451c}.point.low{stroke:#d99a00}
.point.mid{stroke:#12876a}.point.high{stroke:#1f68b4}.head{font-weight:bold}"""
_SVG = re.compile(r"<svg viewBox=.*?</svg>", re.DOTALL)


def figures(findings: Findings) -> dict[str, str]:
    """File name: text."""
    files: dict[str, str] = {}
    if findings.answer.rows:
        files["differences.svg"] = forest(findings.answer.rows)
    for task in dict.fromkeys(column.task for column in findings.scores.columns):
        columns = [column for column in findings.scores.columns if column.task == task]
        files[f"scores-{_file_name(task)}.svg"] = heat_map(findings.scores, columns)
    for plot in size_plots(findings.scores):
        title = f"{plot.task}, {plot.metric} by {plot.unit} of pre-training text"
        files[f"size-{_file_name(plot.task)}.svg"] = _chart("size.j2", title, plot.trends, plot=plot, scores=findings.scores)
    for number, curve in enumerate(findings.labelling, start=1):
        chart = labelling_chart(curve)
        name = f"labelling-{number}-{_file_name(curve.task)}.svg"
        what = f"{curve.task}, {curve.metric} by labelled examples"
        files[name] = _chart("marked_lines.j2", f"{curve.name}: {what}", chart.lines, title=curve.name, what=what, chart=chart)
    for number, by in enumerate(number_curves(findings.results.asked, findings.answer), start=1):
        chart, key, what = number_chart(by), by.series.key, f"difference from {by.series.against} in points"
        files[f"by-number-{number}.svg"] = _chart(
            "marked_lines.j2", f"{key}: difference in points", chart.lines, title=key, what=what, chart=chart
        )
    return files


def forest(rows: Sequence[GroupDifference]) -> str:
    """A line per condition below the name of its group: interval, mark (filled: shown) and difference."""
    scaled, y, parts = axis(rows), 0, []
    height = LINE * sum(1 + len(row.differences) for row in rows)
    names = 20 + LETTER * max(len(difference.condition) for row in rows for difference in row.differences)
    names = max(names, LETTER * max(len(row.name) + len(row.size) + 5 for row in rows))

    def x(percent: float) -> float:
        return round(names + PLOT * percent / 100, 1)

    for tick in scaled.ticks:
        kind = "zero" if tick.text == "0" else "grid"
        parts.append(f'<path class="{kind}" d="M{x(tick.at)} 0V{height}"/>')
        parts.append(_text(x(tick.at), height + 18, tick.text, "middle", "axis"))
    for row in rows:
        y += LINE
        parts.append(_text(4, y - 6, f"{row.name} ({row.size})", "start", "head"))
        for difference in row.differences:
            y += LINE
            low, middle, high = (
                x(scaled.at(end)) for end in (difference.interval.low, difference.interval.difference, difference.interval.high)
            )
            parts.append(_text(16, y - 6, difference.condition))
            parts.append(f'<path class="span" d="M{low} {y - 10}H{high}"/>')
            mark = "dot-shown" if difference.shown else "dot-open"
            parts.append(f'<circle class="{mark}" cx="{middle}" cy="{y - 10}" r="4.5"/>')
            parts.append(_text(names + PLOT + RIGHT - 4, y - 6, signed(difference.interval.difference), "end"))
    return _file(names + PLOT + RIGHT, height + 28, parts, "Differences from the baseline in points, with 95 % intervals")


def heat_map(scores: ScoreTable, columns: Sequence[Column]) -> str:
    """One task: a row per language that it has, a column per condition, on its own scale."""
    codes = [code for code in scores.languages if any(code in column.cells for column in columns)]
    scaled = scale(cell.score for column in columns for cell in column.cells.values())
    heads = [_name_in_lines(column.run) for column in columns]
    top = LINE + 15 * max(map(len, heads))
    parts = [_text(4, 15, f"{columns[0].task}, {columns[0].metric}", "start", "head")]
    for number, (column, lines) in enumerate(zip(columns, heads, strict=True)):
        left = 150 + CELL * number
        parts += [_text(left + 4, LINE + 12 + 15 * place, line, "start", "soft") for place, line in enumerate(lines)]
        for place, code in enumerate(codes):
            if cell := column.cells.get(code):
                at, y = scaled.place(cell.score), top + LINE * place
                parts.append(f'<rect x="{left}" y="{y}" width="{CELL - 2}" height="{LINE - 2}" fill="{_colour(at)}"/>')
                ink = ' style="fill:#fff"' if at > 0.6 else ""
                parts.append(f'<text x="{left + CELL - 10}" y="{y + 15}" text-anchor="end"{ink}>{cell.score:.1f}</text>')
    parts += [_text(4, top + LINE * place + 15, name_of(code)) for place, code in enumerate(codes)]
    title = f"{columns[0].task}: {columns[0].metric} of every language"
    return _file(150 + CELL * len(columns), top + LINE * len(codes) + 4, parts, title)


def _chart(name: str, head: str, lines: Sequence[object], **values: object) -> str:
    """The drawing of a template of the page below a title, with a key of its lines."""
    drawn = _SVG.search(template(name).render(curves=curves, several=True, **values))
    assert drawn
    inner = drawn[0][drawn[0].index(">") + 1 : -len("</svg>")]
    parts = [_text(4, 15, head, "start", "head"), f'<g transform="translate(0 {LINE})">', inner]
    for place, line in enumerate(lines):
        y = curves.HEIGHT + 18 * place + 8
        index, called = getattr(line, "index", place), str(getattr(line, "condition", None) or getattr(line, "name", ""))
        parts.append(f'<path class="line run{index % 6}" d="M{curves.LEFT} {y}h34"/>')
        parts.append(_text(curves.LEFT + 42, y + 4, called))
    parts.append("</g>")
    said = re.search(r'aria-label="([^"]*)"', drawn[0])
    return _file(curves.WIDTH, curves.HEIGHT + LINE + 18 * len(lines) + 8, parts, said[1] if said else "", raw=True)


def _file(width: int, height: int, parts: Sequence[str], said: str, raw: bool = False) -> str:
    title = said if raw else escape(said, quote=True)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
        f'<title>{title}</title>\n<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    of = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{of}>{escape(text)}</text>'


def _name_in_lines(name: str) -> list[str]:
    """The name of a condition in lines as wide as a cell, those of each axis by themselves."""
    return [line for part in name.split(", ") for line in wrap(part, CELL // LETTER, break_on_hyphens=False)]


def _colour(at: float) -> str:
    low, high, share = (LOW, MIDDLE, 2 * at) if at < 0.5 else (MIDDLE, HIGH, 2 * at - 1)
    return "#" + "".join(f"{round(one + (other - one) * share):02x}" for one, other in zip(low, high, strict=True))


def _file_name(task: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", task)
