"""The kinds of cluster that are known, and a cluster's YAML, which names one of them.

Ours are registered as those of others are: `register(kind)`, then its name is valid wherever a cluster is read.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdist.config import Cluster
from xdist.config.loading import apply_override, read_yaml, validated
from xdist.errors import UserError, unknown
from xdist.launch.direct import HOSTS, LOCAL
from xdist.launch.kubernetes import KUBERNETES
from xdist.launch.scheduler import Kind, Scheduler
from xdist.launch.slurm import SLURM

KINDS: dict[str, Kind[Any]] = {}


def register(kind: Kind[Any]) -> None:
    """Make a kind known. Raises UserError where another one has its name."""
    if KINDS.setdefault(kind.name, kind) is not kind:
        raise UserError(f"two kinds of cluster are called '{kind.name}'")


for ours in (LOCAL, HOSTS, SLURM, KUBERNETES):
    register(ours)


def kind_of(cluster: Cluster) -> Kind[Any]:
    return KINDS[cluster.kind]


def scheduler(name: str) -> Scheduler[Any]:
    """Raises UserError where no kind of that name with a queue is known."""
    found = KINDS.get(name)
    if not isinstance(found, Scheduler):
        names = [one.name for one in KINDS.values() if isinstance(one, Scheduler)]
        raise UserError(unknown("scheduler", name, names))
    return found


def load_cluster(path: Path, overrides: Sequence[str] = ()) -> Cluster:
    """The cluster described at `path`. Raises UserError with file, line and key of the first mistake."""
    values, source = read_yaml(path)
    for text in overrides:
        apply_override(values, text, source)
    name = values.get("kind")
    if name is None:
        raise UserError(f"{path}: 'kind' is required (valid: {', '.join(sorted(KINDS))})")
    if not isinstance(name, str) or name not in KINDS:
        raise UserError(f"{source.at(('kind',))}: {unknown('kind', name, KINDS)}")
    return validated(KINDS[name].options, values, source)


def require(capability: str, option: str, cluster: Cluster, path: Path) -> None:
    """Raises UserError where the kind of the cluster at `path` lacks what a command's `option` needs."""
    able = [one.name for one in KINDS.values() if getattr(one.can, capability)]
    if cluster.kind not in able:
        raise UserError(f"{option}: needs a cluster of kind {' and '.join(able)}, {path} is of kind '{cluster.kind}'")
