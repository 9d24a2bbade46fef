"""Tables for a paper: LaTeX with booktabs, one file per table, to be \\input into a float."""

from collections.abc import Iterator, Sequence

from xdist.report.findings import Findings
from xdist.report.measured import HEADS
from xdist.report.naming import name_of
from xdist.report.numbers import signed
from xdist.report.task_table import Score

ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "·": r"$\cdot$",
    "−": "$-$",
}


def escaped(text: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in " ".join(text.split()))


def tables(found: Findings) -> dict[str, str]:
    """File name: text. Tables that would be empty are left out."""
    texts = {}
    if found.tasks:
        texts["tasks.tex"] = _tasks(found)
    if found.answer.rows:
        texts["groups.tex"] = _groups(found)
    if found.scores.columns:
        texts["languages.tex"] = _languages(found)
    return texts


def _tasks(found: Findings) -> str:
    names = [task.name for task in found.results.tasks]
    several = len(names) > 1
    extra = [*(["mean"] if several else []), *([found.average] if found.averaged else [])]
    heads = ["condition", *map(escaped, names), *extra]
    rows = []
    for row in found.tasks:
        cells = [_score(row.tasks.get(name)) for name in names] + ([_score(row.mean)] if several else [])
        if found.averaged:
            cells.append(_score(row.average) if row.average else escaped(row.done))
        rows.append([escaped(row.condition), *cells])
    return _tabular(
        "Mean and standard deviation over seeds; bold: better than each other condition after Holm's correction.",
        "l" + "r" * (len(heads) - 1),
        heads,
        [rows],
    )


def _groups(found: Findings) -> str:
    blocks = []
    for row in found.answer.rows:
        names = [escaped(row.name)] + [""] * (len(row.differences) - 1)
        block = []
        for name, one in zip(names, row.differences, strict=True):
            difference = _math(signed(one.interval.difference), one.shown)
            interval = f"$[{signed(one.interval.low)}, {signed(one.interval.high)}]$"
            block.append([name, escaped(one.condition), difference, interval, escaped(one.over) or str(one.languages)])
        blocks.append(block)
    return _tabular(
        "Difference from the baseline in points with 95 % intervals; bold: shown after Holm's correction.",
        "llrrr",
        ["group", "condition", "difference", r"95\,\% interval", "$n$"],
        blocks,
    )


def _languages(found: Findings) -> str:
    scores = found.scores
    several = len(scores.runs) > 1
    extra = HEADS if scores.is_measured else ()
    scored = [escaped(f"{c.task}, {c.run}" if several else c.task) for c in scores.columns]
    heads = ["language", escaped(scores.unit), *map(escaped, extra), *scored]
    blocks: dict[str, list[list[str]]] = {}
    for code in scores.languages:
        cells = [f"{column.cells[code].score:.1f}" if code in column.cells else "--" for column in scores.columns]
        marks = [r"\dag" if code in column.cells and column.cells[code].trained else "" for column in scores.columns]
        measures = map(escaped, scores.measures(code) if extra else [])
        row = [escaped(name_of(code)), escaped(scores.size(code)), *measures, *map("".join, zip(cells, marks, strict=True))]
        blocks.setdefault("/".join(scores.groups(code)), []).append(row)
    return _tabular(
        r"Score of every language, from least to most pre-training text; \dag: trained on"
        + "".join(f"; {escaped(remark)}" for remark in scores.remarks)
        + ".",
        "lr" + "r" * (len(extra) + len(scores.columns)),
        heads,
        list(blocks.values()),
        scores.many,
    )


def _score(one: Score | None) -> str:
    if one is None:
        return "--"
    text = f"{one.mean:.1f}" + (rf" {{\scriptsize $\pm$ {one.spread:.1f}}}" if one.spread is not None else "")
    text = rf"\textbf{{{text}}}" if one.best else text
    return text + (rf" {{\scriptsize ({escaped(one.over)})}}" if one.over else "")


def _math(text: str, bold: bool) -> str:
    return rf"$\mathbf{{{text}}}$" if bold else f"${text}$"


def _tabular(
    said: str, columns: str, heads: Sequence[str], blocks: Sequence[Sequence[Sequence[str]]], long: bool = False
) -> str:
    """`long`: over several pages, so it stands in no float."""
    kind = "longtable" if long else "tabular"

    def lines() -> Iterator[str]:
        needs = r"\usepackage{booktabs,longtable}, and stands in no float" if long else r"\usepackage{booktabs}"
        yield f"% {said} Needs {needs}."
        yield rf"\begin{{{kind}}}{{{columns}}}"
        yield r"\toprule"
        yield " & ".join(heads) + r" \\"
        if long:
            yield r"\midrule\endhead"
        for number, block in enumerate(blocks):
            if number or not long:
                yield r"\midrule"
            yield from (" & ".join(row) + r" \\" for row in block)
        yield r"\bottomrule"
        yield rf"\end{{{kind}}}"

    return "\n".join(lines()) + "\n"
