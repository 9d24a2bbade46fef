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
    chosen = [section for name in sections or (RUN,) for section in _find_sections(name, files)]
    if as_json:
        print_json({"sections": [asdict(section) for section in chosen]})
        return
    for number, section in enumerate(chosen):
        if number:
            click.echo()
        show(f"{section.name or RUN}{f': {section.about}' if section.about else ''}".replace("`", ""))
        table = Table("key", "~value", "default", "~what it is for")
        for key in section.keys:
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


def _find_sections(name: str, files: Mapping[str, Sequence["DescribedSection"]]) -> Sequence["DescribedSection"]:
    """A file's sections, those that `name` begins, or one with a single key."""
    from xdist.config.described import DescribedSection

    if name == RUN:
        return [*files[RUN], *files["robust"]]
    every = [section for of in files.values() for section in of]
    if chosen := files.get(name) or [
        section for section in every if section.name == name or section.name.startswith(f"{name}.")
    ]:
        return chosen
    keys = {
        f"{section.name}.{key.key}".strip("."): DescribedSection(section.name, "", (key,))
        for section in every
        for key in section.keys
    }
    if name in keys:
        return [keys[name]]
    near = get_close_matches(name, list(keys), n=1)
    raise UserError(
        unknown(
            "section or key",
            name,
            [*files, *(section.name for section in files[RUN] if section.name and "." not in section.name), *near],
        )
    )
