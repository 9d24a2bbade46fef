"""The kinds of cluster that there are, and a cluster's YAML, which names one of them.

Ours are registered by the same call as those of plugins.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from xdist.config import Cluster
from xdist.config.fitting import plain_values
from xdist.config.loading import apply_override, read_yaml, validated
from xdist.config.plugin import Plugin
from xdist.config.section import Section
from xdist.errors import UserError, unknown
from xdist.launch.direct import HOSTS, LOCAL
from xdist.launch.kubernetes import KUBERNETES
from xdist.launch.scheduler import KINDS, Kind, Scheduler, register
from xdist.launch.slurm import SLURM
from xdist.registry import not_here

for ours in (LOCAL, HOSTS, SLURM, KUBERNETES):
    register(ours)


def kind_of(cluster: Cluster) -> Kind[Any]:
    return KINDS.get(cluster.kind)


def scheduler(name: str) -> Scheduler[Any]:
    """Raises UserError where no kind of that name with a queue is installed here."""
    found = KINDS.get(name) if KINDS.has(name) else None
    if not isinstance(found, Scheduler):
        raise UserError(not_here("scheduler", name))
    return found


class _Plugins(Section):
    """What has to be read of a cluster before its kind is known."""

    model_config = ConfigDict(extra="ignore")

    plugins: tuple[Plugin, ...] = ()


def load_cluster(path: Path, overrides: Sequence[str] = ()) -> Cluster:
    """The cluster described at `path`. Raises UserError with file, line and key of the first error."""
    values, source = read_yaml(path)
    for text in overrides:
        apply_override(values, text, source)
    named = validated(_Plugins, values, source).plugins
    named_kind = plain_values(values.get("kind"))
    if named_kind is None:
        raise UserError(f"{path}: 'kind' is required (valid: {', '.join(sorted(KINDS.there(named)))})")
    if not isinstance(named_kind, str):
        raise UserError(f"{source.at(('kind',))}: {unknown('kind', named_kind, KINDS.there(named))}")
    try:
        kind = KINDS.get(named_kind, named)
    except UserError as error:
        raise UserError(f"{source.at(('kind',))}: {error}") from None
    cluster: Cluster = validated(kind.options, values, source)
    return cluster


def require(capability: str, option: str, cluster: Cluster, path: Path) -> None:
    """Raises UserError where the kind of the cluster at `path` lacks what a command's `option` needs."""
    able = [one.name for one in KINDS.there(cluster.plugins).values() if getattr(one.can, capability)]
    if cluster.kind not in able:
        raise UserError(f"{option}: needs a cluster of kind {' and '.join(able)}, {path} is of kind '{cluster.kind}'")
