"""A report's figures and the conditions as HParams, for TensorBoard. Imports torch."""

import shutil
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from xdist.report.findings import Findings
from xdist.report.picture import forest, heat_map
from xdist.report.results import Results


def write_events(found: Findings, folder: Path) -> None:
    """`folder` anew: figures and sentences, and below it for every condition and seed its values and task means."""
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("answer", "\n\n".join(found.sentences), 0)
        if found.answer.rows:
            writer.add_image("differences", forest(found.answer.rows), 0, dataformats="HWC")
        if found.scores.columns:
            writer.add_image("scores", heat_map(found.scores), 0, dataformats="HWC")
        for (condition, seed), metrics in _by_system(found.results).items():
            one = next(each for each in found.results.conditions if each.name == condition)
            values: dict[str, bool | str | float | int] = {"condition": condition, **one.values, "seed": seed}
            name = f"{condition.replace(' · ', '+').replace('/', '_')}-s{seed}"
            writer.add_hparams(values, metrics, run_name=name, global_step=0)


def _by_system(results: Results) -> dict[tuple[str, int], dict[str, float]]:
    found: dict[tuple[str, int], dict[str, float]] = {}
    for task in results.tasks:
        for condition, seed in task.scores:
            metrics = found.setdefault((condition, seed), {})
            metrics[f"score/{task.name}"] = task.seed_mean(condition, seed)
    return found
