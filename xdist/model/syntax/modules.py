"""What a syntax-augmented encoder computes of trees. Shapes: T tokens, S sequences, e the width of the input embedding, g that
of what graph attention gives.

Published: four layers of four heads of 64, LeakyReLU 0.2, dropout 0.1, nothing between layers, a norm at the end, and probes of
rank 64. Chosen here, since it is not known: dropout is before each layer and on who sees whom, as in Veličković et al.
2018; no layer has a bias; matrices of graph attention begin as Xavier's, all others as the encoder's own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from xdist.config.syntax import Syntax
from xdist.data.trees import DISTANCES, FAR, TAGS
from xdist.errors import UserError
from xdist.formats.parses import UNTAGGED
from xdist.tasks.batch import Batch
from xdist.tasks.packing import CALL, cut

SLOPE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """s `sequences` of similar length in a rectangle of n places. `tokens` (s, n): which token of the batch is in each place,
    the first of its sequence where none does; `real` (s, n): where one does; `apart` (s, n, n): distances in the tree, FAR
    where there is none, 0 of a place to itself."""

    sequences: Tensor
    tokens: Tensor
    real: Tensor
    apart: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """The trees of a batch. `place` (T,): where each token is in the places of all groups, one after another."""

    groups: tuple[Group, ...]
    place: Tensor
    tags: Tensor


def forest(batch: Batch) -> Forest:
    """Raises UserError for a batch without trees."""
    if DISTANCES not in batch.targets:
        raise UserError(
            f"model.syntax: the model reads dependency trees, and these rows of '{batch.head}' were read without any"
        )
    device, flat = batch.tokens.device, batch.targets[DISTANCES]
    # Where things stand is known by lengths, which are numbers: no device is waited for.
    lengths = torch.tensor(batch.host_lengths)
    order = torch.argsort(lengths, descending=True, stable=True)
    starts, squares = (torch.cumsum(size, 0) - size for size in (lengths, lengths**2))
    groups, place = [], torch.empty(len(batch.tokens), dtype=torch.long)
    first = before = 0
    for count, length in cut(batch.host_lengths, CALL.get(device.type, CALL["cuda"])):
        own, at = order[first : first + count], torch.arange(length)
        real = at < lengths[own][:, None]
        tokens = starts[own][:, None] + torch.where(real, at, 0)
        place[tokens[real]] = before + torch.arange(count * length).view(count, length)[real]
        first, before = first + count, before + count * length
        where, sizes, real = squares[own].to(device), lengths[own].to(device), real.to(device)
        groups.append(Group(own.to(device), tokens.to(device), real, _split_squares(flat, real, where, sizes)))
    return Forest(tuple(groups), place.to(device), batch.targets[TAGS])


def _split_squares(flat: Tensor, real: Tensor, squares: Tensor, sizes: Tensor) -> Tensor:
    """(s, n, n) of the squares that are in `flat` one after another, those of this group at `squares` (s,)."""
    at = torch.arange(real.shape[1], device=flat.device)
    index = squares[:, None, None] + at[:, None] * sizes[:, None, None] + at
    both = real[:, :, None] & real[:, None]
    apart = torch.where(both, flat[torch.where(both, index, 0)], FAR)
    return apart.masked_fill(torch.eye(len(at), dtype=torch.bool, device=flat.device), 0)


class GraphAttention(nn.Module):
    """A layer: (T, inputs) to (T, heads · width). Head k sees i with weight softmax over j of LeakyReLU(a · h_i + b · h_j)
    among the j that are near i in the tree."""

    def __init__(self, inputs: int, section: Syntax) -> None:
        super().__init__()
        self.heads, self.width, self.near = section.heads, section.width, section.distance
        self.dropout = nn.Dropout(section.dropout)
        self.matrix = nn.Linear(inputs, self.heads * self.width, bias=False)
        self.asks, self.asked = (nn.Parameter(torch.empty(self.heads, self.width)) for _ in range(2))
        for weight in (self.matrix.weight, self.asks, self.asked):
            nn.init.xavier_uniform_(weight)

    def forward(self, states: Tensor, trees: Forest) -> Tensor:
        inner = self.matrix(self.dropout(states)).view(-1, self.heads, self.width)
        asks, asked = ((inner * weight).sum(-1) for weight in (self.asks, self.asked))
        found = []
        for group in trees.groups:
            scores = asks[group.tokens][:, :, None] + asked[group.tokens][:, None]  # (s, n, n, heads)
            hidden = (group.apart > self.near)[..., None]
            share = leaky_relu(scores.float(), SLOPE).masked_fill(hidden, float("-inf")).softmax(2).to(states.dtype)
            seen = torch.einsum("sijh,sjhw->sihw", self.dropout(share), inner[group.tokens])
            found.append(seen.flatten(2).flatten(0, 1))
        return torch.cat(found)[trees.place]


class Probes(nn.Module):
    """(T, g) states to the losses of distance and depth of each sequence, (S,) fp32 each: over its n tokens that are in the
    tree the absolute errors of all pairs' squared distances, divided by n², and of all tokens' squared norms, divided by n."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.distance, self.depth = (nn.Parameter(torch.empty(rank, width)) for _ in range(2))

    def forward(self, states: Tensor, trees: Forest) -> tuple[Tensor, Tensor]:
        places = linear(states.float(), self.distance.float())
        norms = linear(states.float(), self.depth.float()).square().sum(-1)
        sequences = sum(len(group.sequences) for group in trees.groups)
        distance, depth = (torch.zeros(sequences, device=states.device) for _ in range(2))
        for group in trees.groups:
            inside = (group.apart[:, 0] < FAR) & group.real
            size = inside.sum(1)  # the first token is always in it
            both = (inside[:, :, None] & inside[:, None]).triu(
                1
            )  # each pair once: it counts twice, and one with itself nothing
            own = places[group.tokens]
            squared = own.square().sum(-1)
            apart = squared[:, :, None] + squared[:, None] - 2 * own @ own.transpose(1, 2)
            wrong = (apart - group.apart).abs().masked_fill(~both, 0).sum((1, 2))
            distance = distance.index_copy(0, group.sequences, 2 * wrong / size**2)
            wrong = (norms[group.tokens] - group.apart[:, 0]).abs().masked_fill(~inside, 0).sum(1)
            depth = depth.index_copy(0, group.sequences, wrong / size)
        return distance, depth


class TreeReader(nn.Module):
    """All that a syntax-augmented encoder has in addition to the encoder. `columns`: of the heads of each layer to which is
    added."""

    def __init__(self, embedded: int, layers: int, columns: int, section: Syntax) -> None:
        super().__init__()
        self.tags = nn.Embedding(UNTAGGED + 1, embedded)
        sizes = [embedded, *[section.states] * (section.layers - 1)]
        self.graph = nn.ModuleList(GraphAttention(size, section) for size in sizes)
        self.norm = nn.LayerNorm(section.states)
        self.keys, self.values = (nn.ModuleList(nn.Linear(section.states, columns) for _ in range(layers)) for _ in range(2))
        self.probes = Probes(section.states, section.rank)
        self.section = section

    def begin(self, deviation: float) -> None:
        """Draw what is not drawn yet, as the encoder's own weights were."""
        for weight in (self.tags.weight, self.probes.distance, self.probes.depth):
            nn.init.normal_(weight, std=deviation)
        for matrix in (*self.keys, *self.values):
            assert isinstance(matrix, nn.Linear)
            nn.init.normal_(matrix.weight, std=deviation)
            nn.init.zeros_(matrix.bias)

    def forward(self, embedded: Tensor, trees: Forest) -> Tensor:
        """(T, g) of the (T, e) embeddings of a batch's tokens."""
        states = embedded + self.tags(trees.tags)
        for layer in self.graph:
            states = layer(states, trees)
        found: Tensor = self.norm(states)
        return found
