"""The best model of a run so far: a folder next to the checkpoints, replaced when a better one is found."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, TypeAdapter
from transformers import PreTrainedTokenizerBase

from xdist.engine.engine import Engine
from xdist.errors import UserError
from xdist.model.folder import save_model
from xdist.model.model import Model
from xdist.run import distributed
from xdist.run.recorded import recorded_json
from xdist.run.together import on_first

# How good a model is: larger is better. Collective, the same number on every rank.
Judge = Callable[[Model], float]
SELECTED = "selected.json"


class _Selected(BaseModel):
    step: int
    value: float


_SELECTED = TypeAdapter(_Selected)


class Best:
    """Step and value of the best model are in its folder, where a run that resumes finds them. Such a run looks again at
    steps that its earlier life has looked at, with equal results: the first of equal ones stays."""

    def __init__(
        self, folder: Path, judge: Judge, engine: Engine, tokenizer: PreTrainedTokenizerBase, facts: Mapping[str, object]
    ) -> None:
        self.folder, self.judge, self.engine, self.tokenizer, self.facts = folder, judge, engine, tokenizer, facts
        note = folder / SELECTED
        there = on_first(lambda: recorded_json(note, _SELECTED) if note.exists() else None)
        self.step: int = there.step if there else 0
        self.value: float = there.value if there else -math.inf

    def judge_step(self, step: int) -> float:
        """The value of the model after `step` steps, which is kept if it is the best. Collective. Raises UserError for a value
        that is not a number."""
        value = self.judge(self.engine.module)
        if math.isnan(value):
            raise UserError(f"step {step}: the dev value is not a number: the training diverged (train.learning_rate?)")
        if value > self.value:
            self.step, self.value = step, value
            state = self.engine.state()
            if distributed.rank() == 0:
                facts = {**self.facts, SELECTED: {"step": step, "value": value}}
                save_model(self.folder, self.engine.module, state, self.tokenizer, facts)
            distributed.barrier()
        return value

    def copy_to(self, model: Path) -> None:
        """Make the best model the run's. Collective."""
        if distributed.rank() == 0:
            self.folder.rename(model)
        distributed.barrier()
