"""What adapters compute. Shapes: r their rank, the inner width; d the width of the states that they read."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu


class Lora(nn.Module):
    """What is added to a matrix's output: `scale` · B A x, with A (r, in) and B (out, r); PEFT's names and shapes."""

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.rank, self.scale, self.dropout = rank, scale, nn.Dropout(dropout)
        self.lora_A = nn.Parameter(torch.empty(rank, inputs))
        self.lora_B = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)

    def forward(self, states: Tensor, onto: Tensor) -> Tensor:
        """`onto` (…, out), what the matrix makes of `states` (…, in), with what is added to it."""
        inner = linear(self.dropout(states), self.lora_A).flatten(0, -2)
        # In one kernel, which reads and writes the widest tensor once.
        return torch.addmm(onto.flatten(0, -2), inner, self.lora_B.T, alpha=self.scale).view_as(onto)


class Bottleneck(nn.Module):
    """What is added to states (…, d): U relu(D x), with D to r and U back to d, which begins as nothing."""

    def __init__(self, width: int, rank: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout, self.down, self.up = nn.Dropout(dropout), nn.Linear(width, rank), nn.Linear(rank, width)
        nn.init.normal_(self.down.weight, std=0.02)
        for part in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(part)

    def forward(self, states: Tensor) -> Tensor:
        added: Tensor = self.up(relu(self.down(self.dropout(states))))
        return added


class Invertible(nn.Module):
    """States (…, d), d even, to others from which `inverse` gets them back: each half is moved by what the other half says
    (NICE, arXiv 1410.8516), first the first, then the second. Begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (Bottleneck(width // 2, max(1, width // 8)) for _ in range(2))

    def forward(self, states: Tensor) -> Tensor:
        one, two = states.chunk(2, -1)
        one = one + self.first(two)
        return torch.cat([one, two + self.second(one)], -1)

    def inverse(self, states: Tensor) -> Tensor:
        one, two = states.chunk(2, -1)
        two = two - self.second(one)
        return torch.cat([one - self.first(two), two], -1)
