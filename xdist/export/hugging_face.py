"""A run's model as a Hugging Face folder: encoder and head under the names that `AutoModelFor…` looks for, tokenizer, card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import MODEL_MAPPING, AutoModel

from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.export.card import on_words
from xdist.export.weights import Weights
from xdist.files import write_json, write_text, written_folder
from xdist.model.backbone import load_config
from xdist.model.encoder import without_pooler
from xdist.model.exchange import names_there
from xdist.model.finetuned import CLASSES
from xdist.model.folder import save_tokenizer
from xdist.model.lineage import FILE, Lineage, dumped
from xdist.tasks.catalog import Task
from xdist.tasks.family import family_of


def export(
    weights: Weights,
    backbone: str,
    scored: Task | None,
    out: Path,
    about: Callable[[str], str],
    lineage: Lineage,
) -> str:
    """Write `weights` as the folder `out`, with the head of the task `scored`, else only the encoder; its configuration and
    tokenizer are those of `backbone`. Beside it a card (`about` makes it of the class) and what it was trained on. Returns its
    class. Raises UserError."""
    if out.exists():
        raise UserError(f"{out}: is there already; choose another folder")
    config, tokenizer = load_config(backbone), load_tokenizer(backbone)
    if scored and scored.family not in CLASSES:
        raise UserError(f"head '{scored.head}': transformers has no class for it; export the encoder alone (--head none)")
    if scored:
        # A backbone that was fine-tuned elsewhere has names of its own; start and end have none.
        labels = scored.labels or ("LABEL_0", "LABEL_1")
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
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
    with written_folder(out) as folder:
        model.save_pretrained(folder, state_dict=state)
        save_tokenizer(folder, tokenizer, config)
        write_text(folder / "README.md", about(type(model).__name__) + on_words(scored, tokenizer))
        write_json(folder / FILE, dumped(lineage))
    return type(model).__name__


def _renamed(model: Any, weights: Weights, scored: Task | None) -> dict[str, Tensor]:
    """The weights under the names that `model` has for them, with the head of the task `scored`."""
    base = f"{model.base_model_prefix}." if scored else ""
    state = {base + name.removeprefix("encoder."): value for name, value in weights.items() if name.startswith("encoder.")}
    if scored:
        prefix = f"heads.{scored.head}."
        held = [name.removeprefix(prefix) for name in weights if name.startswith(prefix)]
        try:
            names = names_there(type(model), model.config, family_of(scored), held)
        except UserError as error:
            raise UserError(f"{error}; export the encoder alone (--head none)") from None
        state |= {there: weights[prefix + name] for name, there in names.items()}
    return state
