"""xdist doctor: problems that would stop runs here or on a cluster."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click


@click.command(name="doctor", short_help="Check this machine or a cluster for problems that would stop runs.")
@click.option("--cluster", "cluster_path", metavar="FILE", type=click.Path(path_type=Path), help="Look at its nodes, too.")
@click.option("--set", "settings", multiple=True, metavar="a=c", help="Override a key of FILE; may be repeated.")
@click.option(
    "--folder",
    default=Path("runs"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the runs; all nodes must see it.",
)
@click.option("--build", is_flag=True, help="Compile DeepSpeed's ops now; otherwise the first start waits for it.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as a JSON list.")
def command(cluster_path: Path | None, settings: tuple[str, ...], folder: Path, build: bool, as_json: bool) -> None:
    """Check versions, accelerator, compiler, shared memory and the folder for runs, and let ranks meet: two on this machine, or
    those of all nodes of a cluster. On a cluster it measures an all-reduce over all nodes and over each pair, and says which
    link is slow, which interfaces lead from node to node, and whose versions or clocks differ. Says what to do about each.

    Exit codes: 0 no problem found, 1 problems found, 2 wrong input.

    \b
    Example:
      xdist doctor --build
      xdist doctor --cluster jobs/clusters/slurm.yaml --folder /shared/me/runs
    """
    from xdist.launch.clusters import kind_of, load_cluster
    from xdist.launch.direct import Local
    from xdist.launch.doctor import machine, reach, storage
    from xdist.launch.doctor.finding import Finding

    if build:
        os.environ[machine.BUILD] = "1"  # here and on the nodes
    cluster = load_cluster(cluster_path, settings) if cluster_path else reach.this_machine()
    found: list[Finding] = []

    def tell(findings: list[Finding]) -> None:
        found.extend(findings)
        for one in [] if as_json else findings:
            click.echo(_line(one))

    kind, on_this_machine = kind_of(cluster), isinstance(cluster, Local)
    tell(machine.check(cluster.ranks if on_this_machine else 1))
    if not kind.can.shared_files:
        tell(kind.check(cluster))
    else:
        tell(storage.check(folder))
        if not any(finding.level == "bad" for finding in found):  # ranks could not start
            met = reach.check(cluster, folder)
            # Two ranks on this machine say of it what has been said.
            tell([finding for finding in met if finding.check == reach.CHECK] if on_this_machine else met)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], ensure_ascii=False, indent=1))
    elif bad := sum(finding.level == "bad" for finding in found):
        click.echo(f"{bad} of these will stop runs", err=True)
    sys.exit(1 if any(finding.level == "bad" for finding in found) else 0)


def _line(finding: Any) -> str:
    mark = {"good": "ok ", "note": "?  ", "bad": "!  "}[finding.level]
    where = f"{finding.host}: " if finding.host else ""
    do = f"\n     {finding.do}" if finding.do else ""
    return f"{mark}{finding.check}: {where}{finding.says}{do}"
