"""xdist export: a run's model as a Hugging Face folder."""

from pathlib import Path

import click

from xdist.cli.options import given_plugins


@click.command(name="export", short_help="A run's model as a Hugging Face folder.")
@click.argument("places", nargs=-1, required=True, metavar="RUN_FOLDER|RUN.yaml...", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--tag", default="model", show_default=True, help="model (the finished one), best (so far), last, or a step.")
@click.option("--average", type=click.IntRange(1), help="The mean of the weights of the last so many checkpoints.")
@click.option("--head", help="Which of several heads; 'none': the encoder alone.")
@given_plugins
def command(places: tuple[Path, ...], out: Path, tag: str, average: int | None, head: str | None) -> None:
    """Write the folder OUT that transformers' AutoModelFor… loads: safetensors, tokenizer, model card.

    Weights come from the finished model or straight from the shards of a checkpoint of any ZeRO stage, without a process
    group. Of several runs (seeds of one description) the mean of their weights is written.

    \b
    Example:
      xdist export runs/demo/target-multilingual-adversarial models/target
      xdist export runs/demo/target-multilingual-adversarial models/step-28 --tag 28
      xdist export runs/seed1 runs/seed2 runs/seed3 models/seeds
    """
    from xdist.checkpoint import tags
    from xdist.errors import UserError, unknown
    from xdist.export import weights
    from xdist.export.card import card
    from xdist.export.hugging_face import export
    from xdist.model.lineage import joined, read_lineage
    from xdist.resolve.resolved import Resolved
    from xdist.run.folder import located

    if average and tag != "model":
        raise UserError("--average takes the last checkpoints: leave --tag out")
    found, names = [], []
    folders = [located(place) for place in places]
    runs = [Resolved.recorded(folder) for folder in folders]
    for folder, resolved in zip(folders, runs, strict=True):
        run = resolved.run
        if run.train is None:
            raise UserError(f"{folder.path}: this run trains nothing")
        if average:
            last = tags.tags(folder.checkpoints)[-average:]
            if len(last) < average:
                raise UserError(f"{folder.checkpoints}: holds {len(last)} checkpoints (runtime.keep={run.runtime.keep})")
            sources = [(str(one.path), weights.of_tag(one, resolved.model)) for one in last]
        elif tag in ("model", "best"):
            place = folder.model if tag == "model" or folder.model.is_dir() else folder.best
            sources = [(str(place), weights.of_model(place))]
        elif tag == "last" or tag.isdecimal():
            one = weights.tag_of(folder, None if tag == "last" else int(tag))
            sources = [(str(one.path), weights.of_tag(one, resolved.model))]
        else:
            raise UserError(unknown("tag", tag, ["model", "best", "last", *(t.step for t in tags.tags(folder.checkpoints))]))
        for name, values in sources:
            names.append(name)
            found.append(values)
    first = runs[0]
    heads = {} if head == "none" else first.heads
    if head is None and len(heads) > 1:
        raise UserError(f"{folders[0].path}: has several heads: give --head {'|'.join(sorted(heads))}|none")
    if head not in (None, "none", *heads):
        raise UserError(unknown("head", head, [*heads, "none"]))
    chosen = None if head == "none" else head or next(iter(heads))
    source = names[0] if len(names) == 1 else f"the mean of {len(names)} models ({', '.join(names)})"
    scored = heads[chosen][0] if chosen else None
    lineage = joined([read_lineage(str(folder.model)) for folder in folders])

    def about(kind: str) -> str:
        return card(first.run.name, lineage, folders[0].scores, kind, chosen, source)

    kind = export(weights.mean(found, names), first.model.backbone, scored, out, about, lineage)
    click.echo(f"{out}: {kind} from {source}")
