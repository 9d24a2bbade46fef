"""The card of an exported model: data, languages and methods of every training behind it, in their order, and its scores."""

from collections.abc import Iterator
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from xdist.model.lineage import Lineage, PastTraining
from xdist.run.recorded import recorded_scores
from xdist.tasks.catalog import Task
from xdist.tasks.given_words import alone


def card(name: str, lineage: Lineage, scores: Path, kind: str, head: str | None, source: str) -> str:
    """Markdown, with the front matter that the hub reads. `scores`: the scores.json of the run, if it is there."""
    languages = sorted({code for stage in lineage for entry in stage.tasks for code in entry.languages})
    lines = ["---", "library_name: transformers", f"base_model: {lineage[0].backbone}", "language:"]
    lines += [*(f"- {code}" for code in languages), "---", "", f"# {name}", ""]
    loaded = f"`{kind}`" + (f", head `{head}`" if head else ", without a head")
    lines += [f"{loaded}, from {source} of an [xdist](https://pypi.org/project/xdist-xtreme) run.", ""]
    for number, stage in enumerate(lineage, 1):
        lines += [
            "## Training" if len(lineage) == 1 else f"## Training, {number} of {len(lineage)}: {stage.run}",
            "",
            *_training(stage),
            "",
        ]
    return "\n".join([*lines, *_scores(scores)]).rstrip("\n") + "\n"


def on_words(task: Task | None, tokenizer: PreTrainedTokenizerBase) -> str:
    """What a card says to whoever gives words to a tagger, where a word after a blank has other pieces; else nothing."""
    if task is None or task.predicts != "tagging" or alone(tokenizer):
        return ""
    return (
        "\n## Words\n\nPieces of this tokenizer say whether a blank stands before them. Join the words of a sentence by single "
        "blanks, encode the text, and read the tag of a word at its first piece, found by offsets. `is_split_into_words=True` "
        "gives other pieces, right for a model trained under `data.words: separate` alone.\n"
    )


def _training(stage: PastTraining) -> Iterator[str]:
    train = stage.description["train"]
    for entry in train["tasks"]:
        more = f" (weight {entry['weight']:g})" if entry["weight"] is not None else ""
        yield f"- {entry['task']}: {', '.join(entry['languages'])}{more}"
    length = f"{train['steps']} steps" if train["steps"] else f"{train['epochs']} epochs"
    seed, model = stage.description["seed"], stage.description["model"]
    yield f"- {length} of {train['batch_size']} examples, learning rate {train['learning_rate']:g}, seed {seed}"
    yield f"- precision {stage.description['precision']}" + (", embeddings frozen" if model["freeze_embeddings"] else "")
    for method in stage.description["robust"]:
        options = ", ".join(f"{name} {value}" for name, value in method.items() if name != "method")
        yield f"- robust training: {method['method']} ({options})"
    if not stage.description["robust"]:
        yield "- robust training: none"


def _scores(scores: Path) -> Iterator[str]:
    if not scores.is_file():
        return
    yield from ("## Scores", "", "| task | split | metric | language | score |", "|---|---|---|---|--:|")
    for name, found in recorded_scores(scores)["tasks"].items():
        metric = found["metric"]
        scored = sum(metric in values for values in found["languages"].values())
        part = f" over {scored} of {len(found['languages'])} languages" if scored < len(found["languages"]) else ""
        for code, values in (*found["languages"].items(), (f"mean{part}", found["mean"])):
            if metric in values:
                yield f"| {name} | {found['split']} | {metric} | {code} | {values[metric]:.2f} |"
