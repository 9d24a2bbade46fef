"""A few learning rates and lengths of one run, tried as a study and judged on dev sets of languages that it trains on."""

import math
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from xdist.config import Model, Train, load_run, load_study
from xdist.config.fitting import plain_values
from xdist.config.loading import apply_override, put_value, read_yaml
from xdist.config.scoring_run import overrides_of
from xdist.data.subset import Subset
from xdist.errors import UserError, one_line
from xdist.estimate.shapes import shape_of
from xdist.estimate.usual import usual_rate
from xdist.files import write_text, write_yaml, yaml_text
from xdist.languages import same_language
from xdist.metrics.pooled import pooled_interval
from xdist.report.results import Results
from xdist.resolve.resolved import resolve
from xdist.study.expansion import Graph, expand
from xdist.study.facts import Facts
from xdist.study.results import study_results
from xdist.study.state import Standing
from xdist.study.trials import Trial, text_of, trial_lines

STAGE = "trial"
ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Grid:
    """What is tried of each; nothing: as the run has it, except for `rates`, which are then those usual for its encoder."""

    rates: tuple[float, ...] = ()
    epochs: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    warmups: tuple[float, ...] = ()
    seeds: int = 1


class Tuning:
    """The trials of the run at `path`: a study next to the run's folder, whose finished runs are never done again, for any grid
    needs them. Raises UserError for what the start of the run would end with, a grid that is none, and where a model would
    be judged by anything but dev sets of languages that it trains on."""

    def __init__(self, path: Path, overrides: Sequence[str], grid: Grid, out: Path | None) -> None:
        self.path, self.overrides = path, tuple(overrides)
        run = load_run(path, overrides)
        self.folder = run.folder.with_name(f"{run.folder.name}-tune")
        resolved = resolve(run.model_copy(update={"folder": self.folder / "run"}), "train")  # for any content of its own folder
        assert run.train
        self.out = out or path.with_name(f"{path.stem}-tuned.yaml")
        self.dev = _dev(run.train, run.data.root, resolved.subsets.training)
        self.trials = _trials(grid, run.train.learning_rate, resolved.model.backbone, run.model)
        axes = {name: list(dict.fromkeys(trial[name] for trial in self.trials)) for name in self.trials[0]}
        tasks = list(dict.fromkeys(subset.task.name for subset in self.dev))
        languages = list(dict.fromkeys(subset.language for subset in self.dev))
        sections = {**run.dump(), "evaluate": {"tasks": tasks, "languages": languages, "split": "dev"}}
        sections["runtime"] |= {"keep": 1, "keep_finished": "model"}
        for key in ("name", "folder", "seed"):
            del sections[key]
        study = {
            "name": f"{run.name.replace('/', '-')[:90]}-tune",
            "folder": str(self.folder),
            "stages": {STAGE: {"run": sections}},
            "axes": {
                name: {text_of(value): {STAGE: _change(name, value)} for value in values} for name, values in axes.items()
            },
            "seeds": [run.seed + number for number in range(grid.seeds)],
        }
        self.study = self.folder / "study.yaml"
        self.described = study
        self.facts = Facts(self.folder / "digests.json")
        self.graph: Graph = expand(load_study(Path(os.devnull), list(overrides_of(study))), self.facts)

    def begin(self) -> None:
        """Write the study down, for `xdist study status` and `xdist report`."""
        write_yaml(self.study, self.described)
        self.facts.remember()

    @property
    def judged_on(self) -> str:
        return ", ".join(map(str, self.dev))

    def check_budget(self, standings: Mapping[str, Standing], budget: int) -> None:
        """Raises UserError where the trials that are not finished take more than this many updates."""
        left = [node.updates for key, node in self.graph.nodes.items() if standings[key].state != "finished"]
        if None in left:
            raise UserError("--budget: how long a trial is, is not known yet: prepare the data first, or give --steps")
        if (total := sum(updates or 0 for updates in left)) > budget:
            raise UserError(f"--budget {budget:,}: {_plural(len(left), 'run')} of {total:,} updates in all are more")

    def judged(self, standings: Mapping[str, Standing]) -> list[Trial]:
        """The trials, the best first; those without a score last."""
        done = any(now.state == "finished" for now in standings.values())
        results = self._of_dev(study_results(self.graph, standings)) if done else None
        ranked: list[tuple[float, Trial]] = []
        for changes in self.trials:
            values = {name: text_of(value) for name, value in changes.items()}
            keys = [point.last for point in self.graph.points if point.values == values]
            reason = next((standings[key].reason for key in keys if standings[key].reason), "")
            states = tuple(standings[key].state for key in keys)
            score, rank = None, -math.inf
            if results and set(states) == {"finished"}:
                score, rank = _score(results, _condition(results, values))
            ranked.append((rank, Trial(changes, self.graph.nodes[keys[0]].updates, states, score, None, reason)))
        ranked.sort(key=lambda one: one[0], reverse=True)
        trials = [trial for _, trial in ranked]
        if results is None or trials[0].score is None:
            return trials
        return [trials[0], *(self._behind(one, trials[0], results) for one in trials[1:])]

    def _of_dev(self, results: Results) -> Results:
        """Of every task the languages that judge it: trials score each task in the languages of all."""
        tasks = []
        for task in results.tasks:
            codes = [subset.language for subset in self.dev if subset.task.name == task.name]
            of_dev = {system: {code: run[code] for code in codes if code in run} for system, run in task.scores.items()}
            tasks.append(replace(task, scores=of_dev))
        return replace(results, tasks=tuple(tasks))

    def _behind(self, trial: Trial, best: Trial, results: Results) -> Trial:
        if trial.score is None:
            return trial
        mine, its = (
            _condition(results, {name: text_of(value) for name, value in one.changes.items()}) for one in (trial, best)
        )
        parts = [difference for task in results.tasks if (difference := task.differences(mine, its, task.languages))]
        interval = pooled_interval(parts, sample=False) if parts else None
        return replace(trial, behind=interval)

    def text(self, trials: Sequence[Trial]) -> str:
        """The YAML of the run with what the best trial changes, and what was tried in comments before it."""
        values, source = read_yaml(self.path)
        for override in self.overrides:
            apply_override(values, override, source)
        for name, value in _with_length(trials[0].changes).items():
            put_value(values, f"train.{name}", value, source, name)
        described = plain_values(values)
        for name in ("name", "folder"):
            described[name] = f"{described[name]}-tuned"
        lines = [
            one_line(f"Made by: xdist tune {shlex.join([str(self.path), *self.overrides])}"),
            f"The best of {len(trials)} trials on {self.judged_on}, {_plural(len(self.graph.study.seeds), 'seed')}. Tried:",
            *(f"  {line}" for line in trial_lines(trials)),
        ]
        return "".join(f"# {line}\n" for line in lines) + yaml_text(described)

    def write(self, trials: Sequence[Trial], force: bool) -> None:
        """The YAML of the best. Raises UserError where a file of other content exists already."""
        text = self.text(trials)
        if not force and self.out.exists() and self.out.read_bytes() != text.encode():
            raise UserError(f"{self.out}: already exists; --force overwrites it, --out FILE writes another file")
        write_text(self.out, text)

    def facts_of(self, trials: Sequence[Trial]) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "run": str(self.path),
            "overrides": list(self.overrides),
            "judged_on": list(map(str, self.dev)),
            "seeds": list(self.graph.study.seeds),
            "study": str(self.study),
            "best": dict(trials[0].changes) if trials[0].score is not None else None,
            "written": str(self.out) if trials[0].score is not None else None,
            "trials": [
                {
                    **trial.changes,
                    "updates": trial.updates,
                    "states": list(trial.states),
                    "score": trial.score,
                    "reason": trial.reason,
                }
                | (
                    {"difference": trial.behind.difference, "low": trial.behind.low, "high": trial.behind.high}
                    if trial.behind
                    else {}
                )
                for trial in trials
            ],
        }


def _dev(train: Train, root: Path, trained: Iterable[Subset]) -> tuple[Subset, ...]:
    """The dev sets that a model is judged by: those of `train.select`, else English, else all languages that are trained on."""
    trained = list(trained)
    languages = train.select.languages if train.select else ()
    subsets = []
    for task in dict.fromkeys(subset.task for subset in trained):
        mine = [subset.language for subset in trained if subset.task == task]
        for number, code in enumerate(languages):
            if not any(same_language(code, own) for own in mine):
                message = (
                    f"{task.name} is not trained in '{code}': settings that are chosen in a language are not zero-shot there"
                )
                raise train.error(("select", "languages", number), message)
        codes = [own for own in mine if any(same_language(own, code) for code in languages or (ENGLISH,))] or mine
        if "dev" not in task.files or not task.scorable:
            continue
        for code in codes:
            paths = task.paths(root, "dev", code)
            if "test" in task.files and set(paths) & set(task.paths(root, "test", code)):
                raise UserError(f"{task.name}: its dev set in {code} is of its test set, by which nothing is chosen")
            for path in paths:
                if not path.is_file():
                    raise UserError(f"{path}: no such file ({task.name} dev {code}), by which the trials are judged")
            subsets.append(Subset(task, "dev", code))
    if not subsets:
        raise UserError("no trained task has a dev set that is scored, so no trial can be judged")
    return tuple(subsets)


def _trials(grid: Grid, own: float, backbone: str, model: Model) -> list[dict[str, Any]]:
    rates = grid.rates
    if not rates:
        usual: tuple[float, ...] = (own / 3, own * 3)
        with suppress(UserError):  # of an encoder that is not here
            if model.adapter is None:  # they take their own rates
                usual = usual_rate(shape_of(backbone).matrices, model.embeddings_frozen).some
        rates = tuple(sorted({*usual, own}))
    axes: dict[str, Sequence[Any]] = {"learning_rate": rates}
    axes |= {
        name: values for name, values in (("epochs", grid.epochs), ("steps", grid.steps), ("warmup", grid.warmups)) if values
    }
    return [dict(zip(axes, values, strict=True)) for values in product(*(dict.fromkeys(axis) for axis in axes.values()))]


def _change(name: str, value: Any) -> dict[str, Any]:
    return {f"train.{key}": tuned for key, tuned in _with_length({name: value}).items()}


def _with_length(changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes` of `train`, a length taking the place of the other one."""
    opposite = {"epochs": "steps", "steps": "epochs"}
    return {**{opposite[name]: None for name in changes if name in opposite}, **changes}


def _condition(results: Results, values: Mapping[str, str]) -> str:
    return next(condition.name for condition in results.conditions if condition.values == values)


def _score(results: Results, condition: str) -> tuple[float | None, float]:
    """The mean over tasks of the mean over seeds, and the same with more being better."""
    means = [[task.seed_mean(condition, seed) for seed in task.seeds(condition)] for task in results.tasks]
    if not means or not all(means):
        return None, -math.inf
    signs = [task.metric.sign for task in results.tasks]
    scores = list(map(fmean, means))
    return fmean(scores), fmean(sign * score for sign, score in zip(signs, scores, strict=True))


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
