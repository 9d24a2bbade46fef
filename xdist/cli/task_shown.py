"""xdist tasks show NAME: all that is known of a task, and the YAML to train it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import described_tasks, given_plugins

if TYPE_CHECKING:
    from xdist.tasks.catalog import Task

DEMO_ROOT = Path("runs/demo/benchmark")


@click.command(name="show", short_help="Files, counts, licence and source of a task, and the YAML to train it.")
@click.argument("name", metavar="NAME")
@click.option("--data", type=click.Path(path_type=Path), help="Data root.  [default: download; of the demo's: its own]")
@described_tasks
@given_plugins
@json_option
def show(name: str, data: Path | None, described: Path | None, as_json: bool) -> None:
    """Show all that is known of the task NAME: languages, files and whether they exist, official counts, licence, source,
    and a YAML that trains and scores it.

    \b
    Example:
      xdist tasks show udpos --data download
      xdist tasks show udpos | sed '1,/^---/d' > udpos.yaml
    """
    from xdist.run.tables import show as show_text
    from xdist.tasks.catalog import task

    entry = task(name, described)
    root = data or (DEMO_ROOT if of_demo(entry) else Path("download"))
    yaml = "\n".join(task_yaml(entry, root, described))
    if as_json:
        print_json({**task_facts(entry, root), "yaml": yaml})
        return
    for line in _lines(entry, root):
        show_text(line)
    click.echo(f"\nto train and score it, as RUN.yaml:\n---\n{yaml}")


def of_demo(task: "Task") -> bool:
    from xdist.tasks.catalog import demo

    return any(task.name == one.name for one in demo.TASKS)


def files_by_split(task: "Task", root: Path) -> dict[str, tuple[int, int]]:
    """Of each split: for how many languages the files exist, and how many languages there are."""
    codes = {split: task.languages_of(split) if split != "train" else task.train_languages for split in task.files}
    return {split: (sum(task.is_there(root, split, code) for code in codes[split]), len(codes[split])) for split in codes}


def files_text(found: dict[str, tuple[int, int]]) -> str:
    """Yes, no, or of how many of its splits' languages."""
    have, of = sum(have for have, _ in found.values()), sum(of for _, of in found.values())
    return "no" if not have else "yes" if have == of else f"{have} of {of}"


def unchecked_files(task: "Task") -> str:
    """What of its files no published one was compared with, "" where nothing is."""
    return "form unchecked" if not task.checked else "hub's form unchecked" if task.hub and not task.hub.checked else ""


def sharing_tasks(task: "Task") -> list[str]:
    """Tasks of the same sentences, which a model that was trained on this one should not be tested on."""
    from xdist.tasks.catalog import TASKS

    return [one.name for one in TASKS if task.shares and one.shares == task.shares and one.name != task.name]


def task_facts(task: "Task", root: Path) -> dict[str, Any]:
    """As --json gives it."""
    return {
        "name": task.name,
        "family": task.family,
        "metric": task.metric or None,
        "languages": task.languages,
        "labels": task.labels,
        "trained_on": task.trained_on,
        "shares": sharing_tasks(task),
        "demo": of_demo(task),
        "files": task.files,
        "hub": f"{task.hub.id} ({task.hub.config})" if task.hub else None,
        "unchecked": unchecked_files(task) or None,
        "files_there": {split: {"languages": have, "of": of} for split, (have, of) in files_by_split(task, root).items()},
        "counts": {split: {code: task.count(split, code) for code in task.languages_of(split)} for split in task.files},
        "licence": task.licence,
        "source": task.source,
    }


def _lines(task: "Task", root: Path) -> Iterator[str]:
    yield f"{task.name}: {task.family}, scored by {task.metric or 'nothing: it is trained on alone'}"
    yield f"languages ({len(task.languages)}): {' '.join(task.languages)}"
    if task.labels:
        yield f"labels: {', '.join(task.labels)}"
    yield f"trained on: {', then '.join(task.trained_on) or ('itself' if 'train' in task.files else 'nothing')}"
    if sharing_tasks(task):
        yield f"has some of the same sentences ({task.shares}): {', '.join(sharing_tasks(task))}"
    if unchecked_files(task):
        yield f"{unchecked_files(task)}: described from documentation, not compared with a published file"
    yield f"licence: {task.licence or 'not stated'}"
    if task.source:
        yield f"source: {task.source}"
    yield f"\nfiles below {root}:"
    for split, (have, of) in files_by_split(task, root).items():
        yield f"  {split}: {' '.join(task.files[split])}{_gold(task, split)}"
        yield f"    there in {have} of {of} languages; examples, officially: {_count(task, split)}"
    if task.hub:
        yield f"  or, as `xdist fetch --task {task.name}` downloads them: hub/{task.hub.id} ({task.hub.config})"


def _gold(task: "Task", split: str) -> str:
    return f" (gold: {task.gold[split]})" if split in task.gold else ""


def _count(task: "Task", split: str) -> str:
    """One number where it is the same in all languages that have one, else the least and the most."""
    counts = [count for code in task.languages_of(split) if (count := task.count(split, code)) is not None]
    if not counts:
        return "not known"
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,} by language"


def task_yaml(task: "Task", root: Path, described: Path | None = None) -> Iterator[str]:
    """The lines of a YAML that trains what the task is officially trained on and scores it."""
    yield f"name: {task.name}"
    yield f"folder: runs/{task.name}"
    yield f"model: {{backbone: {'runs/demo/encoder' if of_demo(task) else 'xlm-roberta-base'}}}"
    yield f"data: {{root: {root}{f', tasks: {described}' if described else ''}}}"
    if task.plugins:
        yield f"plugins: [{', '.join(task.plugins)}]"
    trained = task.trained_on or ((task.name,) if "train" in task.files else ())
    if trained:
        yield "train:"
        yield "  tasks:"
        for name in trained:
            first = [code for code in ("en", *task.train_languages) if code in task.train_languages][:1]
            own = f", languages: [{first[0]}]" if name == task.name and first else ""
            yield f"    - {{task: {name}{own}}}"
        yield "  epochs: 3"
    if task.scorable:
        yield f"evaluate: {{tasks: [{task.name}]{'' if 'test' in task.files else ', split: dev'}}}"
