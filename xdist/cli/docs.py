"""xdist docs: the pages of the documentation, where there is no network."""

from pathlib import Path

import click

from xdist.errors import UserError, unknown


@click.command(name="docs", short_help="The pages of the documentation: a list, or one of them.")
@click.argument("name", metavar="[PAGE]", required=False)
def command(name: str | None) -> None:
    """Print the page called PAGE as it is written, in Markdown; without PAGE list the pages. The last part of a name is enough,
    and the address of a link in a page is taken as well.

    \b
    Example:
      xdist docs
      xdist docs tutorial
      xdist docs own-task
    """
    from xdist.run.tables import Table, show

    there = pages()
    if name is not None:
        click.echo(there[_find_page(name, there)].read_text(encoding="utf-8"), nl=False)
        return
    table = Table("page", "~what it says")
    for page, path in there.items():
        table.row(page, _title(path))
    show(table)


def pages() -> dict[str, Path]:
    """Their files, by their names: those below docs/ without an ending, then the first page and the changes."""
    from xdist.files import shipped

    folder = shipped("docs")
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.md"))}
    beside = {path.stem: path for path in (folder.parent / "README.md", folder.parent / "CHANGELOG.md") if path.is_file()}
    return dict(sorted({**found, **beside}.items(), key=lambda item: ("/" in item[0], item[0].lower())))


def _find_page(name: str, there: dict[str, Path]) -> str:
    """`name` as it is listed. Raises UserError."""
    asked = name.partition("#")[0].removesuffix(".md").removeprefix("docs/")
    fitting = [page for page in there if asked.lower() in (page.lower(), page.rpartition("/")[2].lower())]
    if not fitting:
        raise UserError(unknown("page", name, there))
    return fitting[0]


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return next((line.lstrip("# ").rstrip() for line in file if line.startswith("# ")), "")
