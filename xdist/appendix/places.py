"""The runs that are meant where a study or some runs are named."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xdist.appendix.cited import described_runs
from xdist.config import Run, Study, load_study
from xdist.config.loading import plain_yaml
from xdist.study.expansion import expand
from xdist.study.facts import Facts


@dataclass(frozen=True, slots=True)
class Meant:
    """Runs by the name that each has among them; `study` and its `file` where they are those of one."""

    runs: dict[str, Run]
    study: Study | None = None
    file: Path | None = None


def read_places(places: Sequence[str]) -> Meant:
    """A study (its YAML, then overrides), or run folders and RUN.yaml files. Raises UserError for what is neither."""
    first = Path(places[0])
    if first.suffix in (".yaml", ".yml") and "stages" in plain_yaml(first):
        study = load_study(first, places[1:])
        graph = expand(study, Facts(study.folder / "digests.json"))
        return Meant({node.run.folder.name: node.run for node in graph.nodes.values()}, study, first)
    runs: dict[str, Run] = {}
    for run in described_runs(map(Path, places)):
        name, number = run.folder.name, 1
        while name in runs:
            number += 1
            name = f"{run.folder.name}-{number}"
        runs[name] = run
    return Meant(runs)
