"""xdist submit: a run on a cluster."""

import sys
from pathlib import Path

import click

from xdist.cli.options import cluster_arguments, dry_run, run_arguments


@click.command(name="submit", short_help="Submit a run to SLURM, Kubernetes, a list of hosts or this machine.")
@run_arguments
@cluster_arguments
@click.option("--prepare", "parts", type=click.IntRange(1), metavar="PARTS", help="Prepare the data first, in this many jobs.")
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

    The texts for the scheduler, RUN.yaml and the state of the job go into the run folder, so that the job can be started again
    by hand. A run that the time limit stops is saved, queued again under the same number and resumes. With --prepare an array
    of jobs without GPUs tokenises first, and the run waits for it; on Kubernetes submit the run when these have ended.

    \b
    Example:
      xdist submit jobs/runs/demo/target.yaml --cluster jobs/clusters/slurm.yaml --dry-run
      xdist submit jobs/runs/demo/target.yaml --cluster mine.yaml --set nodes=4 --after 1234 train.steps=500
      xdist submit jobs/runs/xtreme-r/xnli.yaml --cluster mine.yaml --prepare 16
    """
    from xdist.config import load_run
    from xdist.launch import submission
    from xdist.launch.clusters import kind_of, load_cluster, require, scheduler
    from xdist.launch.scheduler import Direct
    from xdist.plugins import name_in
    from xdist.resolve.subsets import Subsets
    from xdist.study.estimate import unusual_settings

    run, cluster = load_run(path, overrides), load_cluster(cluster_path, settings)
    for given, option, capability in ((after, "--after", "waits"), (parts, "--prepare", "prepares")):
        if given:
            require(capability, option, cluster, cluster_path)
    plan = submission.plan(run, path, cluster, only_evaluate, parts or 0)
    if plan.warning:
        click.echo(plan.warning, err=True)
    if dry_run:
        if plan.work == "train":
            for line in unusual_settings(run.train, run.model, run.data, Subsets(run).training):
                click.echo(f"unusual setting: {line}", err=True)
        click.echo(
            f"run {run.name} in {run.folder} (now: {plan.folder.state}), {cluster.nodes} x {cluster.ranks} ranks", err=True
        )
        click.echo("".join(plan.texts.values()), nl=False)
        return
    if plan.work == "train" and plan.folder.state == "finished":
        click.echo(f"{run.name} is finished: {run.folder}; --evaluate scores it on more")
        return
    if isinstance(kind := kind_of(cluster), Direct):
        submission.write_job(plan)
        sys.exit(kind.start(plan.job, plan.folder, cluster))
    there, job = scheduler(cluster.kind), submission.submit(plan, after)
    what = "its preparation " if plan.only_prepares else ""
    click.echo(f"submitted {what}as job {job}: {plan.files / list(plan.texts)[-1]}")
    more = "".join(f" --plugin {name_in(entry)}" for entry in cluster.plugins)  # looking imports nothing by itself
    for line in (*there.watch(job), f"xdist status {plan.run.folder}{more}", f"xdist logs {plan.run.folder}{more}"):
        click.echo(f"  {line}")
    if plan.only_prepares:
        click.echo("when it is complete, the same command without --prepare submits the run")
    elif not there.restarts(cluster):
        click.echo("where it is stopped before its end, the same command resumes")
