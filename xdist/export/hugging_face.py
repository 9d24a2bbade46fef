"""A run's model as a Hugging Face folder: encoder and head under the names that `AutoModelFor…` looks for, tokenizer, card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import MODEL_MAPPING, AutoModel, PretrainedConfig, PreTrainedTokenizerBase

from xdist.data.branches import is_branch_weight
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.export.card import on_words
from xdist.export.weights import Weights
from xdist.files import write_json, write_text, written_folder
from xdist.model.backbone import load_config
from xdist.model.encoder import without_pooler
from xdist.model.exchange import names_in_transformers
from xdist.model.finetuned import CLASSES
from xdist.model.folder import save_tokenizer
from xdist.model.lineage import FILE, Lineage, dump_lineage, without_paths
from xdist.tasks.catalog import Task
from xdist.tasks.family import family_of

CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Ready:
    """A model that fits its class in transformers. `auto` is the class that loads it, `kind` its own."""

    auto: str
    kind: str
    scored: Task | None
    model: Any
    config: Any
    tokenizer: PreTrainedTokenizerBase
    state: Weights

    def write(self, out: Path, about: str, lineage: Lineage) -> None:
        """As the folder `out`, with the card `about` and what it was trained on."""
        with written_folder(out) as folder:
            self.model.save_pretrained(folder, state_dict=self.state)
            save_tokenizer(folder, self.tokenizer, self.config)
            write_text(folder / CARD, about + on_words(self.scored, self.tokenizer))
            write_json(folder / FILE, dump_lineage(without_paths(lineage)))


def prepare_export(weights: Weights, backbone: str, scored: Task | None) -> Ready:
    """`weights` with the head of the task `scored`, else only the encoder; configuration and tokenizer are those of `backbone`.
    Raises UserError where transformers has no class for it."""
    if any(map(is_branch_weight, weights)):
        raise UserError("the encoder has branches, for which transformers has no class: evaluate and continue it with xdist")
    config, tokenizer = load_config(backbone), load_tokenizer(backbone)
    if scored and scored.family not in CLASSES:
        raise UserError(f"head '{scored.head}': transformers has no class for it; export the encoder alone (--head none)")
    if scored:
        name_outputs(config, scored)
    auto = getattr(transformers, f"AutoModel{CLASSES[scored.family]}") if scored else AutoModel
    options = {} if scored else without_pooler(MODEL_MAPPING[type(config)])
    try:
        with torch.device("meta"):  # no second set of weights
            model = auto.from_config(config, **options)
    except ValueError:
        wanting = f"transformers has no {auto.__name__} of '{config.model_type}'"
        raise UserError(f"{wanting}; export the encoder alone (--head none)") from None
    state = _renamed(model, weights, scored)
    wanted = model.state_dict()
    lacking = sorted(wanted.keys() - state.keys())
    if lacking:
        raise UserError(f"{type(model).__name__} has a weight '{lacking[0]}' that the run did not train; try --head none")
    state = {name: value.to(torch.float32).contiguous() for name, value in state.items() if name in wanted}
    return Ready(auto.__name__, type(model).__name__, scored, model, config, tokenizer, state)


def name_outputs(config: PretrainedConfig, scored: Task) -> None:
    """Give a configuration as many outputs as the head of a task has, and their names."""
    # A backbone that was fine-tuned elsewhere has its own names; start and end have none.
    labels = scored.labels or ("LABEL_0", "LABEL_1")
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}


def _renamed(model: Any, weights: Weights, scored: Task | None) -> dict[str, Tensor]:
    """The weights under the names that `model` has for them, with the head of the task `scored`."""
    base = f"{model.base_model_prefix}." if scored else ""
    state = {base + name.removeprefix("encoder."): value for name, value in weights.items() if name.startswith("encoder.")}
    if scored:
        prefix = f"heads.{scored.head}."
        held = [name.removeprefix(prefix) for name in weights if name.startswith(prefix)]
        try:
            names = names_in_transformers(type(model), model.config, family_of(scored), held)
        except UserError as error:
            raise UserError(f"{error}; export the encoder alone (--head none)") from None
        state |= {there: weights[prefix + name] for name, there in names.items()}
    return state
