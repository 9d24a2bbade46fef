"""Parallel text of any stage of a study against the sentences that later stages score."""

from collections.abc import Iterator

from xdist.data.leaks import check_leaks
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.study.expansion import Graph, Node


def check_stages(graph: Graph) -> None:
    """Raises UserError, beginning with its name, for the first run that scores sentences which a stage before it, or a model
    that is merged with it or teaches it, was trained on as parallel text."""
    for node in graph.nodes.values():
        run, trained = node.run, dict.fromkeys(_trained(graph, node))
        there = [one for one in trained if one.task.is_there(run.data.root, one.split, one.language)]
        if not there:
            continue
        try:
            check_leaks(there, node.resolved.subsets.evaluation, run.data.root)
        except UserError as error:
            raise UserError(f"{run.name}: {error}") from None


def _trained(graph: Graph, node: Node) -> Iterator[Subset]:
    for key in node.before:
        before = graph.nodes[key]
        yield from _trained(graph, before)
        yield from (subset for subset in before.resolved.subsets.training if subset.task.translates)
