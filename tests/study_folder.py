"""A study folder as `xdist study run` leaves it, without training: run folders, predictions, scores, logs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from resolved_of import deepspeed_of

from xdist.config import load_study
from xdist.evaluation import submission
from xdist.evaluation.scores import Scores
from xdist.languages import LANGUAGES
from xdist.run.folder import RunFolder
from xdist.study import Facts, Graph, expand
from xdist.tasks.catalog import task
from xdist.tasks.catalog.demo import TOPICS
from xdist.tasks.family import family_of

CODES = ("ht", "yo", "jv", "sw", "eu", "et", "ta", "tr", "el", "de", "ru", "en")
PAIRED = ("en", "de", "zh")
Right = Callable[[Mapping[str, str], str], float]
"""(values of the axes, language or pair): the share of predictions that are right."""


def gold(root: Path, size: int = 120) -> Path:
    """cldr-topic in twelve languages (240 English sentences) and PAWS-X in three."""
    rng = np.random.default_rng(0)
    topics = rng.choice(TOPICS, size=240)
    for code in CODES:
        for split in ("train", "dev", "test"):
            rows = topics[: 240 if code == "en" else size]
            _write(root / f"cldr-topic/{split}-{code}.tsv", [f"name {n}\t{topic}" for n, topic in enumerate(rows)])
    labels = rng.integers(2, size=80)
    for code in PAIRED:
        for split in ("train", "dev", "test"):
            _write(root / f"pawsx/{split}-{code}.tsv", [f"a {n}\tb {n}\t{label}" for n, label in enumerate(labels)])
    return root


def described(folder: Path, root: Path, tasks: tuple[str, ...] = ("cldr-topic",), seeds: int = 2) -> Path:
    """A study of {none, multilingual} intermediate x {none, adversarial} robust training."""
    common = {"data": {"root": str(root), "cache": str(folder / "prepared")}, "model": {"backbone": "some/encoder"}}
    intermediate = {"tasks": [{"task": "cldr-topic", "languages": ["en", "sw", "tr"]}], "steps": 5}
    trained = "pawsx" if tasks == ("pawsx-pairs",) else "cldr-topic"
    target = {"tasks": [{"task": trained}], "steps": 40}
    study = {
        "name": "typed",
        "folder": str(folder / "out"),
        "stages": {
            "intermediate": {"run": {**common, "train": intermediate}},
            "target": {"run": {**common, "train": target, "evaluate": {"tasks": list(tasks)}}, "after": "intermediate"},
        },
        "axes": {
            "intermediate": {"none": {"intermediate": None}, "multilingual": {}},
            "robust": {
                "none": {"target": {"robust": {"method": "none"}}},
                "adversarial": {"target": {"robust": {"method": "adversarial", "radius": 0.1}}},
            },
        },
        "seeds": list(range(1, seeds + 1)),
        "baseline": {"intermediate": "none", "robust": "none"},
    }
    path = folder / "study.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return path


def finished(path: Path, right: Right) -> Graph:
    """The study at `path` with every run finished; predictions are right as often as `right` says, by chance."""
    graph = expand(load_study(path), Facts())
    for node in graph.nodes.values():
        run, folder = node.run, RunFolder(node.run.folder)
        folder.open(run, deepspeed_of({"zero_optimization": {"stage": 0}}), {})
        steps = run.train.steps if run.train and run.train.steps else 0
        lines = [
            {"step": n, "train/loss": 2 / n, "train/tokens_per_second": 800.0, "train/rank_seconds": 9.0}
            for n in range(1, steps + 1)
        ]
        folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        if run.evaluate:
            _evaluate(folder, run, graph.points[node.points[0]].values, right)
        folder.mark("finished")
    return graph


def _evaluate(folder: RunFolder, run: Any, values: Mapping[str, str], right: Right) -> None:
    rng = np.random.default_rng([run.seed, *map(ord, "".join(values.values()))])
    scores = Scores(folder.scores, run.name)
    for name in run.evaluate.tasks:
        entry, found = task(name), {}
        codes = [f"{a}-{b}" for a in PAIRED for b in PAIRED] if entry.pairs_of else [c for c in LANGUAGES if c in CODES]
        if run.evaluate.languages != "all":
            codes = list(run.evaluate.languages)
        split = run.evaluate.split
        for code in codes:
            examples = list(entry.examples(run.data.root, split, code))
            labels = list(entry.labels)
            predicted = [
                one.label if rng.random() < right(values, code) else labels[labels.index(one.label) - 1] for one in examples
            ]
            submission.write_predictions(submission.predictions_path(folder.predictions, entry, split, code), entry, predicted)
            found[code] = {**family_of(entry).score(predicted, examples, code), "count": len(examples)}
        trained = [code for one in run.train.tasks if one.task == name for code in one.languages]
        scores.add(entry, split, trained, found)


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
