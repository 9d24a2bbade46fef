"""The best model of a run so far: a folder beside the checkpoints, replaced when a better one is found."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from xdist.engine.engine import Engine
from xdist.errors import UserError
from xdist.files import read_json
from xdist.model.folder import save_model
from xdist.model.model import Model
from xdist.run import distributed

# How good a model is: larger is better. Collective, the same number on every rank.
Judge = Callable[[Model], float]
SELECTED = "selected.json"


class Best:
    """Step and value of the best model stand in its folder, where a run that goes on finds them. Such a run looks again at
    steps that its earlier life has looked at, with equal results: the first of equal ones stays."""

    def __init__(
        self, folder: Path, judge: Judge, engine: Engine, tokenizer: PreTrainedTokenizerBase, facts: Mapping[str, object]
    ) -> None:
        self.folder, self.judge, self.engine, self.tokenizer, self.facts = folder, judge, engine, tokenizer, facts
        note = folder / SELECTED
        there = distributed.agree(read_json(note) if distributed.rank() == 0 and note.is_file() else None)
        self.step: int = there["step"] if there else 0
        self.value: float = there["value"] if there else -math.inf

    def look(self, step: int) -> float:
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

    def become(self, model: Path) -> None:
        """Make the best model the run's. Collective."""
        if distributed.rank() == 0:
            self.folder.rename(model)
        distributed.barrier()
