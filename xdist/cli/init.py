"""xdist init: the YAMLs that come with the package, to begin with."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from xdist.errors import UserError, unknown

KINDS = ("runs", "studies", "suites", "clusters")


@click.command(name="init", short_help="List and copy the YAMLs of runs, studies, suites and clusters that come with xdist.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Copy all of them.")
def command(names: tuple[str, ...], everything: bool) -> None:
    """Copy the YAML called NAME, and those that it begins with, to where the examples of --help have them: below `jobs` of this
    folder. A file that exists already is not changed. Without NAME list all of them.

    \b
    Example:
      xdist init
      xdist init runs/demo/target studies/demo
      xdist init --all
    """
    from xdist.files import write_text
    from xdist.run.tables import Table, show

    there = shipped_files()
    if not names and not everything:
        table = Table("name", "~what it is")
        for name, path in there.items():
            table.row(name, _first_line(path))
        show(table)
        return
    for name in there if everything else [_find_file(name, there) for name in names]:
        for path in (there[name], *_files_needed(there[name])):
            place = Path("jobs") / path.relative_to(_jobs())
            if place.exists():
                click.echo(f"{place} already exists and is not changed")
            else:
                write_text(place, path.read_text(encoding="utf-8"))
                click.echo(f"{place}")


def shipped_files() -> dict[str, Path]:
    """By name, as "runs/demo/target"."""
    found = [path for kind in KINDS for path in sorted((_jobs() / kind).rglob("*.yaml"))]
    return {str(path.relative_to(_jobs()).with_suffix("")): path for path in found}


def _jobs() -> Path:
    from xdist.files import shipped

    return shipped("jobs")


def _find_file(name: str, there: dict[str, Path]) -> str:
    """`name` as it is listed; "demo/target" and "jobs/runs/demo/target.yaml" are taken too. Raises UserError."""
    plain = name.removeprefix("jobs/").removesuffix(".yaml")
    fitting = [one for one in there if one == plain or one.partition("/")[2] == plain]
    if not fitting:
        raise UserError(unknown("file", name, there))
    if len(fitting) > 1 and plain not in fitting:
        raise UserError(f"'{name}' is {' and '.join(fitting)}: say which")
    return fitting[0]


def _files_needed(path: Path) -> list[Path]:
    """The run files that a study or a suite names, in any of its keys, and the programs of `jobs/` that it names anywhere, in
    the comment on how its data are made too, with what these import from there."""
    from xdist.config.loading import plain_yaml

    runs = dict.fromkeys((path.parent / run).resolve() for run in _runs_in(plain_yaml(path)))
    programs = [_jobs() / name for name in re.findall(r"jobs/(\w+/\w+\.py)", path.read_text(encoding="utf-8"))]
    for program in programs:  # grows while it is read
        names = re.findall(r"^(?:from|import) (\w+)", program.read_text(encoding="utf-8"), re.MULTILINE)
        programs += [
            beside for name in names if (beside := program.with_name(f"{name}.py")).exists() and beside not in programs
        ]
    return [*runs, *dict.fromkeys(programs)]


def _runs_in(value: Any) -> Iterator[str]:
    """What is below keys `run` and `runs`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            named = [inner] if key == "run" else inner if key == "runs" else []
            yield from (one for one in named if isinstance(one, str)) if isinstance(named, list) else ()
            yield from _runs_in(inner)


def _first_line(path: Path) -> str:
    """What its first comment says."""
    line = path.read_text(encoding="utf-8").partition("\n")[0]
    return line.lstrip("# ").rstrip() if line.startswith("#") else ""
