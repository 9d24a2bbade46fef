"""Whether runs learnt what they were trained on: what a stage asks of them (`learns`), and what their logs say.

A condition of which one run missed it has no difference in the answer: to leave out that seed alone would be to choose by the
outcome.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from xdist.config import Data
from xdist.config.expected import Learns
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.files import read_json
from xdist.metrics import METRICS
from xdist.report.record import Points, read_metrics
from xdist.run.folder import RunFolder
from xdist.study.estimate import histogram_of, mixture
from xdist.study.expansion import Graph, Node

TEXT = "masked-lm"
LAST = 0.2  # of the steps: over whose logged losses a mean is taken


@dataclass(frozen=True, slots=True)
class Check:
    """`what` must be at least (`more`) or below `bound`, None where the data that says it is missing; `because`: how the
    bound comes about. `value`: what was reached, None where the run has not come to its end."""

    what: str
    more: bool
    bound: float | None
    because: str
    value: float | None = None

    @property
    def reached(self) -> bool | None:
        """None where it is not known."""
        if self.value is None or self.bound is None:
            return None
        # A mean of scores may be the bound except for its last digits.
        return self.value >= self.bound - 1e-9 if self.more else self.value < self.bound

    @property
    def asked(self) -> str:
        side = f"{self.what} {'at least' if self.more else 'below'}"
        if self.bound is None:
            return f"{side} {self.because}, not known before its data exists"
        return f"{side} {self.bound:.{1 if self.more else 2}f} ({self.because})"

    @property
    def said(self) -> str:
        value = "nothing was logged" if self.value is None else f"{self.value:.{1 if self.more else 2}f}"
        return f"{value}, required: {self.asked}"


def checks(graph: Graph, node: Node) -> tuple[Check, ...]:
    """What its stage asks of a run, and, where it has ended, what it reached. Raises UserError for what such a run cannot be
    asked, at the line of the study that asks it."""
    learns = graph.study.stages[node.stage].learns
    if learns is None:
        return ()
    checked = [*_on_dev(graph, node, learns), *_on_text(graph, node, learns)]
    return tuple(checked)


def check_learns(graph: Graph) -> None:
    """Raises UserError for the first stage that asks of a run what it cannot be asked."""
    for node in graph.nodes.values():
        checks(graph, node)


def not_learnt(checked: tuple[Check, ...]) -> list[str]:
    """A line on each check that was missed."""
    return [check.said for check in checked if check.reached is False]


def learnt_facts(graph: Graph, node: Node) -> list[dict[str, Any]]:
    """As JSON: what is asked, and whether it was reached; null where that is not known yet."""
    return [{**asdict(check), "reached": check.reached} for check in checks(graph, node)]


def _on_dev(graph: Graph, node: Node, learns: Learns) -> list[Check]:
    """`dev/best` is of the model that is kept."""
    bounds = {"over_majority": learns.over_majority, "at_least": learns.at_least}
    bounds = {key: value for key, value in bounds.items() if value is not None}
    if not bounds:
        return []
    train = node.run.train
    key = next(iter(bounds))
    if train is None or train.select is None or train.select.by != "score":
        raise _error(graph, node, key, "needs train.select by score: which dev sets are evaluated, and how often")
    subsets = node.resolved.subsets.selection
    metrics = {METRICS.get(subset.task.metric) for subset in subsets}
    turned = next((metric for metric in metrics if metric.lower_is_better), None)
    if turned:
        raise _error(graph, node, key, f"of '{turned.name}' less is better")
    name = " and ".join(sorted({metric.headline for metric in metrics}))
    where = ", ".join(dict.fromkeys(subset.language for subset in subsets))
    what = f"{name} on dev ({where})"
    value = _last_value(node, "dev/best")
    checked = []
    if learns.over_majority is not None:
        if name != "accuracy" or any(not subset.task.labels for subset in subsets):
            raise _error(
                graph, node, "over_majority", f"is of accuracy over labels, and dev is scored by {name}; give at_least"
            )
        shares = [_majority(subset, node.run.data.root) for subset in subsets]
        known_shares = [share for share in shares if share is not None]
        whole = fmean(known_shares) if len(known_shares) == len(shares) else None
        because = (
            f"{whole:.1f} by the most frequent label + {learns.over_majority:g}"
            if whole is not None
            else f"the share of the most frequent label + {learns.over_majority:g}"
        )
        bound = None if whole is None else whole + learns.over_majority
        checked.append(Check(what, True, bound, because, value))
    if learns.at_least is not None:
        checked.append(Check(what, True, learns.at_least, "as the study says", value))
    return checked


def _on_text(graph: Graph, node: Node, learns: Learns) -> list[Check]:
    """Masks are drawn again at each visit, so the training loss is of tokens that were hidden for the first time."""
    if learns.below_unigram is None:
        return []
    train, subsets = node.run.train, node.resolved.subsets.training
    if train is None or not any(subset.task.family == TEXT for subset in subsets):
        raise _error(graph, node, "below_unigram", "is of masked text, and this trains on none")
    weights = mixture(train, node.run.data, subsets)
    text = [number for number, subset in enumerate(subsets) if subset.task.family == TEXT]
    special = special_ids(_tokenizer(graph, node))
    entropies = [unigram_entropy(subsets[number], node.run.data, special) for number in text]
    share = np.array([weights[number] for number in text])
    share = share / share.sum()
    names = [f"loss/{subsets[n].task.name}/{subsets[n].language}" for n in text] if len(subsets) > 1 else ["train/loss"]
    losses = [_mean_of_last(node, name) for name in names]
    whole = None if None in entropies else float(share @ np.array(entropies, float))
    value = None if None in losses else float(share @ np.array(losses, float))
    languages = ", ".join(subsets[number].language for number in text)
    because = f"unigram entropy {whole:.2f}" if whole is not None else "the unigram entropy of its prepared text"
    if learns.below_unigram:
        because += f" - {learns.below_unigram:g}"
    bound = None if whole is None else whole - learns.below_unigram
    return [Check(f"masked loss in nats ({languages})", False, bound, because, value)]


def unigram_entropy(subset: Subset, data: Data, special: frozenset[int]) -> float | None:
    """In nats a piece, of the prepared text without `special` pieces, which are never masked; None where it is not prepared."""
    counts = histogram_of(data.cache, subset)
    if counts is None:
        return None
    counts = counts.astype(np.float64)
    counts[[number for number in special if number < len(counts)]] = 0
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


@lru_cache
def special_ids(folder: Path | None) -> frozenset[int]:
    """Of the tokenizer in a model folder; none where it has no tokenizer.json."""
    file = folder / "tokenizer.json" if folder else None
    if file is None or not file.is_file():
        return frozenset()
    return frozenset(token["id"] for token in read_json(file).get("added_tokens", ()) if token.get("special"))


def _tokenizer(graph: Graph, node: Node) -> Path | None:
    """A folder with the tokenizer of the encoder that a chain of runs begins with."""
    while node.upstream:
        node = graph.nodes[node.upstream]
    folder = Path(node.resolved.model.backbone)
    return folder if folder.is_dir() else None


@lru_cache
def _majority(subset: Subset, root: Path) -> float | None:
    """Per cent of the most frequent label; None where the files are missing."""
    try:
        labels = Counter(example.label for example in subset.task.examples(root, subset.split, subset.language))
    except (UserError, OSError):
        return None
    return 100 * max(labels.values()) / labels.total() if labels else None


def _last_value(node: Node, key: str) -> float | None:
    points = _ended_metrics(node).get(key)
    return points[-1][1] if points else None


def _mean_of_last(node: Node, key: str) -> float | None:
    points = _ended_metrics(node).get(key)
    if not points:
        return None
    since = (1 - LAST) * points[-1][0]
    return fmean(value for step, value in points if step > since)


def _ended_metrics(node: Node) -> Mapping[str, Points]:
    """What a run logged whose training is over."""
    folder = RunFolder(node.run.folder)
    return read_metrics(folder.metrics) if folder.model.is_dir() or folder.state == "finished" else {}


def _error(graph: Graph, node: Node, key: str, message: str) -> UserError:
    where = graph.study.at(("stages", node.stage, "learns", key))
    return UserError(f"{where}: {message} ({node.run.name})")
