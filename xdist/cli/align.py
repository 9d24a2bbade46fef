"""xdist align: maps of languages to English in closed form, fitted on a model."""

from pathlib import Path
from typing import Literal

import click


@click.command(name="align", short_help="Maps of languages to English, fitted on a model: mean shift, Procrustes.")
@click.argument("model")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="Parallel text to fit on, such as parallel or sib200-parallel.")
@click.option("--languages", required=True, help="Its languages, joined by commas.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("download"), show_default=True, help="Data root.")
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("runs/prepared"), show_default=True, help="Prepared rows."
)
@click.option("--method", type=click.Choice(["mean-shift", "procrustes"]), default="procrustes", show_default=True)
@click.option("--layer", type=click.IntRange(1), help="Hidden layer whose states are mapped; else that of sentence retrieval.")
@click.option("--dictionaries", type=click.Path(), help="Fit on the words of these dictionaries: a folder of en-xx.txt files.")
@click.option("--links", type=click.Path(), help="Fit on linked words: a folder of xx-en.links files in the form of Pharaoh.")
def command(
    model: str,
    out: Path,
    task: str,
    languages: str,
    data: Path,
    cache: Path,
    method: Literal["mean-shift", "procrustes"],
    layer: int | None,
    dictionaries: str | None,
    links: str | None,
) -> None:
    """Fit maps of LANGUAGES to English on the encoder of MODEL and write them as the folder OUT, with what they were fitted on.

    MODEL is a model folder: that of a fine-tuned model, since fine-tuning moves the space. A run uses the folder by
    `align.folder`; a run whose section `align` has tasks fits its maps itself, on its ranks, and needs no command.

    \b
    Example:
      xdist align runs/target/model runs/target/aligned --task sib200-parallel --languages yor_Latn,swh_Latn --layer 8
    """
    from xdist.errors import UserError

    if out.exists():
        raise UserError(f"{out}: already exists; choose another folder")
    if (dictionaries or links) and (method != "procrustes" or (dictionaries and links)):
        raise UserError("--dictionaries or --links, one of them, is of --method procrustes")
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    from xdist.config.align import Align, FittedOn
    from xdist.resolve.aligning import align

    fitted_on = (FittedOn(task=task),)
    section = Align(method=method, tasks=fitted_on, layer=layer, dictionaries=dictionaries, links=links)
    alignment = align(model, out, [code for code in languages.split(",") if code], data, cache, section)
    for language, one in alignment.maps.items():
        before, after = one.facts["distance_before"], one.facts["distance_after"]
        click.echo(f"{language}: {one.facts['pairs']:,} pairs, distance to the translation {before:.3g}, mapped {after:.3g}")
    click.echo(f"{out}: {method} at layer {alignment.layer}")
