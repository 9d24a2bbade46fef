"""Evaluation alone, of what a run's folder or backbone holds."""

from pathlib import Path

from xdist.config import load_run
from xdist.data.prepare import Preparation
from xdist.data.tokenizer import load_tokenizer
from xdist.evaluation.evaluator import evaluate
from xdist.runtime import distributed


def evaluate_again(path: str, overrides: list[str]) -> None:
    """Evaluate what is not scored yet."""
    run = load_run(Path(path), overrides)
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = Preparation(run, tokenizer, train=False)
    preparation.make_share(distributed.rank(), distributed.world())
    evaluate(run, tokenizer, preparation)
