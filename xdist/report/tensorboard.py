"""A report's figures and the conditions as HParams, for TensorBoard, or for other programs that show them. Imports torch."""

import shutil
from pathlib import Path

from xdist.report.findings import Findings
from xdist.report.picture import forest, heat_map
from xdist.report.results import Results
from xdist.run.folder import RunFolder
from xdist.run.sinks import Sink, Start, TensorBoard


def write_events(found: Findings, out: Path) -> None:
    """The folder `out`/tensorboard again."""
    shutil.rmtree(RunFolder(out).tensorboard, ignore_errors=True)
    sink = TensorBoard(Start(out, found.results.title, {}))
    write_figures(found, sink)
    sink.close()


def write_figures(found: Findings, sink: Sink) -> None:
    """Figures and sentences, and of every condition and seed its values and task means."""
    sink.text(0, "answer", "\n\n".join(found.sentences))
    if found.answer.rows:
        sink.figure(0, "differences", forest(found.answer.rows))
    if found.scores.columns:
        sink.figure(0, "scores", heat_map(found.scores))
    for (condition, seed), metrics in _by_system(found.results).items():
        one = next(each for each in found.results.conditions if each.name == condition)
        name = f"{condition.replace(': ', '=').replace(', ', '+').replace('/', '_')}-s{seed}"
        sink.hparams({"condition": condition, **one.values, "seed": seed}, metrics, name)


def _by_system(results: Results) -> dict[tuple[str, int], dict[str, float]]:
    found: dict[tuple[str, int], dict[str, float]] = {}
    for task in results.tasks:
        for condition, seed in task.scores:
            if not task.scored_languages(condition, seed):
                continue
            metrics = found.setdefault((condition, seed), {})
            metrics[f"score/{task.name}"] = task.seed_mean(condition, seed)
    return found
