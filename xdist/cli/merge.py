"""xdist merge: one model of the weights of several, without a training."""

from pathlib import Path
from typing import Any

import click


@click.command(name="merge", short_help="Merge the weights of several models: means, task arithmetic, swapped layers.")
@click.argument("start")
@click.argument("models", nargs=-1, required=True, metavar="MODEL[=WEIGHT]...")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--minus", metavar="MODEL", help="The model that is subtracted from each: the encoder that its training started from."
)
@click.option("--bottom", type=click.IntRange(0), help="Change only the lowest N layers.")
@click.option("--top", type=click.IntRange(0), help="Change only the highest N layers.")
@click.option("--embeddings", is_flag=True, help="With --bottom or --top: the embeddings too.")
def command(
    start: str,
    models: tuple[str, ...],
    out: Path,
    minus: str | None,
    bottom: int | None,
    top: int | None,
    embeddings: bool,
) -> None:
    """Write the model START + sum of WEIGHT x (MODEL - minus) as the folder OUT, a model like that of a run: it can be scored,
    trained further or exported.

    Models are run folders, model folders, hub ids, or the YAML of a run. Without --minus each is taken relative to START: the
    mean of all, or with weights a weighted sum. With --minus it is task arithmetic; a weight below 0 subtracts a model. With
    --bottom and --top those layers become the MODEL's. OUT says what it was made of (merged.json) and trained on.

    \b
    Example:
      xdist merge runs/seed1 runs/seed2 runs/seed3 models/mean
      xdist merge runs/task runs/language=0.5 models/task-yo --minus xlm-roberta-base
      xdist merge runs/task runs/language models/swapped --bottom 2 --top 2
    """
    from transformers.utils import logging as transformers_logging

    from xdist.config.merge import Ingredient, Merge, Swapped
    from xdist.errors import UserError
    from xdist.export.merging import merge

    transformers_logging.disable_progress_bar()

    if embeddings and bottom is None and top is None:
        raise UserError("--embeddings goes with --bottom or --top; without them all weights change")
    if out.exists():
        raise UserError(f"{out}: already exists; choose another folder")
    layers: dict[str, Any] = {name: number for name, number in (("bottom", bottom), ("top", top)) if number is not None}
    given = [(_place(place), weight) for place, weight in map(_weighted, models)]
    if odd := [text for text, (_, weight) in zip(models, given, strict=True) if weight is not None and not abs(weight) <= 100]:
        raise UserError(f"{odd[0]}: a weight is a number from -100 to 100")
    recipe = Merge(
        models=tuple(Ingredient(model=place, weight=weight) for place, weight in given),
        minus=_place(minus) if minus else None,
        layers=Swapped(**layers, embeddings=embeddings) if layers else None,
    )
    merge(_place(start), recipe, out)
    weights = ", ".join(f"{weight:g} x {place}" for place, weight in zip(models, recipe.weights, strict=True))
    click.echo(f"{out}: {start} and {weights}")


def _weighted(text: str) -> tuple[str, float | None]:
    """The place of a model and its weight, where the text ends with one."""
    place, equals, weight = text.rpartition("=")
    try:
        return (place, float(weight)) if equals and place else (text, None)
    except ValueError:
        return text, None


def _place(text: str) -> str:
    """The model folder of a run; any other place as it is."""
    from xdist.errors import UserError
    from xdist.run.folder import RunFolder, locate_run_folder

    path = Path(text)
    folder = locate_run_folder(path) if path.suffix in (".yaml", ".yml") else RunFolder(path)
    if not folder.config.is_file():
        return text
    if not folder.model.is_dir():
        raise UserError(f"{folder.model}: does not exist yet")
    return str(folder.model)
