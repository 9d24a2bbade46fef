"""What the runs of a study that are not finished will take: disk, and hours of given GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass

from xdist.errors import UserError
from xdist.estimate.adapters import settings_of
from xdist.estimate.memory import Setting, state_on_disk, trained_in
from xdist.estimate.shapes import Shape, branched, shape_of
from xdist.study.expansion import Graph, Node
from xdist.study.planning import Machine, plan_run
from xdist.study.state import Standing

WEIGHT = 4  # bytes of a weight in a checkpoint of which only weights are left


@dataclass(frozen=True, slots=True)
class Budget:
    """In bytes: `disk` once all is done, `least` then with `keep: scores`, `at_work` what the largest run takes in addition
    until it is finished. `gpu_hours` are None where no machine was given. Not counted are `unknown` runs, whose backbone or
    length is not known yet."""

    disk: float
    least: float
    at_work: float
    gpu_hours: float | None
    unknown: int


def budget(graph: Graph, found: Mapping[str, Standing], machine: Machine | None) -> Budget:
    """Evaluation is not counted. Raises UserError for a run that does not fit the machine."""
    disk, least, at_work, hours, unknown = 0.0, 0.0, 0.0, 0.0, 0
    needed = graph.needed
    for key, node in graph.nodes.items():
        if found[key].state == "finished" or node.run.train is None:
            continue
        try:
            shape = branched(shape_at(graph, node), node.resolved.model.branches)
        except UserError:
            unknown += 1
            continue
        runtime = node.run.runtime
        setting = Setting(
            bf16=runtime.precision not in ("fp32", "tf32"),
            stage=1,
            trained_rows=0 if node.run.model.embeddings_frozen else None,
            frozen_layers=min(node.run.model.frozen_layers, shape.layers),
            **settings_of(shape, node.run.model.adapter, node.run.model.syntax),
        )
        whole = shape.parameters if setting.adapted is None else setting.adapted
        weights = trained_in(shape, setting)
        model = float(setting.size * whole)
        goes = node.run.evaluate is not None and str(node.run.folder / "model") not in needed
        kept = {
            "states": model + runtime.keep * state_on_disk(shape, setting),
            "weights": model + runtime.keep * WEIGHT * weights,
            "model": model,
            "scores": 0.0 if goes else model,
        }
        disk, least = disk + kept[runtime.keep_finished], least + kept["scores"]
        # A checkpoint more while it is being written.
        at_work = max(at_work, kept["states"] + state_on_disk(shape, setting) - kept["scores"])
        if machine:
            one = plan_run(node.resolved, machine, shape=shape_at(graph, node)).gpu_hours
            hours, unknown = hours + (one or 0.0), unknown + (one is None)
    return Budget(disk, least, at_work, hours if machine else None, unknown)


def shape_at(graph: Graph, node: Node) -> Shape:
    """Of the backbone that the chain of runs up to `node` begins with. Raises UserError."""
    while node.upstream:
        node = graph.nodes[node.upstream]
    return shape_of(node.resolved.model.backbone)
