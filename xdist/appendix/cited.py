"""Whom to cite for runs: the papers of their data, methods, encoder and metrics, and of what xdist builds on."""

import inspect
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xdist.appendix.bibliography import Paper, as_it_says, bibtex, named_in, of_encoder, papers, xdist_itself
from xdist.config import Run, recorded_run
from xdist.config.merge import Merge
from xdist.config.method import METHODS
from xdist.errors import UserError
from xdist.model.lineage import read_lineage
from xdist.run.folder import RunFolder
from xdist.run.recorded import recorded_scores
from xdist.tasks.catalog import XTREME_R, Task, known_tasks

Cited = dict[str, tuple[list[str], Paper]]  # by key: for what, and the paper
ADAPTERS = {"lora": ("lora",), "bottleneck": ("mad-x",)}
BUILT_ON = ("zero", "pytorch", "transformers", "sentencepiece")


@dataclass(frozen=True, slots=True)
class Used:
    """What of a run has authors; `described` is its file of tasks, `scores` its scores.json, there or not."""

    trained: tuple[str, ...]
    scored: tuple[str, ...]
    described: Path | None
    scores: Path
    backbone: str
    methods: tuple[str, ...]
    smoothed: bool
    merge: Merge | None
    adapter: str | None
    branched: bool = False
    taught: bool = False
    trees: bool = False


def cited_papers(runs: Iterable[Run]) -> Cited:
    """The papers of these runs, each once, with all that it is cited for. Raises UserError where a file that they name cannot
    be read."""
    runs = list(runs)
    models_made = {str(RunFolder(run.folder).model) for run in runs}
    cited: Cited = {}
    for run in runs:
        used = Used(
            tuple(one.task for one in run.train.tasks) if run.train else (),
            run.evaluate.tasks if run.evaluate else (),
            run.data.tasks,
            RunFolder(run.folder).scores,
            run.model.backbone,
            tuple(one.method for one in run.methods),
            bool(run.evaluate and run.evaluate.smoothing),
            run.merge,
            run.model.adapter.kind if run.model.adapter else None,
            run.model.branches is not None,
            bool(run.train and run.train.distil and run.train.distil.weight),
            bool(run.model.syntax and run.model.syntax.read),
        )
        for why, some in _papers_of_run(used, models_made):
            _add(cited, why, some)
    _add(cited, "xdist", xdist_itself())
    _add(cited, "what xdist builds on", {key: papers()[key] for key in BUILT_ON})
    return cited


def as_bibtex(papers: Cited) -> str:
    """A file for BibTeX: entries after lines that say what each is cited for, and which parts of it are from memory."""
    entries = []
    for key, (reasons, paper) in papers.items():
        memory = [f"% from memory, compare it with the paper: {', '.join(paper.unchecked)}"] if paper.unchecked else []
        entries.append("\n".join([*(f"% {why}" for why in reasons), *memory, bibtex(key, paper)]))
    return "\n\n".join(entries) + "\n"


def _add(papers: Cited, why: str, some: Mapping[str, Paper]) -> None:
    for key, paper in some.items():
        reasons, _ = papers.setdefault(key, ([], paper))
        if why not in reasons:
            reasons.append(why)


def _papers_of_run(used: Used, models_made: Container[str]) -> Iterator[tuple[str, Mapping[str, Paper]]]:
    """(for what, papers) of one run; an encoder that is among `models_made` is cited for the run that made it."""
    catalog = known_tasks(used.described)
    before = read_lineage(used.backbone)  # what other runs trained before this one began
    trained = (*used.trained, *(one.task for stage in before for one in stage.tasks))
    scores = recorded_scores(used.scores)["tasks"] if used.scores.is_file() else {}
    for name in dict.fromkeys((*trained, *used.scored, *scores)):
        if name in catalog:
            yield f"task {name}", of_task(catalog[name])
        else:
            yield f"task {name}, which is not installed here", as_it_says(name, name)
    if set(used.scored) & set(XTREME_R):
        yield "the benchmark XTREME-R", {"xtreme-r": papers()["xtreme-r"]}
    methods = (*used.methods, *(str(one["method"]) for stage in before for one in stage.description["robust"]))
    for name in dict.fromkeys(methods):
        if name != "none":
            yield f"method {name} (its formula and what it differs from)", of_method(name)
    start = before[0].backbone if before else used.backbone
    if start not in models_made:
        yield f"encoder {start}", of_encoder(start) or as_it_says(Path(start).name, f"the encoder {start}: name its paper")
    if used.smoothed:
        yield "smoothed predictions", {"smoothing": papers()["smoothing"]}
    below = [one["kind"] for stage in before if (one := stage.description["model"].get("adapter"))]
    for kind in dict.fromkeys([*([used.adapter] if used.adapter else []), *below]):
        yield f"adapters ({kind})", {key: papers()[key] for key in ADAPTERS[kind]}
    if used.branched:
        yield "branches", {"mblm": papers()["mblm"]}
    if used.taught:
        yield "distillation", {"distillation": papers()["distillation"]}
    if used.trees or any(stage.description["model"].get("syntax") for stage in before):
        yield "dependency trees in the encoder", {"syntax": papers()["syntax"]}
    if used.merge:
        key = "layer-swapping" if used.merge.layers else "task-arithmetic" if used.merge.minus else "model-soups"
        yield "merging", {key: papers()[key]}
    if any(_scored_by(catalog, name).startswith("seqeval") for name in used.scored):
        yield "metric seqeval", {"seqeval": papers()["seqeval"]}


def _scored_by(catalog: Mapping[str, Task], name: str) -> str:
    return catalog[name].metric if name in catalog and catalog[name].scorable else ""


def of_task(task: Task) -> Mapping[str, Paper]:
    """The papers that its source names; else an entry with what the source says."""
    pairs = named_in(task.pairs_of.source) if task.pairs_of else {}
    return {**pairs, **named_in(task.source)} or as_it_says(task.name, task.source)


def of_method(name: str) -> Mapping[str, Paper]:
    """The papers that the file of a method names, or the method alone."""
    if name not in METHODS.ours() and not METHODS.has(name):
        return as_it_says(name, f"method {name} of robust training, which is not installed here")
    module = inspect.getmodule(METHODS.get(name))
    return named_in(inspect.getdoc(module) or "") or as_it_says(name, f"method {name} of robust training in xdist")


def described_runs(places: Iterable[Path]) -> Iterator[Run]:
    """The runs of run folders and RUN.yaml files. Raises UserError."""
    for place in places:
        config = place if place.suffix in (".yaml", ".yml") else RunFolder(place).config
        if not config.is_file():
            raise UserError(f"{place}: is not a run folder (no config.yaml)" if place.is_dir() else f"{place}: no such file")
        yield recorded_run(config)
