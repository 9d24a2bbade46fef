"""A study of two stages on the tiny benchmark, and its graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from xdist.config import load_study
from xdist.study import Facts, Graph, expand

AXES: dict[str, Any] = {
    "first": {
        "none": {"intermediate": None},
        "english": {"intermediate": {"train.tasks.0.languages": ["en"]}},
        "multilingual": {},
    },
    "robust": {
        "plain": {"target": {"robust": {"method": "none"}}},
        "adversarial": {"target": {"robust": {"method": "adversarial", "radius": 0.1}}},
    },
}


def graph_of(tmp_path: Path, described: Mapping[str, Any], *overrides: str) -> Graph:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    return expand(load_study(path, overrides), Facts())


def named(graph: Graph) -> dict[str, str]:
    """Keys by name of run."""
    return {node.run.name: node.key for node in graph.nodes.values()}
