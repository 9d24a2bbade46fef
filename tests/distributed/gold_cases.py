"""Evaluation that says what it predicted."""

from pathlib import Path
from typing import Any

from resolved_of import resolved_of

from xdist.config import load_run
from xdist.errors import UserError
from xdist.evaluation import evaluator
from xdist.resolve.assembly import Assembly


def evaluated(path: str, overrides: list[str]) -> dict[str, Any]:
    """Evaluate what is to be done: the rows that this rank's model saw by task, what was said, and why it was refused."""
    parts = Assembly(resolved_of(load_run(Path(path), overrides)))
    preparation = parts.prepare("evaluate")
    found: dict[str, Any] = {"rows": {}, "said": [], "refused": ""}
    predict, say = evaluator.predict_rows, evaluator.say

    def predicting(model: Any, family: Any, read: Any, sets: Any, subsets: int, work: Any, *rest: Any) -> Any:
        found["rows"][family.task.name] = sum(len(item.rows) for item in work)
        return predict(model, family, read, sets, subsets, work, *rest)

    evaluator.predict_rows, evaluator.say = predicting, found["said"].append
    try:
        parts.evaluate(preparation)
    except UserError as error:
        found["refused"] = str(error)
    finally:
        evaluator.predict_rows, evaluator.say = predict, say
    return found
