"""xdist fetch: models and data sets from the hub, for machines without a network."""

from pathlib import Path

import click

from xdist.cli.completion import keys_of
from xdist.cli.options import dry_run
from xdist.errors import UserError

SHOWN = 8  # of the splits that a data set does not have


@click.command(name="fetch", short_help="Download models and data sets from the hub into a folder.")
@click.argument("path", metavar="[RUN.yaml]", type=click.Path(path_type=Path), required=False)
@click.argument("overrides", nargs=-1, metavar="[a.b=c]...", shell_complete=keys_of("run"))
@click.option("--model", "models", multiple=True, metavar="ID", help="Also this model; may be given several times.")
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Also this task's data set, all splits; several times.")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Of --task, only this language; several times.")
@click.option("--into", type=click.Path(path_type=Path), help="Data root to fetch into  [default: the run's, else download]")
@click.option("--revision", help="Branch, tag or commit, where it is one repository  [default: the recorded commit, else main]")
@click.option("--update", is_flag=True, help="Take what the hub has now instead of the recorded commit.")
@click.option("--verify", is_flag=True, help="Compare checksums of existing files, not only sizes.")
@dry_run
def command(
    path: Path | None,
    overrides: tuple[str, ...],
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    languages: tuple[str, ...],
    into: Path | None,
    revision: str | None,
    update: bool,
    verify: bool,
    dry_run: bool,
) -> None:
    """Fetch the backbone and the data sets of RUN.yaml, or a model, or a task, so that the run needs no network.

    Models go to DATA_ROOT/models, data sets to DATA_ROOT/hub; a run finds them there, also with HF_HUB_OFFLINE=1.
    Next to them fetched.json records commit, sizes and checksums. Interrupted, it resumes where it stopped; fetched again, it
    downloads what is missing or damaged, at the recorded commit.

    \b
    Example:
      xdist fetch jobs/runs/xtreme-r/xnli.yaml model.backbone=xlm-roberta-large
      xdist fetch --model xlm-roberta-base --task xquad --into download
    """
    from rich.filesize import decimal

    from xdist.config import load_run
    from xdist.data.fetched import may_be_hub_id
    from xdist.fetch import parts
    from xdist.fetch.fetching import fetch, plan
    from xdist.fetch.hub import HubClient, free_bytes
    from xdist.resolve.subsets import Subsets
    from xdist.run.progress import Progress
    from xdist.tasks.catalog import task

    if path is None and not models and not tasks:
        raise UserError("nothing to fetch: give RUN.yaml, --model ID or --task NAME")
    run = load_run(path, overrides) if path else None
    root = into or (run.data.root if run else Path("download"))
    wanted = [parts.model(id) for id in models]
    entries = [task(name, run.data.tasks, run.plugins) if run else task(name) for name in tasks]
    subsets = [(subset, bool(languages)) for entry in entries for subset in parts.subsets_of_task(entry, languages)]
    if run:
        subsets += Subsets(run).wanted
        backbone = run.model.backbone
        if backbone not in models and not Path(backbone).is_dir() and may_be_hub_id(backbone):
            wanted.append(parts.model(backbone))
    data_sets, elsewhere = parts.data_sets(subsets, root)
    wanted += data_sets
    if revision and len(wanted) != 1:
        raise UserError(f"--revision {revision}: names one repository's, here are {', '.join(map(str, wanted)) or 'none'}")

    hub = HubClient()
    plans = [(repository, plan(hub, root, repository, revision, update, verify)) for repository in wanted]
    for repository, todo in plans:
        sizes = f"{len(todo.sizes)} files, {decimal(sum(todo.sizes))}"
        click.echo(f"{repository} at {todo.lock.commit[:8]} ({todo.lock.revision}): {sizes}, in {todo.folder}")
        for name, why in todo.why.items():
            if dry_run or why != "missing":
                click.echo(f"  {decimal(todo.missing[name].size):>9}  {name}: {why}")
        if todo.lock.absent and repository.kind == "dataset":
            more = f" and {len(todo.lock.absent) - SHOWN} more" if len(todo.lock.absent) > SHOWN else ""
            click.echo(f"  not on the hub: {', '.join(todo.lock.absent[:SHOWN])}{more}")
    for line in elsewhere:
        click.echo(f"not fetched: {line}", err=True)
    missing = sum(todo.bytes_missing for _, todo in plans)
    if missing > free_bytes(root):
        raise UserError(f"{root}: {decimal(missing)} are to come, {decimal(free_bytes(root))} are free there")
    if dry_run:
        click.echo(f"to fetch: {decimal(missing)}")
        return
    if all(todo.done for _, todo in plans):
        click.echo("all files are present; nothing was fetched")
        return
    progress = Progress("fetch", sum(listed.size for _, todo in plans for listed in todo.missing.values()), in_bytes=True)
    try:
        for repository, todo in plans:
            progress.note(repository.id)
            fetch(hub, repository, todo, progress.advance)
    finally:
        progress.close()
    click.echo(f"fetched: {decimal(missing)}")
