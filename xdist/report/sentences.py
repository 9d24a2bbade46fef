"""The answer in two sentences, made from the numbers. A sentence says that something is better or worse only where the interval
excludes zero and the corrected p-value is below 0.05; else it says that no difference could be shown."""

from collections.abc import Sequence

from xdist.languages import SEEN, UNKNOWN, Pretraining
from xdist.report.answer import RARE, RICH, Conclusion, Difference
from xdist.report.comparison import DIAGONAL, OFF_DIAGONAL
from xdist.report.numbers import limits, signed
from xdist.report.results import Results

MOST = 3  # conditions named one by one


def join_words(row: str, read: Pretraining) -> str:
    return {
        RARE: f"languages of which the encoder read nothing or under {read.low:,g} {read.unit}",
        RICH: f"languages of which the encoder read {read.low:,g} {read.unit} or more",
        "unseen": "languages that the encoder has not read",
        SEEN: "languages that the encoder has read, how much is not known",
        UNKNOWN: "all languages together, since what the encoder has read of each is not known,",
        OFF_DIAGONAL: "pairs of two languages",
        DIAGONAL: "pairs of one language",
    }[row]


def sentences(results: Results, conclusion: Conclusion, rows: Sequence[str]) -> list[str]:
    """One sentence for each of `rows`."""
    by_name = {row.name: row.differences for row in conclusion.rows}
    return [
        sentence(join_words(name, results.read), by_name.get(name, ()), conclusion.corrected[0], results.one_seed)
        for name in rows
    ]


def not_learnt_said(results: Results) -> list[str]:
    """A sentence on each condition that has not learnt, instead of its difference."""
    compared_with = {condition.against for condition in results.conditions}
    lines = []
    for name, why in results.not_learnt.items():
        nothing = "so nothing is compared with it" if name in compared_with else "so no difference is shown"
        lines.append(f"“{name}” has not learnt, {nothing}: {why}.")
    return lines


def sentence(where: str, differences: Sequence[Difference], comparisons: int, one_seed: bool) -> str:
    if not differences:
        return f"On {where} nothing can be concluded: no condition has scores there together with its baseline."
    shown = sorted(
        (difference for difference in differences if difference.shown),
        key=lambda difference: -abs(difference.interval.difference),
    )
    rest = [difference for difference in differences if not difference.shown]
    several = len({difference.against for difference in differences}) > 1
    parts = []
    for difference in shown[:MOST]:
        side = "better" if difference.interval.difference > 0 else "worse"
        than = f"than “{difference.against}” " if several or difference is shown[0] else ""
        by = f"{abs(difference.interval.difference):.1f} points ({_interval(difference)})"
        parts.append(f"“{difference.condition}” is {side} {than}by {by}")
    if len(shown) > MOST:
        better = sum(difference.interval.difference > 0 for difference in shown[MOST:])
        parts.append(f"{better} more are better and {len(shown) - MOST - better} more are worse by less")
    if rest:
        parts.append(_rest(rest, bool(shown), several, comparisons))
    bounds = []
    if all(difference.languages == 1 for difference in differences):
        bounds.append("there is one, so this speaks for no other")
    if ranges := sorted({difference.over for difference in differences if difference.over}):
        bounds.append(f"over {' or '.join(ranges)}, those that both have scores of")
    if one_seed:
        bounds.append("of one seed a side, so this is about these models, not about how they were trained")
    bounded = f" ({'; '.join(bounds)})" if bounds else ""
    return f"On {where.removesuffix(',')}, {_join_parts(parts)}{bounded}."


def _rest(rest: Sequence[Difference], after_others: bool, several: bool, comparisons: int) -> str:
    """That no difference could be shown, and what the intervals leave possible."""
    only = len(rest) == 1
    if only:
        (difference,) = rest
        main_clause = f"no difference between “{difference.condition}” and “{difference.against}” could be shown"
        bounds = [f"{signed(difference.interval.difference)} points, {_interval(difference)}"]
    else:
        low, high = min(difference.interval.low for difference in rest), max(difference.interval.high for difference in rest)
        which = f"the other {len(rest)} conditions" if after_others else f"any of the {len(rest)} conditions"
        main_clause = f"for {which} no difference from {'its baseline' if several else f'“{rest[0].against}”'} could be shown"
        bounds = [f"95 % intervals within {signed(low)} to {signed(high)}"]
    if without_zero := sum(difference.interval.excludes_zero for difference in rest):
        which = (
            "which excludes" if only else "one of which excludes" if without_zero == 1 else f"{without_zero} of which exclude"
        )
        bounds.append(f"{which} zero, too little for {comparisons} comparisons")
    if any(difference.interval.high - difference.interval.low < 1e-9 for difference in rest):
        width = "of no width" if only else "among them an interval of no width"
        bounds.append(
            f"{width}: such models are right about the same examples, as those are that give every example one answer"
        )
    return f"{main_clause} ({', '.join(bounds)})"


def _interval(difference: Difference) -> str:
    return f"95 % interval {limits(difference.interval)}"


def _join_parts(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{'; '.join(parts[:-1])}; and {parts[-1]}"
