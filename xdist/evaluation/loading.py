"""The model that an evaluation asks, with the heads that its test sets need."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from xdist.config import Model as ModelSection
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.model.adapters.heads import carry_from_adapter
from xdist.model.backbone import check_layer
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads
from xdist.model.model import Model
from xdist.tasks.family import family_of


def load_for_evaluation(
    section: ModelSection,
    tokenizer: PreTrainedTokenizerBase,
    subsets: Sequence[Subset],
    dtype: torch.dtype,
    *,
    layer: int | None = None,
    packed: bool = True,
    seed: int = 0,
) -> Model:
    """The model in the folder `section.backbone` with the heads that `subsets` need; sentence vectors come from hidden `layer`.
    Raises UserError naming a head or layer that it does not hold."""
    folder = section.backbone
    families = {subset.task.head: family_of(subset.task) for subset in subsets}
    model = Model(load_encoder(section, tokenizer, dtype), families, seed, packed)
    check_layer(layer, folder, model.encoder.config)
    if layer is not None:
        model.layers.update({name: layer for name, family in families.items() if family.task.layer})
    brought = carry_from_adapter(section, model)
    carried, _ = carry_heads(folder, model, None if brought else section.labels, needed=not brought)
    carried += brought
    for name, head in model.heads.items():
        if name not in carried and any(True for _ in head.parameters()):
            raise UserError(f"{folder}: holds no head '{name}' (it has: {', '.join(carried) or 'none'}); train that task first")
    return model.eval()
