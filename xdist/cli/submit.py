"""xdist submit: a run on a cluster."""

import os
import sys
from pathlib import Path

import click

from xdist.cli.options import cluster_arguments, dry_run, run_arguments


@click.command(name="submit", short_help="Hand a run to SLURM, Kubernetes, a list of hosts or this machine.")
@run_arguments
@cluster_arguments
@click.option("--prepare", "parts", type=click.IntRange(1), metavar="PARTS", help="Prepare the data first, in so many jobs.")
@click.option("--evaluate", "only_evaluate", is_flag=True, help="Only evaluate a run that is trained.")
@dry_run
def command(
    path: Path,
    overrides: tuple[str, ...],
    cluster_path: Path,
    settings: tuple[str, ...],
    after: tuple[str, ...],
    parts: int | None,
    only_evaluate: bool,
    dry_run: bool,
) -> None:
    """Start the run that RUN.yaml describes where CLUSTER.yaml says (examples: jobs/clusters/).

    What the scheduler gets, RUN.yaml and what became of it go into the run folder, so that the job can be started again by
    hand. A run that the time limit stops is saved, queued again under the same number and goes on. With --prepare an array
    of jobs without GPUs tokenises first, and the run waits for it; on Kubernetes submit the run when these have ended.

    \b
    Example:
      xdist submit jobs/runs/demo/target.yaml --cluster jobs/clusters/slurm.yaml --dry-run
      xdist submit jobs/runs/demo/target.yaml --cluster mine.yaml --set nodes=4 --after 1234 train.steps=500
      xdist submit jobs/runs/xtreme-r/xnli.yaml --cluster mine.yaml --prepare 16
    """
    from xdist.config import Hosts, Local, load_cluster, load_run
    from xdist.errors import UserError
    from xdist.launch import submission

    run, cluster = load_run(path, overrides), load_cluster(cluster_path, settings)
    for option, given, kinds in (("--after", after, ["slurm"]), ("--prepare", parts, ["slurm", "kubernetes"])):
        if given and cluster.kind not in kinds:
            needs = " and ".join(kinds)
            raise UserError(f"{option}: needs a cluster of kind {needs}, {cluster_path} is of kind '{cluster.kind}'")
    plan = submission.plan(run, path, cluster, only_evaluate, parts or 0)
    if dry_run:
        click.echo(
            f"run {run.name} in {run.folder} (now: {plan.folder.state}), {cluster.nodes} x {cluster.ranks} ranks", err=True
        )
        click.echo("".join(plan.texts.values()), nl=False)
        return
    if plan.work == "train" and plan.folder.state == "finished":
        click.echo(f"{run.name} is finished: {run.folder}; --evaluate scores it on more")
        return
    if isinstance(cluster, Hosts):
        from xdist.launch import hosts, local

        submission.write(plan)
        script = (plan.files / hosts.FILE).absolute()
        if cluster.ssh:
            sys.exit(local.supervise(["bash", str(script)], dict(os.environ), plan.folder))
        for line in hosts.by_hand(cluster, script):
            click.echo(line)
        return
    if isinstance(cluster, Local):
        from xdist.launch.prepared import launch

        submission.local_environment(cluster)
        submission.write(plan)
        sys.exit(launch(plan.work, plan.run, plan.folder.config, ()))
    job = submission.submit(plan, after)
    scheduler = submission.SCHEDULERS[cluster.kind]
    first = parts and not scheduler.WAITS
    file = plan.files / (scheduler.PARTS if first else scheduler.FILE)
    click.echo(f"submitted {'its preparation ' if first else ''}as job {job}: {file}")
    for line in scheduler.watch(job, plan.files):
        click.echo(f"  {line}")
    for what in ("status", "logs"):
        click.echo(f"  xdist {what} {plan.run.folder}")
    if first:
        click.echo("when it is complete, the same command without --prepare submits the run")
