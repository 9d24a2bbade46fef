"""What a condition of a study took: trainings that its models rest on, each counted as if for it alone, and fits of maps."""

import json
from pathlib import Path
from typing import Any

from tiny_study import graph_of, named

from xdist.report.record import Record
from xdist.study.costs import said_cost


def test_seconds_and_memory_of_a_condition(tmp_path: Path, described: dict[str, Any]) -> None:
    graph = graph_of(tmp_path, described)
    names = named(graph)
    spent = {"intermediate": [40.0, 20.0], "target": [100.0]}
    records = {
        key: Record(
            node.run.name,
            "",
            {},
            {
                "train/rank_seconds": [(at, value * node.run.seed) for at, value in enumerate(spent[node.stage], start=1)],
                "train/peak_gb": [(1, 1.25 if node.stage == "intermediate" else 0.5)],
            },
        )
        for key, node in graph.nodes.items()
    }
    plain = [point for point in graph.points if point.values == {"first": "none", "robust": "plain"}]
    both = [point for point in graph.points if point.values == {"first": "english", "robust": "plain"}]
    assert said_cost(graph, plain, records) == "150 s, 0.5 GB", "the mean over seeds 1 and 2"
    assert said_cost(graph, both, records) == "240 s, 1.2 GB", "what it begins with counts, wherever else it is used"

    folder = graph.nodes[names["target-english-plain-s1"]].run.folder / "alignment"
    folder.mkdir(parents=True)
    (folder / "alignment.json").write_text(json.dumps({"rank_seconds": 60, "peak_gb": 2.5}))
    assert said_cost(graph, both, records) == "270 s, 2.5 GB"
    missing = {**records, names["target-english-plain-s1"]: Record("", "", {}, {})}
    assert said_cost(graph, both, missing) == "", "of a run that has not logged it yet"
    assert said_cost(graph, [], records) == ""
