"""What a shell completes behind RUN.yaml or STUDY.yaml: keys of `a.b=c`, and their values where these are words."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from xdist.config.described import DescribedKey, DescribedSection

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def keys_of(file: str) -> Complete:
    """Of a "run" or a "study"; files too, as long as none was given."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from xdist.cli.keys import by_file

        files = by_file()
        found = [item for section in files[file] for item in _items(section, file)]
        if file == "run":
            found += [item for section in files["robust"] for item in _items(section, file)]
        fitting = {item.value: item for item in found if item.value.startswith(incomplete)}
        return [*fitting.values()] or [CompletionItem(incomplete, type="file")]

    return complete


def _items(section: "DescribedSection", file: str) -> Iterator[CompletionItem]:
    for key in section.keys:
        name = f"{section.name}.{key.key}".removeprefix(f"{file}.").strip(".")
        for listed in ("train.tasks.", "train.schedule."):
            name = name.replace(listed, f"{listed}0.")
        if name.startswith("robust."):  # robust.adversarial.radius is written robust.radius
            name = f"robust.{key.key}"
        for value in _values(key):
            yield CompletionItem(f"{name}={value}", help=key.about)


def _values(key: "DescribedKey") -> list[str]:
    """Its words; else its default, to be changed."""
    words = [part.strip("` ") for part in key.value.split(",")]
    if key.value.startswith("`") and "`, " in key.value:
        return [word for word in words if word]
    if key.value == "true, false":
        return words
    return ["" if key.default in ("required", "null") else key.default]
