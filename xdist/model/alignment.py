"""Maps in closed form from the states of one language to those of English: a shift of means, and a rotation (Procrustes).

Row-vector convention: X (foreign) and Y (English) are N x d, row i of X translates row i of Y. The map is
`x -> (x - mean_x) W + mean_y`, W the identity for a shift of means, and for a rotation the orthogonal W that minimises
||(X - mean_x) W - (Y - mean_y)||, which is U V' of the singular value decomposition X'Y = U S V' of the centred sides. All
that is needed of any number of pairs are their sums, kept in fp64.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from xdist.errors import UserError
from xdist.languages import same_language
from xdist.model.kinds import kind_of
from xdist.tasks.batch import Batch

ClosedForm = Literal["mean-shift", "procrustes"]
FEW = 5000  # pairs below which a rotation is shrunk towards the identity
SHRINKAGE = 0.1  # of the mean singular value


class PairSums:
    """The sums of any number of pairs of vectors of width d, in fp64: what ranks exchange."""

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        self.width = width
        # count, ||X||², ||Y||², sum of X, sum of Y, X'Y: one tensor, so that one call sums them over ranks
        self.values = torch.zeros(3 + 2 * width + width * width, dtype=torch.float64, device=device)

    def add(self, foreign: Tensor, english: Tensor) -> None:
        """Pairs of vectors (n, d)."""
        x, y, d = foreign.double(), english.double(), self.width
        self.values[0] += len(x)
        self.values[1] += (x * x).sum()
        self.values[2] += (y * y).sum()
        self.values[3 : 3 + d] += x.sum(0)
        self.values[3 + d : 3 + 2 * d] += y.sum(0)
        self.values[3 + 2 * d :] += (x.T @ y).flatten()

    @property
    def count(self) -> int:
        return int(self.values[0])

    @property
    def means(self) -> tuple[Tensor, Tensor]:
        """(d,) of each side."""
        d = self.width
        return self.values[3 : 3 + d] / self.values[0], self.values[3 + d : 3 + 2 * d] / self.values[0]

    def sums_about(self, mean_x: Tensor, mean_y: Tensor) -> tuple[Tensor, float, float]:
        """X'Y (d, d), ||X||² and ||Y||², both sides taken about the given points (d,)."""
        d, n = self.width, self.values[0]
        sum_x, sum_y = self.values[3 : 3 + d], self.values[3 + d : 3 + 2 * d]
        cross = self.values[3 + 2 * d :].view(d, d) - sum_x[:, None] * mean_y - mean_x[:, None] * sum_y
        cross = cross + n * mean_x[:, None] * mean_y
        x = self.values[1] - 2 * sum_x @ mean_x + n * mean_x @ mean_x
        y = self.values[2] - 2 * sum_y @ mean_y + n * mean_y @ mean_y
        return cross, float(x), float(y)


@dataclass(frozen=True, slots=True)
class Rotation:
    """`matrix` (d, d) in fp64, the singular values (d,) of X'Y, how much of the identity was added to that, and what of Y is
    left: ||X W - Y||²."""

    matrix: Tensor
    singular: Tensor
    shrunk: float
    residual: float


def procrustes(cross: Tensor, x: float, y: float, shrink: float = 0.0) -> Rotation:
    """The orthogonal W of X'Y = `cross` (d, d); `x`, `y`: ||X||² and ||Y||². `shrink`: the share of the mean singular value
    that is added to X'Y times the identity, which pulls W towards the identity."""
    singular = torch.linalg.svdvals(cross)
    added = shrink * float(singular.sum()) / len(cross)
    left, _, right = torch.linalg.svd(cross + added * torch.eye(len(cross), dtype=cross.dtype, device=cross.device))
    matrix = left @ right
    return Rotation(matrix, singular, added, x + y - 2 * float((cross * matrix).sum()))


@dataclass(frozen=True, slots=True)
class LanguageMap:
    """x -> (x - before) W + after, (d,), (d, d) and (d,) in fp32; `matrix` None: the identity. `facts`: how it was fitted."""

    before: Tensor
    after: Tensor
    matrix: Tensor | None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, states: Tensor) -> Tensor:
        """The states (n, d), fp32, where they are mapped to."""
        moved = states - self.before.to(states.device)
        if self.matrix is not None:
            moved = moved @ self.matrix.to(states.device)
        return moved + self.after.to(states.device)


def fit_map(sums: PairSums, method: ClosedForm) -> LanguageMap:
    """The map of the pairs that were summed up. Raises UserError where there are fewer than two."""
    if sums.count < 2:
        raise UserError(f"align: {sums.count} pairs are too few to fit anything on")
    mean_x, mean_y = sums.means
    cross, x, y = sums.sums_about(mean_x, mean_y)
    facts: dict[str, Any] = {"pairs": sums.count, "distance_before": _root(sums.sums_about(mean_x * 0, mean_y * 0), sums.count)}
    matrix = None
    residual = x + y - 2 * float(cross.trace())
    if method == "procrustes":
        found = procrustes(cross, x, y, SHRINKAGE if sums.count < FEW else 0.0)
        matrix, residual = found.matrix.float(), found.residual
        facts |= {"shrunk": found.shrunk, "from_identity": float((found.matrix - torch.eye(sums.width).to(matrix)).norm())}
    facts["distance_after"] = (max(residual, 0.0) / sums.count) ** 0.5
    return LanguageMap(mean_x.float(), mean_y.float(), matrix, facts)


def _root(about: tuple[Tensor, float, float], count: int) -> float:
    """The root of the mean squared distance of pairs."""
    cross, x, y = about
    return math.sqrt(max(x + y - 2 * float(cross.trace()), 0.0) / count)


@dataclass(frozen=True, slots=True)
class Alignment:
    """The maps of languages at hidden layer `layer`; states go `strength` of the way. English, and any language without a map,
    stays as it is, to the bit."""

    layer: int
    maps: Mapping[str, LanguageMap]
    strength: float = 1.0

    def map_of(self, language: str) -> LanguageMap | None:
        """That of a language in any code."""
        if language in self.maps:
            return self.maps[language]
        return next((found for code, found in self.maps.items() if same_language(code, language)), None)

    def map_states(self, batch: Batch, states: Tensor) -> Tensor:
        """The states (T, d) of the tokens of `batch`, each row's by the map of its language."""
        if not self.strength or batch.languages is None:
            return states
        for language in dict.fromkeys(batch.languages):
            one = self.map_of(language)
            if one is None:
                continue
            rows = torch.tensor([code == language for code in batch.languages], device=states.device)
            places = rows[batch.token_row].nonzero()[:, 0]
            before = states[places].float()
            after = one(before)
            if self.strength != 1:
                after = before + self.strength * (after - before)
            states = states.index_copy(0, places, after.to(states.dtype))
        return states

    @contextmanager
    def map_inside(self, encoder: Any, batch: Batch, layer: int) -> Iterator[None]:
        """Inside, the encoder, which is run up to hidden layer `layer`, maps the states that its upper layers continue with."""
        if self.layer >= layer or not self.strength:
            yield
            return
        handle = _module(encoder, self.layer).register_forward_hook(partial(self._hook, batch))
        try:
            yield
        finally:
            handle.remove()

    def _hook(self, batch: Batch, _module: object, _inputs: object, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        flat = states.flatten(0, -2)
        if len(flat) == len(batch.tokens):
            mapped = self.map_states(batch, flat)
        else:
            mapped = flat.index_copy(0, batch.padded_index, self.map_states(batch, flat[batch.padded_index]))
        mapped = mapped.view_as(states)
        return (mapped, *output[1:]) if isinstance(output, tuple) else mapped


def check_maps(encoder: Any, layer: int) -> None:
    """Raises UserError for an encoder without that layer, or of which it is not known where it is."""
    depth = encoder.config.num_hidden_layers
    if not 1 <= layer <= depth:
        raise UserError(f"align.layer: there is no layer {layer} to map: the encoder has 1 to {depth}")
    if layer < depth:
        _module(encoder, layer)


def _module(encoder: Any, layer: int) -> Any:
    """The module whose output are the states of hidden layer `layer`, from 1, one below the last."""
    kind = kind_of(encoder.config)
    if not kind.layers or kind.stack is None:
        raise UserError(f"align.layer: layers of encoders of type '{encoder.config.model_type}' cannot be mapped but the last")
    return encoder.get_submodule(kind.stack).get_submodule(kind.layers)[layer - 1]
