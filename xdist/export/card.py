"""The card of an exported model: how it is loaded, what it began with, data, languages and methods of every training behind it,
its scores. The front matter is what the hub reads; nothing in it is a path of the machine that wrote it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from transformers import PreTrainedTokenizerBase

from xdist.errors import UserError
from xdist.export.example import loading_example
from xdist.languages import find_language as known_language
from xdist.languages import pair_of
from xdist.model.lineage import Lineage, PastTraining, base_of
from xdist.tasks.catalog import Task
from xdist.tasks.given_words import encodes_words_alone

# What the hub calls a task in whose form predictions are.
PIPELINES = {
    "classification": "text-classification",
    "multiple-choice": "multiple-choice",
    "tagging": "token-classification",
    "span-qa": "question-answering",
    "sentence-retrieval": "sentence-similarity",
    "bitext-mining": "sentence-similarity",
    "dual-encoder": "sentence-similarity",
}
ENCODER = "feature-extraction"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The content of a card. `source` says which weights of the run they are; `scores` are the entries of scores.json that are
    of just these weights; `catalog` has the tasks by name; `revisions` the commits of fetched data sets; `licence` as the user
    says it, an identifier of the hub."""

    name: str
    lineage: Lineage
    source: str
    place: str
    head: str | None = None
    family: str | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    catalog: Mapping[str, Task] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None

    @property
    def trained(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.task for stage in self.lineage for entry in stage.tasks))

    @property
    def bases(self) -> tuple[str, ...]:
        """The model of the hub that the last training began with which began with one."""
        bases = [base for stage in self.lineage if (base := stage.base or _base_of_backbone(stage))]
        return (bases[-1].id,) if bases else ()

    @property
    def own_scores(self) -> Mapping[str, Any]:
        """Those of the head that is here, or of no head, and of the model alone: smoothed and aligned predictions are
        not what it gives when it is loaded."""
        return {
            name: entry
            for name, entry in self.scores.items()
            if (name not in self.catalog or not self.catalog[name].needs_head or self.catalog[name].head == self.head)
            and entry.get("smoothing") is None
            and "align" not in (entry.get("made_of") or {}).get("options", {})
        }


def check_licence(licence: str | None) -> None:
    """Raises UserError for what is no identifier of the hub's."""
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
        raise UserError(f"--licence {licence}: is no identifier as the hub has them, such as apache-2.0, mit or cc-by-nc-4.0")


def card(about: About, kind: str, auto: str) -> str:
    """Markdown of a model of the class `kind`, which transformers' class `auto` loads; `auto` is empty where none does."""
    lines = ["---", _front(about), "---", "", f"# {about.name}", ""]
    loaded = f"`{kind}`" + (f", head `{about.head}`" if about.head else ", without a head")
    lines += [f"{loaded}, {about.source} of an [xdist](https://pypi.org/project/xdist-xtreme) run.", ""]
    lines += [loading_example(auto, about.family, about.place), ""] if auto else []
    for number, stage in enumerate(about.lineage, 1):
        several = len(about.lineage) > 1
        lines += [f"## Training, {number} of {len(about.lineage)}: {stage.run}" if several else "## Training", ""]
        lines += [*_training(stage), ""]
    lines += [*_licences(about), ""]
    return "\n".join([*lines, *_scores(about.own_scores)]).rstrip("\n") + "\n"


def on_words(task: Task | None, tokenizer: PreTrainedTokenizerBase) -> str:
    """What a card says on how to give words to a tagger, where a word after a blank has other pieces; else nothing."""
    if task is None or task.predicts != "tagging" or encodes_words_alone(tokenizer):
        return ""
    return (
        "\n## Words\n\nPieces of this tokenizer say whether a space is before them. Join the words of a sentence by single "
        "blanks, encode the text, and read the tag of a word at its first piece, found by offsets. `is_split_into_words=True` "
        "gives other pieces, right for a model trained under `data.words: separate` alone.\n"
    )


def _base_of_backbone(stage: PastTraining) -> Any:
    """Of a training that an earlier version recorded, which did not keep what it began with."""
    return None if "base" in stage.model_fields_set else base_of(stage.backbone)


def _front(about: About) -> str:
    sets = (task.hub.id for name in about.trained if (task := _set_of(about.catalog, name)) and task.hub)
    trained = (code for stage in about.lineage for entry in stage.tasks for code in entry.languages)
    scored = (code for one in about.own_scores.values() for code, found in one["languages"].items() if one["metric"] in found)
    results = list(_results(about))
    data = ModelCardData(
        language=sorted({code for one in (*trained, *scored) for code in _hub_codes(one)}) or None,
        license=about.licence,
        library_name="transformers",
        pipeline_tag=PIPELINES.get(about.family or "", ENCODER),
        base_model=list(about.bases) or None,
        datasets=sorted({id for id in sets if "/" in id}) or None,
        tags=["xdist"],
        model_name=about.name if results else None,
        eval_results=results or None,
    )
    return data.to_yaml(line_break="\n")


def _set_of(catalog: Mapping[str, Task], name: str) -> Task | None:
    """The task whose data set holds the examples of the task `name`."""
    return (catalog[name].pairs_of or catalog[name]) if name in catalog else None


def _hub_codes(code: str) -> list[str]:
    """The codes of ISO 639 by which the hub knows a language, or the two of a pair."""
    if known := known_language(code):
        first = known_language(re.split("[-_]", code)[0])
        return [first.code if first and first.iso == known.iso and re.fullmatch("[a-z]{2,3}", first.code) else known.iso]
    return [one for part in pair_of(code) or () if known_language(part) for one in _hub_codes(part)]


def _results(about: About) -> Iterator[EvalResult]:
    """Of each language and metric one, in points."""
    for name, entry in about.own_scores.items():
        base = _set_of(about.catalog, name)
        kind = PIPELINES.get(about.catalog[name].predicts, ENCODER) if name in about.catalog else ENCODER
        for code, numbers in entry["languages"].items():
            hub = base.on_hub(entry["split"], code) if base and base is about.catalog[name] else None
            split = hub.split_of(entry["split"], code) if hub else entry["split"]
            for metric in sorted(numbers.keys() - {"count"}, key=lambda one: (one != entry["metric"], one)):
                yield EvalResult(
                    task_type=kind,
                    task_name=name,
                    dataset_type=hub.id if hub else name,
                    dataset_name=f"{name} ({code})",
                    dataset_config=hub.config_of(code) if hub else code,
                    dataset_split=split,
                    dataset_revision=about.revisions.get(hub.id) if hub else None,
                    dataset_args={"language": code},
                    metric_type=metric,
                    metric_name=f"{metric} x 100",
                    metric_value=round(float(numbers[metric]), 4),
                )


def _training(stage: PastTraining) -> Iterator[str]:
    if base := stage.base:
        yield f"- began with {base.id}" + (f" at commit {base.commit[:12]}" if base.commit else "")
    train = stage.description["train"]
    for entry in train["tasks"]:
        more = f" (weight {entry['weight']:g})" if entry["weight"] is not None else ""
        yield f"- {entry['task']}: {', '.join(entry['languages'])}{more}"
    length = f"{train['steps']} steps" if train["steps"] else f"{train['epochs']} epochs"
    seed, model = stage.description["seed"], stage.description["model"]
    yield f"- {length} of {train['batch_size']} examples, learning rate {train['learning_rate']:g}, seed {seed}"
    yield f"- precision {stage.description['precision']}" + (", embeddings frozen" if model["freeze_embeddings"] else "")
    if adapter := model.get("adapter"):
        yield f"- an adapter instead of the encoder: {adapter['kind']}, rank {adapter['rank']}"
    if syntax := model.get("syntax"):
        yield f"- dependency trees in the encoder: {syntax['kind']}, strength {syntax['strength']:g}"
    for method in stage.description["robust"]:
        options = ", ".join(f"{name} {value}" for name, value in method.items() if name != "method")
        yield f"- robust training: {method['method']} ({options})"
    if not stage.description["robust"]:
        yield "- robust training: none"


def _licences(about: About) -> Iterator[str]:
    yield from ("## Licences", "")
    yield f"- this model: {about.licence}" if about.licence else "- this model: not stated at export"
    if about.bases:
        yield f"- it began with {', '.join(about.bases)}, whose licence its own page states"
    else:
        yield "- it began with an encoder whose name on the hub is not recorded, so `base_model` is missing"
    for name in about.trained:
        if name in about.catalog:
            yield f"- data of {name}: {about.catalog[name].licence or 'not stated'}"


def _scores(scores: Mapping[str, Any]) -> Sequence[str]:
    if not scores:
        return []
    lines = ["## Scores", "", "| task | split | metric | language | score |", "|---|---|---|---|--:|"]
    for name, entry in scores.items():
        metric = entry["metric"]
        scored = sum(metric in values for values in entry["languages"].values())
        part = f" over {scored} of {len(entry['languages'])} languages" if scored < len(entry["languages"]) else ""
        for code, values in (*entry["languages"].items(), (f"mean{part}", entry["mean"])):
            if metric in values:
                lines.append(f"| {name} | {entry['split']} | {metric} | {code} | {values[metric]:.2f} |")
    return lines
