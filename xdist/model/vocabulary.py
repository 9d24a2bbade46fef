"""The active vocabulary: an input embedding of which only the rows that training can meet are trained.

Rows that no training text uses get no gradient, yet in a full table they cost optimizer states, a gradient buffer and their
share of every reduction: of XLM-R base 69 % of all parameters are the embedding, and an English task uses a few percent of its
rows. Here the rows in use are the parameter `weight`, so ZeRO sees nothing else, and the others are constants in host memory,
neither on the GPU nor in checkpoints. The result is what the full table would become, except for weight decay, which would
also shrink the rows that nothing uses; here they stay as they are.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from transformers import PreTrainedModel

ACTIVE = "active"


class ActiveEmbedding(nn.Module):
    """`forward(ids)` looks up any id, as the table of `num_embeddings` rows would; in training mode the active ones alone."""

    active: Tensor  # (A,) sorted ids of the trained rows; saved, so that a checkpoint says which rows it holds
    place: Tensor  # (V,) where each id's row is: n in `weight`, -1 - n in `frozen`

    def __init__(self, whole: nn.Embedding, ids: Tensor) -> None:
        super().__init__()
        table = whole.weight.detach()
        self.num_embeddings, self.embedding_dim = table.shape
        ids = ids.to(table.device)
        others = torch.ones(len(table), dtype=torch.bool, device=table.device)
        others[ids] = False
        place = torch.empty(len(table), dtype=torch.long, device=table.device)
        place[ids] = torch.arange(len(ids), device=table.device)
        place[others] = -1 - torch.arange(len(table) - len(ids), device=table.device)
        self.register_buffer(ACTIVE, ids)
        self.register_buffer("place", place, persistent=False)
        self.weight = nn.Parameter(table[ids])
        self.frozen = table[others].cpu()  # no buffer: stays where it is when the module moves
        self.padding_idx = None if whole.padding_idx is None else int(place[whole.padding_idx])

    def forward(self, ids: Tensor) -> Tensor:
        place = self.place[ids]
        if self.training:
            return embedding(place, self.weight, self.padding_idx)
        vectors = embedding(place.clamp_min(0), self.weight, self.padding_idx)
        outside = place < 0
        if outside.any():
            rows = self.frozen[(-1 - place[outside]).cpu()]
            vectors = vectors.masked_scatter(outside[..., None], rows.to(vectors))
        return vectors

    def whole(self, weight: Tensor) -> Tensor:
        """(V, d) the table with `weight` (A, d), on the CPU, as its trained rows."""
        table = weight.new_empty(self.num_embeddings, self.embedding_dim)
        place = self.place.cpu()
        table[place >= 0] = weight
        table[place < 0] = self.frozen.to(weight.dtype)
        return table


def activate_rows(encoder: PreTrainedModel, ids: Tensor) -> bool:
    """Train only the rows `ids` (sorted) of the input embedding, whose weight is complete here, and that of the padding. False
    where nothing was changed: all rows are in use, or the table is more than a table."""
    whole = encoder.get_input_embeddings()
    if type(whole) is not nn.Embedding or whole.max_norm is not None:
        return False
    padding = {encoder.config.pad_token_id or 0, whole.padding_idx or 0}
    ids = torch.cat([ids, ids.new_tensor(sorted(padding))]).unique()
    if len(ids) == whole.num_embeddings:
        return False
    encoder.set_input_embeddings(ActiveEmbedding(whole, ids))
    return True


def active_rows(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a state as it is saved: the ids of the rows that each split embedding's weight holds, by the name of that weight."""
    return {name.removesuffix(ACTIVE) + "weight": ids for name, ids in state.items() if name.endswith(f".{ACTIVE}")}


def merge_rows(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of `model`, on the CPU, as if its embedding had not been split."""
    for name, module in model.named_modules():
        if isinstance(module, ActiveEmbedding):
            del state[f"{name}.{ACTIVE}"]
            state[f"{name}.weight"] = module.whole(state[f"{name}.weight"])
    return state
