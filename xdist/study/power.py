"""What a design would show: studies are simulated example by example and go through the report's own code.

An effect is given to one condition in one fixed group of languages, the others have none. By how much the intervals of a
simulated study would have to be further from zero to be called shown, after Holm's correction over the conditions and fixed
groups, is read off the report's p-values; the effect that four of five such studies would show is the smallest that the design
can rely on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from xdist.languages import UNKNOWN, Pretraining, are_pairs, every_code, identity
from xdist.metrics.counts import Array, CountRows, Sums, ratio
from xdist.metrics.definition import Metric
from xdist.metrics.pooled import replicate
from xdist.metrics.significance import holm
from xdist.report.answer import ComparedGroups, compare_conditions, headline_rows
from xdist.report.comparison import LEVEL
from xdist.report.results import Condition, Results, System, TaskResult
from xdist.study.power_spread import Spread

STUDIES, DRAWS, RELIED_ON = 60, 200, 0.8
# What is simulated at most; of more conditions p-values are corrected all the same, more examples say as much by less variance.
CONDITIONS, EXAMPLES = 8, 400
LIKE = "+"  # behind a code: of an invented language that is like it


def _points(sums: Sums) -> dict[str, Array]:
    return {"points": ratio(sums[:, 0], sums[:, 1])}


# In no registry: its examples have any number of points.
SIMULATED = Metric(
    name="simulated",
    families=("classification",),
    numbers=("points",),
    rows=lambda *_: np.zeros((0, 2)),
    score=_points,
    bounds=(-1e9, 1e9),  # none: intervals of what is simulated are not cut off
)


@dataclass(frozen=True, slots=True)
class DesignTask:
    """`sizes`: examples by language, those alone that a difference is over; `sentences` as of a task (`Task.sentences`); tasks
    of one `owner` are scored by the same runs; `more`: how many times the examples dev and test have together, 0: not known."""

    name: str
    sentences: str
    sizes: Mapping[str, int]
    owner: str = ""
    more: float = 0.0

    @property
    def of_pairs(self) -> bool:
        return are_pairs(self.sizes)


@dataclass(frozen=True, slots=True)
class Design:
    conditions: tuple[Condition, ...]
    tasks: tuple[DesignTask, ...]
    read: Pretraining
    notes: tuple[str, ...] = ()

    @property
    def seeds(self) -> int:
        return max(len(condition.seeds) for condition in self.conditions)

    @property
    def comparisons(self) -> int:
        return sum(condition.against is not None for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class RowPower:
    """Of a fixed group: over how many languages or pairs, the median half-width of a 95 % interval, and by simulated comparison
    the least effect that it would have shown, in points."""

    languages: int
    half: float
    shown_from: Array

    @property
    def least(self) -> float:
        """The smallest effect that the design shows as often as it can be relied on."""
        return float(np.quantile(self.shown_from, RELIED_ON))

    def power(self, effect: float) -> float:
        """How often an effect of this many points would be shown."""
        return float((self.shown_from <= effect).mean())


def power(
    design: Design, spreads: Mapping[str, Spread], studies: int = STUDIES, seed: int = 0, draws: int = DRAWS
) -> dict[str, RowPower]:
    """By fixed group of languages; `spreads` by task."""
    shown: dict[str, list[float]] = {}
    halves: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    simulated_design = first_conditions(design)
    for number in range(studies):
        results = simulate_study(simulated_design, spreads, np.random.default_rng([seed, number]), draws)
        groups = compare_conditions(results, headline_rows(results))
        rows = len({row for row, _ in groups})
        left_out = (design.comparisons - simulated_design.comparisons) * rows
        for (row, condition), (interval, (languages, *_), _) in groups.items():
            largest = _largest_shown(groups, (row, condition), left_out)
            shown.setdefault(row, []).append(max(0.0, interval.least(largest) - interval.difference, -interval.low))
            halves.setdefault(row, []).append((interval.high - interval.low) / 2)
            sizes[row] = languages
    return {row: RowPower(sizes[row], float(np.median(halves[row])), np.array(shown[row])) for row in shown}


def _largest_shown(groups: ComparedGroups, key: tuple[str, str], left_out: int) -> float:
    """The largest p-value of `key` that is below LEVEL after correction with those of the other comparisons, and of `left_out`
    that show nothing."""
    p: dict[object, float] = {name: members[0].p for name, members in groups.items()} | dict.fromkeys(range(left_out), 1.0)
    largest = 0.0
    for count in range(len(p), 0, -1):
        tried = LEVEL / count * (1 - 1e-9)  # just below, so that the product is too
        if holm({**p, key: tried})[key] >= LEVEL:
            break
        largest = tried
    return largest


def larger_designs(design: Design) -> Iterator[tuple[str, Design]]:
    """(what is more, the design with it): seeds, languages, examples, tasks."""
    twice = 2 * design.seeds
    seeds = tuple(range(1, twice + 1))
    more_seeds = tuple(replace(condition, seeds=seeds) for condition in design.conditions)
    yield f"{twice} seeds instead of {design.seeds}", replace(design, conditions=more_seeds)
    if not any(task.of_pairs for task in design.tasks):
        doubled = tuple(
            replace(task, sizes={**task.sizes, **{code + LIKE: size for code, size in task.sizes.items()}})
            for task in design.tasks
        )
        yield "twice the languages", replace(design, tasks=doubled)
    more = {task.more or 2.0 for task in design.tasks}
    examples = tuple(
        replace(task, sizes={code: round((task.more or 2.0) * size) for code, size in task.sizes.items()})
        for task in design.tasks
    )
    size, grown = (max(task.sizes.values()) for task in (design.tasks[0], examples[0]))
    words = f"{grown:,} examples instead of {size:,}" if len(design.tasks) == 1 else f"{min(more):.3g} times the examples"
    together = " (dev and test together)" if all(task.more for task in design.tasks) else ""
    yield words + together, replace(design, tasks=examples)
    again = tuple(
        replace(task, name=f"{task.name} 2", sentences=f"{task.sentences} 2", owner=f"{task.owner} 2") for task in design.tasks
    )
    count = len(design.tasks)
    yield f"{2 * count} tasks instead of {count}, of other sentences", replace(design, tasks=(*design.tasks, *again))


def simulate_study(design: Design, spreads: Mapping[str, Spread], rng: np.random.Generator, draws: int = DRAWS) -> Results:
    """The results of one study without any effect."""
    systems = [(one.name, seed) for one in design.conditions for seed in one.seeds]
    owners = np.repeat(np.arange(len(design.conditions)), [len(one.seeds) for one in design.conditions])
    runs: dict[str, Array] = {}
    languages: dict[str, Array] = {}
    sentences: dict[tuple[str, int], tuple[Array, Array]] = {}
    codes, read = _stand_ins(design)
    tasks = []
    for task in design.tasks:
        condition, seed = spreads[task.name].condition, spreads[task.name].seed
        z_run = runs.setdefault(task.owner, rng.standard_normal(len(systems)))
        rows: dict[System, dict[str, CountRows]] = {system: {} for system in systems}
        for code, size in task.sizes.items():
            count = min(size, EXAMPLES)
            scale = (count / size) ** 0.5
            if (key := (task.sentences, size)) not in sentences:
                sentences[key] = (
                    rng.standard_normal((len(design.conditions), count)),
                    rng.standard_normal((len(systems), count)),
                )
            z_condition, z_seed = sentences[key]
            z_language = languages.setdefault(identity(code), rng.standard_normal(len(design.conditions)))
            level = seed.whole**0.5 * z_run + condition.language**0.5 * z_language[owners]
            level = level + seed.language**0.5 * rng.standard_normal(len(systems))
            own = rng.standard_normal((len(design.conditions), count)) * condition.own**0.5
            example = (own + condition.shared**0.5 * z_condition)[owners] + seed.shared**0.5 * z_seed
            example += seed.own**0.5 * rng.standard_normal(example.shape)
            table = np.ones((len(systems), count, 2))
            table[:, :, 0] = (50 + level[:, None] + scale * example) / 100
            for number, system in enumerate(systems):
                rows[system][codes[code]] = table[number]
        replicated = replicate(rows, SIMULATED, task.sentences, int(rng.integers(2**32)), draws)  # type: ignore[arg-type]
        scores = {system: {code: {"points": 0.0, "count": len(one)} for code, one in of.items()} for system, of in rows.items()}
        about = (task.name, "classification", SIMULATED, "test", ())
        tasks.append(TaskResult(*about, scores, replicated, read={one.name: read for one in design.conditions}))
    return Results("simulated", design.conditions, tuple(tasks), ())


def first_conditions(design: Design) -> Design:
    """At most this many of its conditions, each with the one that it is compared with."""
    names: dict[str, None] = {}
    for condition in design.conditions:
        if condition.against is not None and len(names.keys() | {condition.name, condition.against}) <= CONDITIONS:
            names |= dict.fromkeys((condition.against, condition.name))
    return replace(
        design, conditions=tuple(replace(condition, seen=()) for condition in design.conditions if condition.name in names)
    )


def _stand_ins(design: Design) -> tuple[dict[str, str], Pretraining]:
    """Real codes in the place of those of the design, which may be invented, and a list that puts each into the same group."""
    pairs = {code: code for task in design.tasks if task.of_pairs for code in task.sizes}
    names = dict.fromkeys(code for task in design.tasks if not task.of_pairs for code in task.sizes)
    if not names:
        return pairs, design.read
    remaining_codes = iter(every_code())
    of_identity = {name: next(remaining_codes) for name in dict.fromkeys(map(identity, names))}
    codes = {code: of_identity[identity(code)] for code in names}
    groups = {codes[code]: design.read.group(code.rstrip(LIKE)) for code in names}
    low, mid = design.read.low, design.read.mid
    sizes: dict[str, float | None] = {"low": low / 2, "mid": (low + mid) / 2, "high": mid, "seen": None}
    listed = {code: sizes[of] for code, of in groups.items() if of in sizes}
    # Facts that are not known of a design's language are not known of its substitute.
    unsure = tuple(code for code, of in groups.items() if of == UNKNOWN)
    return codes | pairs, replace(design.read, sizes=listed or design.read.sizes, unsure=unsure, by_script=True)
