"""What the runs of a study that are not finished will take: disk, and hours of given GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass

from xdist.errors import UserError
from xdist.estimate.memory import Setting, state_on_disk
from xdist.estimate.shapes import Shape, shape_of
from xdist.study.expansion import Graph, Node
from xdist.study.planning import Machine, plan_run
from xdist.study.state import Standing


@dataclass(frozen=True, slots=True)
class Budget:
    """`disk` in bytes, `gpu_hours` None where no machine was given. Not counted are `unknown` runs, whose backbone or length is
    not known yet."""

    disk: float
    gpu_hours: float | None
    unknown: int


def budget(graph: Graph, found: Mapping[str, Standing], machine: Machine | None) -> Budget:
    """Evaluation is not counted. Raises UserError for a run that does not fit the machine."""
    disk, hours, unknown = 0.0, 0.0, 0
    for key, node in graph.nodes.items():
        if found[key].state == "finished" or node.run.train is None:
            continue
        try:
            shape = shape_at(graph, node)
        except UserError:
            unknown += 1
            continue
        setting = Setting(
            bf16=node.run.runtime.precision not in ("fp32", "tf32"),
            stage=1,
            trained_rows=0 if node.run.model.freeze_embeddings else None,
        )
        disk += node.run.runtime.keep * state_on_disk(shape, setting) + setting.size * shape.parameters
        if machine:
            one = plan_run(node.resolved, machine, shape=shape).gpu_hours
            hours, unknown = hours + (one or 0.0), unknown + (one is None)
    return Budget(disk, hours if machine else None, unknown)


def shape_at(graph: Graph, node: Node) -> Shape:
    """Of the backbone that the chain of runs up to `node` begins with. Raises UserError."""
    while node.upstream:
        node = graph.nodes[node.upstream]
    return shape_of(node.resolved.model.backbone)
