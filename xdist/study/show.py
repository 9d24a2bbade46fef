"""A study in the terminal: its graph as a tree with what it costs, and a table of the state of each run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.text import Text
from rich.tree import Tree

from xdist.errors import UserError
from xdist.estimate.hours import spoken_time
from xdist.run.tables import Table, show, show_tree
from xdist.study.budget import Budget, budget, shape_at
from xdist.study.estimate import Cost, cost, unusual_settings
from xdist.study.expansion import Graph, Node
from xdist.study.facts import Facts
from xdist.study.learnt import checks, not_learnt
from xdist.study.planning import Machine
from xdist.study.state import Standing
from xdist.study.submitting import Step

STYLES = {
    "finished": "green",
    "running": "cyan",
    "queued": "cyan",
    "stopped": "yellow",
    "failed": "red",
    "blocked": "red",
    "waiting": "dim",
}


def print_plan(
    graph: Graph, standings: Mapping[str, Standing], facts: Facts, console: Console, machine: Machine | None = None
) -> None:
    """The tree of runs, each with its cost and, where it is shared, by how many combinations; then totals, with a `machine` in
    hours of its GPUs too."""
    tree = Tree(Text(graph.study.name, style="bold"))
    for node in graph.after(None):
        _branch(tree, node, graph, standings)
    show_tree(tree, console)
    lines = (
        *_totals(graph, standings, facts),
        *_budget(budget(graph, standings, machine), machine),
        *learns_in(graph),
        *unusual_in(graph, standings),
    )
    for line in lines:
        show(line, console)


def learns_in(graph: Graph) -> Iterator[str]:
    """A line on each thing that the runs of a stage must reach to count as learnt."""
    stages: dict[tuple[str, str], int] = {}
    for node in graph.nodes.values():
        for check in checks(graph, node):
            stages[node.stage, check.asked] = stages.get((node.stage, check.asked), 0) + 1
    for (stage, requirement), count in stages.items():
        yield f"learnt means: {stage} ({count} runs): {requirement}"


def unusual_in(graph: Graph, standings: Mapping[str, Standing]) -> Iterator[str]:
    """A line on each setting of runs that are not finished that is far from what is usual, and how many have it."""
    runs: dict[str, list[str]] = {}
    for key, node in graph.nodes.items():
        shape = None
        with suppress(UserError):
            shape = shape_at(graph, node)
        if standings[key].state != "finished" and (shape or not node.upstream):
            run, subsets = node.run, node.resolved.subsets.training
            for line in unusual_settings(run.train, node.resolved.model, run.data, subsets, shape):
                runs.setdefault(line, []).append(run.name)
    for line, names in runs.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"unusual setting: {names[0]}{more}: {line}"


def print_standings(graph: Graph, standings: Mapping[str, Standing], console: Console) -> None:
    """A row per run, the number of runs in each state, a bar of the updates done, and why runs failed or are not known to be
    done."""
    table = Table("run", "state", ">step", "learnt")
    for key, node in graph.nodes.items():
        now, required = standings[key], checks(graph, node)
        missed = bool(not_learnt(required))
        learnt = Text("no", "red") if missed else Text("yes" if required and all(check.reached for check in required) else "")
        table.row(node.run.name, Text(now.state, STYLES[now.state]), _step(now), learnt)
    show(table, console)
    done, total = _share(standings)
    counts: Counter[str] = Counter(now.state for now in standings.values())
    summary = ", ".join(f"{counts[state]} {state}" for state in STYLES if counts[state])
    console.print(ProgressBar(total, done, width=30))
    show(f"{100 * done / total:.0f} % of the updates: {summary}", console)
    for node in graph.nodes.values():
        for line in not_learnt(checks(graph, node)):
            show(Text(f"{node.run.name} has not learnt: {line}", style="red"), console)
    for key, now in standings.items():
        if now.state == "failed" or (now.reason and now.state != "blocked"):
            show(Text(f"{graph.nodes[key].run.name}: {now.reason or 'no reason was left'}", style="red"), console)


DONE = {"finished": "finished", "there": "waits or runs already", "submit": "submitted", "later": "submit again then"}
PLANNED = {**DONE, "submit": "would be submitted"}


def print_steps(graph: Graph, steps: Sequence[Step], only_planned: bool, console: Console) -> None:
    """A row per run: its job, what became of it, and the run and job that it waits for."""
    words = PLANNED if only_planned else DONE
    jobs = {step.node.key: step.job for step in steps}
    table = Table("run", "job", "", "after")
    for step in steps:
        after = ", ".join(f"{graph.nodes[key].run.name} {jobs[key]}".strip() for key in step.after)
        what = words[step.what]
        table.row(step.node.run.name, step.job, Text(what, STYLES.get(step.what, "")), after)
    show(table, console)
    counts = Counter(step.what for step in steps)
    show(", ".join(f"{number} {words[what]}" for what, number in counts.items()), console)


def _branch(tree: Tree, node: Node, graph: Graph, standings: Mapping[str, Standing]) -> None:
    parts = [_cost_text(_cost(node))]
    if len(node.points) > 1 and graph.after(node.key):
        parts.append(f"shared by {len(node.points)}")
    if standings[node.key].state != "waiting":
        parts.append(standings[node.key].state)
    label = Text.assemble((node.run.name, "bold" if not node.upstream else ""), (f"  {', '.join(parts)}", "dim"))
    branch = tree.add(label)
    for after in graph.after(node.key):
        _branch(branch, after, graph, standings)


def _cost(node: Node) -> Cost:
    return cost(node.run.train, node.run.data, node.resolved.subsets.training)


def _missing(node: Node, facts: Facts) -> list[Path]:
    return facts.missing(node.resolved.trained_files)


def _totals(graph: Graph, standings: Mapping[str, Standing], facts: Facts) -> Iterator[str]:
    runs, combinations = len(graph.nodes), graph.asked
    finished = sum(now.state == "finished" for now in standings.values())
    yield f"{len(graph.points)} combinations, {runs} runs ({combinations - runs} more if none were shared), {finished} finished"
    costs = [_cost(node) for key, node in graph.nodes.items() if standings[key].state != "finished"]
    if costs:
        unknown = sum(cost.updates is None for cost in costs)
        updates, tokens = sum(cost.updates or 0 for cost in costs), sum(cost.tokens or 0 for cost in costs)
        least = f", not counting {unknown} of unknown length" if unknown else ""
        most = "at most " if any(cost.bound for cost in costs) else "about "
        yield f"to do: {updates:,} updates, {most}{_short(tokens)} tokens{least}"
    missing = list(dict.fromkeys(path for node in graph.nodes.values() for path in _missing(node, facts)))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        yield (
            f"does not exist yet: {missing[0]}{more}; runs are distinguished by their data, so folder names will change with it"
        )


def _budget(total: Budget, machine: Machine | None) -> Iterator[str]:
    least = f", not counting {total.unknown} runs of unknown size" if total.unknown else ""
    if total.at_work:
        yield (
            f"disk: {total.disk / 1e9:,.1f} GB for models and checkpoints once all is done ({total.least / 1e9:,.1f} with "
            f"keep: scores), and up to {total.at_work / 1e9:,.1f} GB for each run in progress{least}"
        )
    if machine and total.gpu_hours:
        yield f"training: {spoken_time(total.gpu_hours)} of GPUs, {machine.ranks} GPU{'s' * (machine.ranks > 1)} a run{least}"


def _cost_text(cost: Cost) -> str:
    if cost.updates == 0:
        return "evaluation only"
    if cost.updates is None:
        return "length not known before its data exists"
    return f"{cost.updates:,} updates, {'≤' if cost.bound else '≈'} {_short(cost.tokens or 0)} tokens"


def _step(now: Standing) -> str:
    if now.steps == 0:
        return ""
    return f"{now.step:,} of {f'{now.steps:,}' if now.steps is not None else '?'}"


def _share(standings: Mapping[str, Standing]) -> tuple[float, float]:
    """(done, of): updates, a run that only evaluates or is of unknown length counting as one."""
    done = total = 0.0
    for now in standings.values():
        weight = now.steps or 1
        total += weight
        done += weight if now.state == "finished" else min(now.step, weight) if now.steps else 0
    return done, total


def _short(number: int) -> str:
    for size, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {suffix}"
    return str(number)
