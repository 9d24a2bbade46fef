"""xdist bundle: an archive of runs for an appendix, and whether one is what it says."""

from pathlib import Path

import click

from xdist.cli.options import given_plugins
from xdist.errors import UserError


@click.command(name="bundle", short_help="An archive of runs for an appendix; --verify checks one.")
@click.argument("places", nargs=-1, metavar="[STUDY.yaml|RUN_FOLDER|RUN.yaml]...")
@click.option("--out", metavar="ARCHIVE", type=click.Path(path_type=Path), help="Where to write it, a .tar.gz.")
@click.option("--verify", "archive", metavar="ARCHIVE", type=click.Path(path_type=Path), help="Check this one instead.")
@click.option("--data", metavar="ROOT", type=click.Path(path_type=Path), help="With --verify: score it again by this gold.")
@given_plugins
def command(places: tuple[str, ...], out: Path | None, archive: Path | None, data: Path | None) -> None:
    """Put configurations, versions, digests, scores, predictions, sources and the report of runs into one archive, without
    weights and without secrets. The same runs give an identical archive.

    \b
    Example:
      xdist bundle jobs/studies/demo.yaml --out appendix.tar.gz
      xdist bundle --verify appendix.tar.gz --data runs/demo/benchmark
    """
    if archive is not None:
        if places or out:
            raise UserError("--verify checks an archive: leave runs and --out out")
        from xdist.appendix.verifying import verify

        found = verify(archive, data)
        click.echo(f"{archive}: {found.files} files are what their sums say")
        code = "the code that is here" if found.made_here else "other code than is here"
        click.echo(f"made by xdist {found.made_by}, {code}")
        click.echo("not scored again: give --data ROOT" if found.scores is None else f"{found.scores} scores were reproduced")
        return
    if not places or out is None:
        raise UserError("give runs or a study and --out ARCHIVE, or --verify ARCHIVE")
    if data:
        raise UserError("--data goes with --verify")
    from xdist.appendix.bundle import write_bundle
    from xdist.appendix.places import read_places
    from xdist.errors import writing

    with writing(out):
        names = write_bundle(read_places(places), out)
    click.echo(f"{out}: {len(names)} runs, {out.stat().st_size / 1e6:.1f} MB")
