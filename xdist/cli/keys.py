"""xdist keys: every key of a YAML with what may be there, its default and what it is for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from xdist.cli.as_json import json_option, print_json
from xdist.errors import UserError, unknown

if TYPE_CHECKING:
    from xdist.config.described import DescribedSection

RUN = "run"


@click.command(name="keys", short_help="Every key of a YAML: its values, its default, its purpose.")
@click.argument("sections", nargs=-1, metavar="[SECTION|KEY]...")
@json_option
def command(sections: tuple[str, ...], as_json: bool) -> None:
    """Show the keys of SECTION, as `train`, `train.tasks`, `runtime` or `robust.adversarial`, or one KEY, as
    `train.batch_size`; of all sections of a run where none is given. `study`, `tasks` and the kinds of cluster are the files
    of these: `slurm`, `slurm.prepare`.

    \b
    Example:
      xdist keys train
      xdist keys robust.adversarial train.select.by
      xdist keys slurm
    """
    from xdist.run.tables import Table, show

    files = by_file()
    found = [one for name in sections or (RUN,) for one in _asked(name, files)]
    if as_json:
        print_json({"sections": [asdict(one) for one in found]})
        return
    for number, one in enumerate(found):
        if number:
            click.echo()
        show(f"{one.name or RUN}{f': {one.about}' if one.about else ''}".replace("`", ""))
        table = Table("key", "~value", "default", "~what it is for")
        for key in one.keys:
            table.row(key.key, key.value.replace("`", ""), key.default, key.about.replace("`", ""))
        show(table)


def by_file() -> dict[str, list["DescribedSection"]]:
    """Every section of every kind of YAML: of a run, its methods (`robust`), a study, each kind of cluster, a file of tasks."""
    from xdist.config.described import describe_section, sections
    from xdist.config.method import METHODS
    from xdist.config.run import Run
    from xdist.config.study import Study
    from xdist.launch.scheduler import KINDS
    from xdist.tasks.catalog.user import UserTasks

    methods = [describe_section(one, f"robust.{name}") for name, one in METHODS.ours().items() if name != "none"]
    files = {RUN: list(sections(Run)), "robust": methods, "study": list(sections(Study, "study"))}
    files |= {kind: list(sections(one.options, kind)) for kind, one in KINDS.ours().items()}
    return {**files, "tasks": list(sections(UserTasks, "tasks"))}


def _asked(name: str, files: Mapping[str, Sequence["DescribedSection"]]) -> Sequence["DescribedSection"]:
    """A file's sections, those that `name` begins, or one with a single key."""
    from xdist.config.described import DescribedSection

    if name == RUN:
        return [*files[RUN], *files["robust"]]
    every = [one for of in files.values() for one in of]
    if found := files.get(name) or [one for one in every if one.name == name or one.name.startswith(f"{name}.")]:
        return found
    keys = {f"{one.name}.{key.key}".strip("."): DescribedSection(one.name, "", (key,)) for one in every for key in one.keys}
    if name in keys:
        return [keys[name]]
    near = get_close_matches(name, list(keys), n=1)
    raise UserError(
        unknown("section or key", name, [*files, *(one.name for one in files[RUN] if one.name and "." not in one.name), *near])
    )
