"""xdist study submit: the runs of a study as jobs of a cluster."""

from pathlib import Path

import click

from xdist.cli.options import cluster_arguments, dry_run, study_arguments
from xdist.cli.study_read import facts_in, make_demo


@click.command(name="submit", short_help="Submit every unfinished run to SLURM or Kubernetes, each after the one it needs.")
@study_arguments
@cluster_arguments
@click.option(
    "--at-once",
    type=click.IntRange(1),
    metavar="N",
    help="Submit the runs as one array of jobs, of which at most N run at a time (SLURM).",
)
@click.option(
    "--retry-every",
    type=click.IntRange(1, 86400),
    metavar="SECONDS",
    help="Where the queue is full, wait and try again, until all jobs are submitted.",
)
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="With --dry-run: write the texts for the scheduler into this new folder.",
)
@dry_run
def command(
    path: Path,
    overrides: tuple[str, ...],
    cluster_path: Path,
    settings: tuple[str, ...],
    after: tuple[str, ...],
    at_once: int | None,
    retry_every: int | None,
    texts: Path | None,
    dry_run: bool,
) -> None:
    """Submit a job for every unfinished run that has none. A run that starts from another's model waits for it, through
    all restarts of its job, and is cancelled if that fails; the other runs continue. Started again, it submits what is missing.

    On Kubernetes, where no job waits for another, runs are submitted once those before them have ended: start it again then.

    \b
    Example:
      xdist study submit jobs/studies/xtreme-r.yaml --cluster jobs/clusters/slurm.yaml --dry-run
      xdist study submit jobs/studies/demo.yaml --cluster jobs/clusters/slurm.yaml --at-once 4 --dry-run --texts texts
    """
    from rich.console import Console

    from xdist.config import load_study
    from xdist.errors import UserError
    from xdist.launch.clusters import load_cluster, require
    from xdist.study import arrays, expand, submitting
    from xdist.study.running import only_runner
    from xdist.study.show import print_steps

    study, cluster = load_study(path, overrides), load_cluster(cluster_path, settings)
    if texts and not dry_run:
        raise UserError("--texts: needs --dry-run; what is submitted is in the folder of each run (job/)")
    for given, option, capability in ((after, "--after", "waits"), (at_once, "--at-once", "arrays")):
        if given:
            require(capability, option, cluster, cluster_path)
    if "demo" in study.needs and not dry_run:
        make_demo(study.needs["demo"])
    facts = facts_in(study.folder)
    graph = expand(study, facts)
    if dry_run:
        steps = submitting.plan(graph, facts, cluster)
        together = arrays.texts(graph, steps, cluster, at_once) if at_once else {}
        if together:
            click.echo(f"{len(together)} array{'s' * (len(together) > 1)}, at most {at_once} runs of each at a time", err=True)
        if texts:
            click.echo(f"{submitting.write_texts(steps, texts, together)} files in {texts}", err=True)
        print_steps(graph, steps, True, Console())
        return
    facts.remember()
    done: list[submitting.Step] = []
    with only_runner(study.folder):
        arrays.take_back_held(graph, cluster)
        steps = submitting.plan(graph, facts, cluster)
        try:
            if at_once:
                submitted = arrays.submit(graph, facts, steps, cluster, at_once, after, retry_every)
            else:
                submitted = submitting.submit(graph, facts, steps, after, retry_every)
            for step in submitted:
                done.append(step)
        finally:  # what was submitted before the scheduler refused
            print_steps(graph, done, False, Console())
    facts.remember()
    if later := sum(step.what == "later" for step in done):
        click.echo(f"{later} runs wait for others; when these have ended: xdist study submit {path} --cluster {cluster_path}")
    click.echo(f"xdist study status {path}")
