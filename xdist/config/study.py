"""A study: stages of runs, axes along which they differ, seeds. One YAML; `xdist.study` makes a graph of runs of it.

```yaml
name: which-help
folder: runs/studies/which-help
stages:
  intermediate: {run: ../runs/demo/intermediate.yaml}
  target: {run: ../runs/demo/target.yaml, after: intermediate}   # begins with the model that `intermediate` made
axes:
  intermediate:
    none: {intermediate: null}                                    # the stage is left out
    english: {intermediate: {train.tasks.0.languages: [en]}}
    multilingual: {}
  robust:
    plain: {target: {robust: {method: none}}}
    adversarial: {target: {robust: {method: adversarial, radius: 0.05}}}
seeds: [1, 2, 3]
```

A change is a run's key with its value: `train.steps: 60` and `train: {steps: 60}` are the same. The last one wins, in the
order run file, `all`, seed, the stage's `set`, axes. `robust` is replaced as a whole, since its keys belong to its method.
"""

import re
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from xdist.config.expected import Learns, Spreads, TargetFigure
from xdist.config.fitting import Unread
from xdist.config.loading import Source, load
from xdist.config.reader import KeyPath
from xdist.config.run import Seed
from xdist.config.runtime import KeepFinished
from xdist.config.scalars import Scalar
from xdist.config.section import Section
from xdist.errors import UserError, cut, unknown

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$"
PART_OF_NAME = r"[A-Za-z0-9._+/-]{1,100}"
NAME_HAS = "letters, digits and . _ + -, at most 100"
COMBINATIONS = 10_000
INDENTED = "   "  # behind the "#" of a comment: a command
RUN = "run"  # in a change: another run file for the stage


class Stage(Section):
    """A run as a file or as sections, what every run of this stage has otherwise, and which stage's model it begins with."""

    run: Unread = Field(
        None, description="a run file, relative to the study's, or its sections; null: axes give it or it is absent"
    )
    after: str | None = Field(None, description="an earlier stage, whose model this one begins with")
    set: dict[str, Unread] = Field({}, description="what every run of this stage has otherwise")
    learns: Learns | None = Field(None, description="what a run must reach on dev, or it counts as not learnt; null: nothing")

    @field_validator("run")
    @classmethod
    def _checked(cls, value: Any) -> Any:
        value = file_or_sections(value)
        if value is not None and not isinstance(value, str | dict):
            raise ValueError("expected the path of a run file, or the sections of a run")
        return value


def file_or_sections(run: Any) -> Any:
    """The path of a run file as text, for any name."""
    return run.written if isinstance(run, Scalar) and run.value is not None else None if isinstance(run, Scalar) else run


Changes = dict[str, dict[str, Unread] | None]
"""What a value of an axis changes, by stage; null leaves the stage out."""


class Study(Section):
    name: str = Field(pattern=NAME, description="what the study is called in its report")
    folder: Path = Field(description="where its runs and its report are kept")
    needs: dict[Literal["demo"], Path] = Field(
        {}, description="demo: the folder of `xdist demo`, made first where it is missing"
    )
    stages: dict[str, Stage] = Field(min_length=1, description="by name, the runs that one combination has, in their order")
    axes: dict[str, dict[str, Changes]] = Field({}, description="by axis, the values it takes")
    seeds: tuple[Seed, ...] = Field((1,), min_length=1, description="each combination is run with each")
    all: dict[str, Unread] = Field({}, description="what every run of the study has otherwise than its file")
    include: tuple[dict[str, str | tuple[str, ...]], ...] = Field((), description="only combinations that one of these fits")
    exclude: tuple[dict[str, str | tuple[str, ...]], ...] = Field((), description="no combination that one of these fits")
    keep: KeepFinished = Field(
        "weights",
        description="what stays of a run that is finished and scored (runtime.keep_finished), where its file does not say so; "
        "a model that another run of the study begins with, merges or learns from always stays",
    )
    baseline: dict[str, str] = Field(
        {}, description="the axes that conditions are compared along, and the value to compare with"
    )
    hypotheses: tuple[str, ...] = Field(
        (),
        description="what is expected to come out, a sentence each; `xdist study freeze` writes them down before the first run",
    )
    power: Spreads = Field(Spreads(), description="the assumed spread of scores, where no pilot runs give it")
    targets: tuple[TargetFigure, ...] = Field((), description="published figures that the report compares with its own")
    _source: Source = PrivateAttr(default_factory=lambda: Source(Path("(no file)")))

    @model_validator(mode="after")
    def _at_least_one_value(self) -> "Study":
        if empty := [name for name, values in self.axes.items() if not values]:
            raise ValueError(f"axis '{empty[0]}' has no value")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed appears twice")
        return self

    def at(self, key: KeyPath) -> str:
        """'jobs/studies/a.yaml:12: axes.robust', for errors."""
        return self._source.at(key)

    @property
    def path(self) -> Path:
        return self._source.path

    @property
    def question(self) -> tuple[str, ...]:
        """What is asked: the comment at the head of its file in paragraphs, without the commands that are indented in it."""
        return leading_comment(self.path) if self.path.is_file() else ()

    def check(self) -> None:
        """Raises UserError for a name in it that nothing carries."""
        if (asked := len(self.seeds) * prod(map(len, self.axes.values()))) > COMBINATIONS:
            raise UserError(f"{self.at(('axes',))}: {asked:,} combinations, more than the {COMBINATIONS:,} that a study has")
        earlier: list[str] = []
        for name, stage in self.stages.items():
            if not re.fullmatch(NAME, name):
                raise UserError(f"{self.at(('stages', name))}: '{cut(name)}' names folders of runs: {NAME_HAS}")
            if stage.after is not None and stage.after not in earlier:
                raise UserError(f"{self.at(('stages', name, 'after'))}: {unknown('earlier stage', stage.after, earlier)}")
            earlier.append(name)
        for axis, values in self.axes.items():
            for value, changes in values.items():
                if not re.fullmatch(PART_OF_NAME, value):
                    raise UserError(
                        f"{self.at(('axes', axis, value))}: '{cut(value)}' is part of the names of runs: {NAME_HAS}"
                    )
                for stage_name in changes:
                    if stage_name not in self.stages:
                        where = self.at(("axes", axis, value, stage_name))
                        raise UserError(f"{where}: {unknown('stage', stage_name, self.stages)}")
        for number, target in enumerate(self.targets):
            self._check_point(("targets", number, "condition"), target.condition)
            self._check_point(("targets", number, "against"), target.against or {})
        for key in ("include", "exclude"):
            for number, pattern in enumerate(getattr(self, key)):
                self._check_point((key, number), pattern)
        self._check_point(("baseline",), self.baseline)

    def _check_point(self, key: KeyPath, pattern: dict[str, Any]) -> None:
        for axis, wanted in pattern.items():
            if axis not in self.axes:
                raise UserError(f"{self.at((*key, axis))}: {unknown('axis', axis, self.axes)}")
            for value in wanted if isinstance(wanted, list | tuple) else [wanted]:
                if value not in self.axes[axis]:
                    raise UserError(f"{self.at((*key, axis))}: {unknown('value', value, self.axes[axis])}")


def leading_comment(path: Path) -> tuple[str, ...]:
    """The paragraphs of the comment that a YAML begins with; lines that are indented in it, as commands are, end one."""
    paragraphs: list[list[str]] = [[]]
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#")
        if text.strip() and not text.startswith(INDENTED):
            paragraphs[-1].append(text.strip())
        else:
            paragraphs.append([])
    return tuple(" ".join(lines) for lines in paragraphs if lines)


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study described at `path`. Raises UserError with file, line and key of the first error."""
    study, source = load(Study, path, overrides)
    study._source = source
    study.check()
    return study
