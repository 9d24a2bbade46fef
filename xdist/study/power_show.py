"""What a design would show, in the terminal and as data."""

from collections.abc import Iterator, Mapping
from typing import Any

from xdist.report.sentences import join_words
from xdist.run.tables import Table
from xdist.study.power import RELIED_ON, Design, RowPower, first_conditions, power
from xdist.study.power_spread import Spread

PowerOf = Mapping[str, Mapping[str, RowPower]]
"""By design ("as it is", "10 seeds instead of 5") and fixed group."""
AS_IT_IS = "as it is"
BRIEF, QUICK = 20, 4000  # simulated studies of what `study plan` says, and scores of each at most


def design_lines(design: Design, spreads: Mapping[str, Spread]) -> Iterator[str]:
    """What the study compares, and how far scores are taken to spread."""
    yield f"{len(design.conditions)} conditions, {design.comparisons} of them compared; {design.seeds} seeds"
    for task in design.tasks:
        sizes = sorted(set(task.sizes.values()))
        examples = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        what = "pairs" if task.of_pairs else "languages"
        yield f"{task.name}: {len(task.sizes)} {what}, {examples} examples each"
        yield f"  {spreads[task.name].said}: {spreads[task.name].spoken}"
    yield from design.notes


def table(design: Design, found: PowerOf) -> Table:
    names = [*next(iter(found.values()))]
    headings = [text for name in names for text in (f">{name}", ">half-width")]
    one = Table("design", *headings)
    for label, rows in found.items():
        cells = [text for name in names for text in _cells(rows[name])]
        one.row(label, *cells)
    return one


def _cells(row: RowPower) -> tuple[str, str]:
    return f"{row.least:.1f}", f"±{row.half:.1f}"


def meaning(design: Design, found: PowerOf) -> Iterator[str]:
    rows = next(iter(found.values()))
    comparisons = design.comparisons * len(rows)
    yield (
        f"Points: the smallest difference that would be shown with {100 * RELIED_ON:.0f} % power, if one condition had it in "
        f"that group and no other had any, corrected for {comparisons} comparisons after Holm; half-width: of a 95 % interval."
    )
    for name, row in rows.items():
        yield f"{name}: {join_words(name, design.read)} ({row.languages})"


def summary_line(design: Design, spreads: Mapping[str, Spread]) -> str:
    """One line for a plan; of a design whose simulation takes long, where to find it."""
    if design.seeds * len(first_conditions(design).conditions) * sum(len(task.sizes) for task in design.tasks) > QUICK:
        return "what it could show: xdist study power"
    rows = power(design, spreads, studies=BRIEF)
    least = ", ".join(f"{row.least:.1f} points in {name} ({row.languages})" for name, row in rows.items())
    source = "pilot runs" if any(one.said != "stated" for one in spreads.values()) else "stated spreads"
    return f"would show with {100 * RELIED_ON:.0f} % power, by {source}: {least}"


def content(design: Design, spreads: Mapping[str, Spread], found: PowerOf) -> dict[str, Any]:
    return {
        "conditions": len(design.conditions),
        "comparisons": design.comparisons * len(next(iter(found.values()))),
        "seeds": design.seeds,
        "tasks": {
            task.name: {
                "languages": len(task.sizes),
                "spread_from": spreads[task.name].said,
                "spread": spreads[task.name].facts,
            }
            for task in design.tasks
        },
        "power": RELIED_ON,
        "designs": {
            label: {
                name: {"languages": row.languages, "smallest_difference": row.least, "half_width": row.half}
                for name, row in rows.items()
            }
            for label, rows in found.items()
        },
        "notes": list(design.notes),
    }
