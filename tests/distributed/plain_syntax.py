"""A syntax-augmented encoder by the textbook: one sequence at a time, loops over heads and tokens, no groups, batches or
hooks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, leaky_relu

from xdist.config.syntax import Syntax
from xdist.data.trees import FAR, distances

Weights = Mapping[str, Tensor]  # of a reader of trees, by their names in it


def plain_states(weights: Weights, section: Syntax, embedded: Tensor, tags: Tensor, apart: Any) -> Tensor:
    """(n, g) of the embeddings (n, e) of a sequence."""
    states = embedded + weights["tags.weight"][tags]
    for layer in range(section.layers):
        matrix, asks, asked = (weights[f"graph.{layer}.{name}"] for name in ("matrix.weight", "asks", "asked"))
        inner = (states @ matrix.T).view(len(states), section.heads, section.width)
        rows = []
        for token in range(len(states)):
            near = [other for other in range(len(states)) if apart[token, other] <= section.distance]
            heads = []
            for head in range(section.heads):
                scores = [asks[head] @ inner[token, head] + asked[head] @ inner[other, head] for other in near]
                shares = torch.stack([leaky_relu(score, 0.2) for score in scores]).softmax(0)
                heads.append(sum(share * inner[other, head] for share, other in zip(shares, near, strict=True)))
            rows.append(torch.cat(heads))
        states = torch.stack(rows)
    return layer_norm(states, (states.shape[1],), weights["norm.weight"], weights["norm.bias"])


def plain_losses(weights: Weights, states: Tensor, apart: Any) -> tuple[Tensor, Tensor]:
    """Of distances and of depths of a sequence."""
    inside = [token for token in range(len(states)) if apart[0, token] < FAR]
    distance = depth = torch.zeros(())
    for one in inside:
        depth = depth + ((weights["probes.depth"] @ states[one]).square().sum() - int(apart[0, one])).abs()
        for two in inside:
            far = (weights["probes.distance"] @ (states[one] - states[two])).square().sum()
            distance = distance + (far - int(apart[one, two])).abs()
    return distance / len(inside) ** 2, depth / len(inside)


class Joined(nn.Module):
    """A matrix of keys or values to whose first columns is added what was put into `added` (1, n, columns)."""

    def __init__(self, matrix: nn.Module) -> None:
        super().__init__()
        self.matrix, self.added = matrix, torch.zeros(())

    def forward(self, states: Tensor) -> Tensor:
        found: Tensor = self.matrix(states).clone()
        columns = self.added.shape[-1]
        return torch.cat([found[..., :columns] + self.added, found[..., columns:]], -1)


class PlainSyntax:
    """`model`: plain, whose encoder is XLM-R's; `weights` of a reader of trees, which are trained with it."""

    def __init__(self, model: Any, weights: Weights, section: Syntax) -> None:
        self.model, self.section = model, section
        self.weights = {name: nn.Parameter(value.detach().clone()) for name, value in weights.items()}
        self.layers = []
        for layer in model.encoder.encoder.layer:
            attention = layer.attention.self
            attention.key, attention.value = Joined(attention.key), Joined(attention.value)
            self.layers.append((attention.key, attention.value))

    def read(self, row: Mapping[str, Any], delta: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(n, d) last hidden states of a row, and its losses of distances and depths."""
        ids = torch.tensor(row["tokens"])[None].long()
        apart = distances(torch.tensor(row["tree"]).numpy(), ids.shape[1])
        embedded = self.model.encoder.get_input_embeddings()(ids)[0]
        if delta is not None:
            embedded = embedded + delta
        states = plain_states(self.weights, self.section, embedded, torch.tensor(row["upos"]).long(), apart)
        for number, pair in enumerate(self.layers):
            for name, joined in zip(("keys", "values"), pair, strict=True):
                matrix, bias = (self.weights[f"{name}.{number}.{part}"] for part in ("weight", "bias"))
                joined.added = self.section.strength * (states @ matrix.T + bias)[None]
        inputs = {"inputs_embeds": embedded[None], "attention_mask": torch.ones_like(ids)}
        positions = torch.arange(ids.shape[1])[None] + self.model.encoder.config.pad_token_id + 1
        hidden = self.model.encoder(**inputs, position_ids=positions).last_hidden_state[0]
        return (hidden, *plain_losses(self.weights, states, apart))
