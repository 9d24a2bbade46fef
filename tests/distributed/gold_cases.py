"""Evaluation that says what it predicted."""

from pathlib import Path
from typing import Any

from xdist.config import load_run
from xdist.data.prepare import Preparation
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.evaluation import evaluator
from xdist.runtime import distributed


def evaluated(path: str, overrides: list[str]) -> dict[str, Any]:
    """Evaluate what is to be done: the rows that this rank's model saw by task, what was said, and why it was refused."""
    run = load_run(Path(path), overrides)
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = Preparation(run, tokenizer, train=False)
    preparation.make_share(distributed.rank(), distributed.world())
    found: dict[str, Any] = {"rows": {}, "said": [], "refused": ""}
    predict, say = evaluator.predict, evaluator.say

    def predicting(model: Any, family: Any, read: Any, sets: Any, pieces: int, work: Any, *rest: Any) -> Any:
        found["rows"][family.task.name] = sum(len(item.rows) for item in work)
        return predict(model, family, read, sets, pieces, work, *rest)

    evaluator.predict, evaluator.say = predicting, found["said"].append
    try:
        evaluator.evaluate(run, tokenizer, preparation)
    except UserError as error:
        found["refused"] = str(error)
    finally:
        evaluator.predict, evaluator.say = predict, say
    return found
