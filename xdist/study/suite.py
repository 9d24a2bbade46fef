"""A suite: which tasks make a benchmark, and by which recipe each is trained. A file of jobs/suites, or your own:

```yaml
title: XTREME-R (Ruder et al. 2021), zero-shot from English
average: true
recipes:
  xnli: {runs: [../runs/xtreme-r/xnli.yaml], base: {train.learning_rate: 2e-5}}
  xcopa: {runs: [../runs/xtreme-r/siqa.yaml, ../runs/xtreme-r/copa.yaml]}   # the second starts from the first
  retrieval: {tasks: [bucc2018, tatoeba]}                                   # without runs: the encoder unchanged
```
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from xdist.config.fitting import Unread
from xdist.config.loading import Source, load, read_yaml
from xdist.config.section import Section
from xdist.errors import UserError, unknown
from xdist.files import shipped
from xdist.tasks.catalog import Task, task

SMALL, BASE = 512, 1024  # width: below it a recipe's changes of that name are made


class Recipe(Section):
    """How some tasks of a suite are trained, and in which languages they are scored."""

    of: str | None = Field(None, description="another suite, whose recipe of the same name this is, except for `languages`")
    runs: tuple[str, ...] = Field(
        (), max_length=2, description="run files, relative to the suite's; a second starts from the first's model"
    )
    tasks: tuple[str, ...] = Field((), description="what is scored; empty: what the last run file scores")
    languages: dict[str, tuple[str, ...]] = Field({}, description="by task, its languages in this suite; else all it has")
    base: dict[str, Unread] = Field({}, description="what every run has otherwise for encoders less than 1,024 wide")
    small: dict[str, Unread] = Field({}, description="the same below a width of 512, instead of `base`")

    @model_validator(mode="after")
    def _scores(self) -> "Recipe":
        own = [key for key in ("runs", "tasks", "base", "small") if getattr(self, key)]
        if self.of and own:
            raise ValueError(f"'{own[0]}' is that of the suite '{self.of}'")
        if not self.of and not self.runs and not self.tasks:
            raise ValueError("give 'runs', 'tasks' or 'of'")
        return self


class Suite(Section):
    title: str = Field(min_length=1)
    average: bool = Field(False, description="whether the mean over its tasks is a published number")
    means: dict[str, tuple[str, ...]] = Field({}, description="other means that are published, by name those of its tasks")
    recipes: dict[str, Recipe] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class RecipeTasks:
    """A recipe with what its files say. `tasks` it scores, each with its languages in this suite."""

    name: str
    recipe: Recipe
    runs: tuple[Path, ...]
    tasks: dict[Task, tuple[str, ...]]

    def changes(self, width: int | None) -> dict[str, Any]:
        """What runs have otherwise for an encoder of that width; nothing where it is not known."""
        if width is None or width >= BASE:
            return {}
        return dict(self.recipe.small or self.recipe.base) if width < SMALL else dict(self.recipe.base)


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """`name`: that of its file; each task is in one recipe."""

    name: str
    suite: Suite
    source: Source
    recipes: tuple[RecipeTasks, ...]

    @property
    def tasks(self) -> dict[str, tuple[str, ...]]:
        """By name the languages of every task."""
        return {entry.name: codes for recipe in self.recipes for entry, codes in recipe.tasks.items()}


def suite_names() -> list[str]:
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def load_suite(name: str) -> LoadedSuite:
    """The suite of that name, or that a file `*.yaml` describes. Raises UserError with the nearest name, or with file, line
    and key of the first error."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else _folder() / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"{path}: no such file" if path == Path(name) else unknown("suite", name, suite_names()))
    suite, source = load(Suite, path)
    recipes, seen = [], dict[str, str]()
    for key, recipe in suite.recipes.items():
        recipe_tasks = _with_tasks(key, recipe, path, source)
        for entry in recipe_tasks.tasks:
            if (other := seen.setdefault(entry.name, key)) != key:
                raise UserError(f"{source.at(('recipes', key))}: '{entry.name}' is scored by '{other}' already")
        recipes.append(recipe_tasks)
    suite_read = LoadedSuite(path.stem, suite, source, tuple(recipes))
    for mean, names in suite.means.items():
        for number, task_name in enumerate(names):
            if task_name not in suite_read.tasks:
                where = source.at(("means", mean, number))
                raise UserError(f"{where}: {unknown(f'task of {suite_read.name}', task_name, suite_read.tasks)}")
    return suite_read


def _with_tasks(key: str, recipe: Recipe, path: Path, source: Source) -> RecipeTasks:
    if recipe.of is not None:
        if recipe.of not in suite_names() or recipe.of == path.stem:
            where = source.at(("recipes", key, "of"))
            raise UserError(f"{where}: {unknown('other suite', recipe.of, [one for one in suite_names() if one != path.stem])}")
        other = {one.name: one for one in load_suite(recipe.of).recipes}
        if key not in other:
            raise UserError(f"{source.at(('recipes', key))}: {unknown(f'recipe of {recipe.of}', key, other)}")
        path = _folder() / f"{recipe.of}.yaml"
        recipe = other[key].recipe.model_copy(update={"languages": recipe.languages})
    runs = tuple(path.parent / name for name in recipe.runs)
    for number, run in enumerate(runs):
        if not run.is_file():
            raise UserError(f"{source.at(('recipes', key, 'runs', number))}: {run}: no such file")
    names = recipe.tasks or _scored_by(runs[-1])
    tasks: dict[Task, tuple[str, ...]] = {}
    for number, name in enumerate(names):
        try:
            entry = task(name)
        except UserError as error:
            raise UserError(f"{source.at(('recipes', key, 'tasks', number))}: {error}") from None
        tasks[entry] = recipe.languages.get(name, entry.languages)
        for code in tasks[entry]:
            if code not in entry.languages:
                where = source.at(("recipes", key, "languages", name))
                raise UserError(f"{where}: {unknown('language', code, entry.languages)}")
    for name in recipe.languages:
        if name not in names:
            raise UserError(f"{source.at(('recipes', key, 'languages', name))}: {unknown('task', name, names)}")
    return RecipeTasks(key, recipe, runs, tasks)


def _scored_by(run: Path) -> tuple[str, ...]:
    """The tasks that a run file scores. Raises UserError where there are none."""
    values, source = read_yaml(run)
    names = values.get("evaluate", {}).get("tasks") if isinstance(values.get("evaluate"), dict) else None
    if not isinstance(names, list) or not names:
        raise UserError(f"{source.at(())}: scores nothing (evaluate.tasks), and the suite does not say what either")
    return tuple(str(getattr(name, "written", name)) for name in names)


def _folder() -> Path:
    return shipped("jobs") / "suites"
