"""Parts of a resolved run, for tests that start below the doors."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from xdist.config import Run
from xdist.data.batches import Rewriter, TrainingData
from xdist.data.prepare import Preparation
from xdist.data.subset import Subset
from xdist.data.trees import Trees
from xdist.evaluation.request import Request
from xdist.resolve.facts import Purpose
from xdist.resolve.resolved import Resolved
from xdist.resolve.subsets import Subsets
from xdist.run import ds_config
from xdist.run.ds_config import DeepSpeed, Precision


def resolved_of(run: Run) -> Resolved:
    """Nothing is checked."""
    return Resolved(run, Subsets(run))


def subsets_of(run: Run) -> Subsets:
    return Subsets(run)


def trained_of(run: Run) -> list[Subset]:
    return list(Subsets(run).training)


def scored_of(run: Run) -> list[Subset]:
    return list(Subsets(run).evaluation)


def chosen_of(run: Run) -> list[Subset]:
    return list(Subsets(run).selection)


def request_of(run: Run) -> Request:
    return resolved_of(run).request


def prepared_of(run: Run, tokenizer: PreTrainedTokenizerBase, work: Purpose = "prepare") -> Preparation:
    return Preparation(resolved_of(run).read(work), run.data, tokenizer, Trees.of(run.model.syntax))


def data_of(run: Run, preparation: Preparation, rewriters: Sequence[Rewriter] = (), **options: Any) -> TrainingData:
    assert run.train
    common = {"micro_batch_tokens": run.runtime.micro_batch_tokens, "packed": run.runtime.attention == "packed"}
    return TrainingData(run.train, trained_of(run), preparation, run.seed, rewriters=rewriters, **{**common, **options})


def deepspeed_of(values: Mapping[str, Any]) -> DeepSpeed:
    """What a shipped file with these values would be, typed; nothing of it is checked."""
    precision: Precision = "bf16" if values.get("bf16", {}).get("enabled") else "fp32"
    return DeepSpeed(ds_config.find("zero2"), values, 0, precision, "none", None, None)
