"""xdist export: a run's model as a Hugging Face folder, and on the hub."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xdist.cli.options import dry_run, given_plugins

if TYPE_CHECKING:
    from xdist.config import Model
    from xdist.export.weights import Weights
    from xdist.fetch.pushing import Destination
    from xdist.run.folder import RunFolder

    Source = tuple[str, Callable[[], Weights]]


@click.command(name="export", short_help="A run's model as a Hugging Face folder, and on the hub.")
@click.argument("places", nargs=-1, metavar="[RUN_FOLDER|RUN.yaml]...", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--tag", default="model", show_default=True, help="model (the finished one), best (so far), last, or a step.")
@click.option("--average", type=click.IntRange(1), help="The mean of the weights of the last N checkpoints.")
@click.option(
    "--adapter",
    type=click.Choice(["merged", "kept"]),
    default="merged",
    show_default=True,
    help="Of a run with model.adapter: one complete model, or the adapter alone; LoRA in the format of PEFT.",
)
@click.option("--head", help="Which of several heads; 'none': the encoder alone.")
@click.option("--licence", "--license", metavar="ID", help="Your model's licence as the hub names it, such as apache-2.0.")
@click.option("--push", "repository", metavar="OWNER/NAME", help="Also push OUT to this repository of the hub, private if new.")
@click.option("--public", is_flag=True, help="With --push: a public repository.")
@given_plugins
@dry_run
def command(
    places: tuple[Path, ...],
    out: Path,
    tag: str,
    average: int | None,
    adapter: str,
    head: str | None,
    licence: str | None,
    repository: str | None,
    public: bool,
    dry_run: bool,
) -> None:
    """Write the folder OUT that transformers' AutoModelFor… loads: safetensors, tokenizer, model card.

    Weights come from the finished model or straight from the shards of a checkpoint of any ZeRO stage, without a process
    group. For several runs (seeds of one description) it writes the mean of their weights.

    --push sends OUT to the hub (HF_ENDPOINT, else the public one) in one commit, with the token in HF_TOKEN or of `hf auth
    login`; without runs an OUT that was exported before. Nothing is sent unless OUT is complete and the token may write.

    \b
    Example:
      xdist export runs/demo/target-multilingual-adversarial models/target
      xdist export runs/demo/target-multilingual-adversarial models/step-28 --tag 28
      xdist export runs/seed1 runs/seed2 runs/seed3 models/seeds
      xdist export models/target --push me/target --dry-run
    """
    from xdist.errors import UserError

    if public and not repository:
        raise UserError("--public goes with --push")
    if not places and not repository:
        raise UserError("give runs and OUT; OUT alone, exported before, goes with --push OWNER/NAME")
    if not places and (tag != "model" or average or adapter != "merged" or head or licence):
        raise UserError("--tag, --average, --adapter, --head and --licence go with runs; OUT is pushed as it was exported")
    if places and out.exists():
        again = f", or push it as it is: xdist export {out} --push {repository}" if repository else ""
        raise UserError(f"{out}: already exists; choose another folder{again}")
    if repository and adapter == "kept":
        raise UserError("--push sends complete models: remove --adapter kept")
    from xdist.fetch import pushing

    to = pushing.destination(repository, public) if repository else None
    if places:
        _export(places, out, tag, average, adapter, head, licence, dry_run)
    if to:
        _push(to, out, bool(places) and dry_run, dry_run)


def _export(
    places: Sequence[Path],
    out: Path,
    tag: str,
    average: int | None,
    adapter: str,
    head: str | None,
    licence: str | None,
    dry_run: bool,
) -> None:
    from xdist.errors import UserError
    from xdist.export import weights
    from xdist.export.adapter import export_adapter
    from xdist.export.card import About, card, check_licence
    from xdist.export.hugging_face import prepare_export
    from xdist.model.lineage import join_lineages, read_lineage
    from xdist.resolve.resolved import Resolved
    from xdist.run.folder import locate_run_folder
    from xdist.run.recorded import recorded_scores
    from xdist.tasks.catalog import known_tasks

    if average and tag != "model":
        raise UserError("--average takes the last checkpoints: leave --tag out")
    check_licence(licence)
    folders = [locate_run_folder(place) for place in places]
    runs = [Resolved.recorded(folder) for folder in folders]
    sources: list[Source] = []
    for folder, resolved in zip(folders, runs, strict=True):
        if resolved.run.train is None:
            raise UserError(f"{folder.path}: this run trains nothing")
        if adapter == "kept" and resolved.run.model.adapter is None:
            raise UserError(f"{folder.path}: trained no adapter; leave --adapter out")
        sources += _sources(folder, resolved.model, tag, average, resolved.run.runtime.keep)
    run, heads = runs[0].run, {} if head == "none" else runs[0].heads
    chosen = _chosen(heads, head, folders[0].path)
    scored = heads[chosen][0] if chosen else None
    names = [name for name, _ in sources]
    whole = names == [str(folders[0].model)]  # what its scores are of
    described = run.data.tasks if run.data.tasks and run.data.tasks.is_file() else None
    about = About(
        name=run.name,
        lineage=join_lineages([read_lineage(str(folder.model)) for folder in folders]),
        source="the finished model" if whole else _weights_text(tag, average, len(names)),
        place=out.name,
        head=chosen,
        family=scored.family if scored else None,
        scores=recorded_scores(folders[0].scores)["tasks"] if whole and folders[0].scores.is_file() else {},
        catalog={**known_tasks(described), **{task.name: task for tasks in heads.values() for task in tasks}},
        revisions=_fetched(folders[0]),
        licence=licence,
    )
    source = names[0] if len(names) == 1 else f"the mean of {len(names)} models ({', '.join(names)})"
    if adapter == "kept":
        if len(names) > 1 or tag not in ("model", "best"):
            raise UserError("--adapter kept: one run's finished or best model alone")
        kind, model = "the adapter", None
    else:
        model = prepare_export(weights.mean_weights([read() for _, read in sources], names), runs[0].model.backbone, scored)
        kind = model.kind
    if dry_run:
        click.echo(f"would write {out}: {kind} from {source}")
        return
    if model:
        model.write(out, card(about, model.kind, model.auto), about.lineage)
    else:
        kind = export_adapter(Path(names[0]), run.model.backbone, scored, out, partial(card, about), about.lineage)
    click.echo(f"{out}: {kind} from {source}")


def _sources(folder: "RunFolder", model: "Model", tag: str, average: int | None, keep: int) -> list["Source"]:
    """Where weights of a run of the encoder `model`, which keeps this many checkpoints, lie, and what reads them."""
    from xdist.checkpoint import tags
    from xdist.errors import UserError, unknown
    from xdist.export import weights

    if average:
        last = tags.list_tags(folder.checkpoints)[-average:]
        if len(last) < average:
            raise UserError(f"{folder.checkpoints}: holds {len(last)} checkpoints (runtime.keep={keep})")
        return [(str(one.path), partial(weights.of_tag, one, model)) for one in last]
    if tag in ("model", "best"):
        place = folder.model if tag == "model" or folder.model.is_dir() else folder.best
        return [(str(place), partial(weights.of_model, place))]
    if tag == "last" or tag.isdecimal():
        one = weights.tag_of(folder, None if tag == "last" else int(tag))
        return [(str(one.path), partial(weights.of_tag, one, model))]
    raise UserError(unknown("tag", tag, ["model", "best", "last", *(t.step for t in tags.list_tags(folder.checkpoints))]))


def _weights_text(tag: str, average: int | None, models: int) -> str:
    """Which weights they are, without places of this machine."""
    if models > 1:
        return f"the mean of the last {average} checkpoints" if average == models else f"the mean of {models} models"
    return {"best": "the best model so far", "last": "the last checkpoint", "model": "the finished model"}.get(
        tag, f"the checkpoint of step {tag}"
    )


def _chosen(heads: Mapping[str, Any], head: str | None, place: Path) -> str | None:
    """The name of the head that is exported; None for the encoder alone."""
    from xdist.errors import UserError, unknown

    if head is None and len(heads) > 1:
        raise UserError(f"{place}: has several heads: give --head {'|'.join(sorted(heads))}|none")
    if head not in (None, "none", *heads):
        raise UserError(unknown("head", head, [*heads, "none"]))
    return None if head == "none" else head or next(iter(heads))


def _fetched(folder: "RunFolder") -> dict[str, str]:
    """The commits of the repositories of the hub that a run read, as its record says them."""
    from xdist.run.recorded import MAPPING, recorded_json

    if not folder.environment.is_file():
        return {}
    found = recorded_json(folder.environment, MAPPING).get("fetched") or {}
    return {str(id): str(commit) for id, commit in found.items()}


def _push(to: "Destination", out: Path, to_come: bool, dry_run: bool) -> None:
    """`to_come`: the folder is not written, since nothing is."""
    from rich.filesize import decimal

    from xdist.errors import UserError
    from xdist.export.example import with_hub_id
    from xdist.fetch import pushing

    id = to.repository.id
    if to_come:
        click.echo(f"would push it to {to}")
        return
    names = pushing.exported_files(out)
    size = decimal(sum((out / name).stat().st_size for name in names))
    if dry_run:
        click.echo(f"would push {len(names)} files, {size}, to {to}")
        return
    card = with_hub_id((out / pushing.CARD).read_text(encoding="utf-8"), id)
    try:
        commit = pushing.push(to, out, card, f"xdist export of {out.name}", sys.stderr.isatty())
    except UserError as error:
        raise UserError(f"{error}; {out} is complete: xdist export {out} --push {id}") from None
    click.echo(f"pushed {len(names)} files, {size}, to {to}, commit {commit[:8]}")
    click.echo(f"next:   xdist fetch --model {id}")
