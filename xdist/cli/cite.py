"""xdist cite: whom to cite for a run or a study, as BibTeX."""

from pathlib import Path

import click


@click.command(name="cite", short_help="The papers to cite for a run or a study, as BibTeX.")
@click.argument("places", nargs=-1, required=True, metavar="STUDY.yaml|RUN_FOLDER|RUN.yaml...")
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file instead.")
def command(places: tuple[str, ...], out: Path | None) -> None:
    """Print the papers of the data, methods, encoder and metrics that runs used, also of trainings before them, and of what
    xdist builds on. Entries have only what is certain: complete them before you print them.

    \b
    Example:
      xdist cite runs/demo/target-multilingual-adversarial
      xdist cite jobs/studies/demo.yaml --out sources.bib
    """
    from xdist.appendix.cited import as_bibtex, cited_papers
    from xdist.appendix.places import read_places
    from xdist.errors import writing
    from xdist.files import write_text

    text = as_bibtex(cited_papers(read_places(places).runs.values()))
    if out is None:
        click.echo(text, nl=False)
        return
    with writing(out):
        write_text(out, text)
    click.echo(f"{out}: {text.count('@')} sources")
