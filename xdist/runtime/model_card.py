"""The card of an exported model: data, languages and methods of every run that trained it, in their order, and its scores."""

from collections.abc import Iterator
from pathlib import Path

from xdist.config import Run, recorded_run
from xdist.files import read_json
from xdist.runtime.run_folder import RunFolder


def lineage(run: Run) -> list[Run]:
    """`run` and, before it, the runs whose models it goes on from, as far as their folders are there."""
    runs, seen = [run], {run.folder}
    while (before := RunFolder(Path(runs[0].model.backbone).parent)).config.is_file() and before.path not in seen:
        seen.add(before.path)
        runs.insert(0, recorded_run(before.config))
    return runs


def card(run: Run, kind: str, head: str | None, source: str) -> str:
    """Markdown, with the front matter that the hub reads."""
    assert run.train
    runs = lineage(run)
    languages = sorted({code for one in runs if one.train for entry in one.train.tasks for code in entry.languages})
    lines = ["---", "library_name: transformers", f"base_model: {runs[0].model.backbone}", "language:"]
    lines += [*(f"- {code}" for code in languages), "---", "", f"# {run.name}", ""]
    loaded = f"`{kind}`" + (f", head `{head}`" if head else ", without a head")
    lines += [f"{loaded}, from {source} of an [xdist](https://pypi.org/project/xdist-xtreme) run.", ""]
    for number, one in enumerate(runs, 1):
        lines += [
            "## Training" if len(runs) == 1 else f"## Training, {number} of {len(runs)}: {one.name}",
            "",
            *_training(one),
            "",
        ]
    return "\n".join([*lines, *_scores(run)]).rstrip("\n") + "\n"


def _training(run: Run) -> Iterator[str]:
    if run.train is None:
        return
    for entry in run.train.tasks:
        more = f" (weight {entry.weight:g})" if entry.weight is not None else ""
        yield f"- {entry.task}: {', '.join(entry.languages)}{more}"
    length = f"{run.train.steps} steps" if run.train.steps else f"{run.train.epochs} epochs"
    yield f"- {length} of {run.train.batch_size} examples, learning rate {run.train.learning_rate:g}, seed {run.seed}"
    yield f"- precision {run.runtime.precision}" + (", embeddings frozen" if run.model.freeze_embeddings else "")
    for method in run.methods:
        options = ", ".join(f"{name} {value}" for name, value in method.model_dump(mode="json", exclude={"method"}).items())
        yield f"- robust training: {method.method} ({options})"
    if not run.methods:
        yield "- robust training: none"


def _scores(run: Run) -> Iterator[str]:
    scores = RunFolder(run.folder).scores
    if not scores.is_file():
        return
    yield from ("## Scores", "", "| task | split | metric | language | score |", "|---|---|---|---|--:|")
    for name, found in read_json(scores)["tasks"].items():
        metric = found["metric"]
        scored = sum(metric in values for values in found["languages"].values())
        part = f" over {scored} of {len(found['languages'])} languages" if scored < len(found["languages"]) else ""
        for code, values in (*found["languages"].items(), (f"mean{part}", found["mean"])):
            if metric in values:
                yield f"| {name} | {found['split']} | {metric} | {code} | {values[metric]:.2f} |"
