"""Noise belongs to a row: to (seed, step, row, position), and to nothing else."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from batch_of import batch_of, rows_of_sequences
from hypothesis import given, settings
from hypothesis import strategies as st
from passes_of import shift_of
from torch import nn

from xdist.data.batches import row_id
from xdist.data.permutation import mix
from xdist.robust.adversarial import Adversarial
from xdist.robust.noise import _mix, gaussian, uniform
from xdist.robust.random_noise import Random

Rows = list[list[list[int]]]


@given(rows_of_sequences, st.data())
@settings(deadline=None)
def test_a_row_draws_the_same_in_any_batch_and_place(rows: Rows, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, 2**50), min_size=len(rows), max_size=len(rows), unique=True))
    order = data.draw(st.permutations(range(len(rows))))
    kept = order[: data.draw(st.integers(1, len(rows)))]
    here, there = batch_of(rows, ids), batch_of([rows[place] for place in kept], [ids[place] for place in kept])
    for draw in (uniform, gaussian):
        first, second = draw(here, 5, 3, 11, 0), draw(there, 5, 3, 11, 0)
        for new, old in enumerate(kept):
            assert torch.equal(first[here.token_row == old], second[there.token_row == new])


@pytest.mark.parametrize("change", ["seed", "step", "stream", "row"])
def test_other_keys_draw_otherwise(change: str) -> None:
    keys = {"seed": 1, "step": 2, "stream": 0, "row": 4}
    drawn = []
    for key in (keys, {**keys, change: keys[change] + 1}):
        drawn.append(uniform(batch_of([[[5, 6, 7]]], [key["row"]]), 8, key["seed"], key["step"], key["stream"]))
    assert not (drawn[0] == drawn[1]).any()


def test_no_two_places_share_their_noise() -> None:
    ids = [row_id(source, row) for source in range(4) for row in range(32)]
    batch = batch_of([[[7] * 16]] * len(ids), ids)
    assert len(uniform(batch, 4, 1, 0, 0).double().sum(-1).unique()) > 0.999 * len(batch.tokens)


def test_moments() -> None:
    batch = batch_of([[[7] * 64]] * 64)
    count = 64 * 64 * 32
    flat = uniform(batch, 32, 1, 0, 0).double()
    assert flat.min() >= 0
    assert flat.max() < 1
    assert flat.mean() == pytest.approx(1 / 2, abs=5 / math.sqrt(12 * count))
    assert flat.var() == pytest.approx(1 / 12, rel=0.02)
    bell = gaussian(batch, 32, 1, 0, 0).double()
    assert bell.mean() == pytest.approx(0, abs=5 / math.sqrt(count))
    assert bell.var() == pytest.approx(1, rel=0.02)
    assert (bell**4).mean() == pytest.approx(3, rel=0.05)
    assert (bell.abs() > 2).double().mean() == pytest.approx(0.0455, rel=0.05)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbours_are_not_correlated(axis: int) -> None:
    """Along rows, tokens and coordinates."""
    noise = gaussian(batch_of([[[7] * 64]] * 64), 32, 1, 0, 0).view(64, 64, 32).transpose(0, axis)
    pairs = torch.stack([noise[:-1].flatten(), noise[1:].flatten()])
    assert abs(float(torch.corrcoef(pairs)[0, 1])) < 5 / math.sqrt(pairs.shape[1])


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
@settings(deadline=None)
def test_torch_mixes_as_numpy_does(values: list[int]) -> None:
    expected = mix(np.array(values, np.uint64)).astype(np.int64)
    assert _mix(torch.from_numpy(np.array(values, np.uint64).astype(np.int64))).tolist() == expected.tolist()


@pytest.mark.parametrize("kind", [Adversarial, Random])
@pytest.mark.parametrize("ball", ["example", "token"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_start_or_noise_is_uniform_in_the_ball(norm: Any, ball: Any, kind: Any) -> None:
    """In n dimensions the share of the radius, to the power n, is uniform; each coordinate is as often below 0 as above."""
    width, count = 3, 4000
    start = {"random_start": True} if kind is Adversarial else {}
    batch = batch_of([[[0, 7]]] * count)
    embedding = nn.Embedding(10, width, _weight=torch.ones(10, width))
    delta = shift_of(kind(radius=1, norm=norm, ball=ball, **start), lambda delta: 0 * delta.sum(), embedding, batch, 1, 5)
    found = delta[1::2] / (math.sqrt(width) if norm == "l2" else 1)
    assert not delta[::2].any()
    lengths = found.norm(dim=-1) if norm == "l2" else found.abs().amax(-1)
    shares = (lengths**width).sort().values
    assert (shares - (torch.arange(count) + 0.5) / count).abs().max() < 1.95 / math.sqrt(count)  # Kolmogorov, p = 0.001
    assert ((found > 0).double().mean(0) - 0.5).abs().max() < 0.04


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_gaussian_noise_has_the_size_of_the_radius(norm: Any) -> None:
    width, batch = 5, batch_of([[[0, 7, 8]]] * 3000)
    embedding = nn.Embedding(10, width, _weight=2 * torch.ones(10, width))
    section = Random(radius=0.25, norm=norm, distribution="gaussian")
    delta = shift_of(section, lambda delta: delta.sum(), embedding, batch, 1, 5)
    lengths = delta.view(3000, -1).norm(dim=-1)
    assert lengths.square().mean().sqrt() == pytest.approx(0.25 * 2 * math.sqrt(2 * width), rel=0.02)
