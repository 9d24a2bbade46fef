"""Perturbations stay inside their balls, for any norm, the grouping, the precision and the gradient."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
import torch
from batch_of import SPECIAL, VOCABULARY, batch_of, rows_of_sequences
from hypothesis import given, settings
from hypothesis import strategies as st
from passes_of import shift_of
from torch import Tensor, nn

from xdist.config.method import Method
from xdist.config.robust import InBall
from xdist.robust.adversarial import Adversarial
from xdist.robust.ball import Ball, ball_round
from xdist.robust.free import Free
from xdist.robust.random_noise import Random
from xdist.tasks.batch import Batch

WIDTH = 6
Rows = list[list[list[int]]]
norms = st.sampled_from(["l2", "linf"])
groupings = st.sampled_from(["example", "token"])
BALL: Any = {"norm": norms, "ball": groupings, "radius": st.floats(1e-4, 10)}
ASCENT: Any = {**BALL, "steps": st.integers(1, 3), "step_size": st.floats(0.1, 10), "random_start": st.booleans()}


def embedding_of(dtype: torch.dtype) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(VOCABULARY, WIDTH, dtype=dtype)


def groups(batch: Batch, per: str) -> Iterator[list[int]]:
    """The tokens that share a ball, special ones left out."""
    free = [place for place, token in enumerate(batch.tokens.tolist()) if token not in SPECIAL.tolist()]
    if per == "token":
        yield from ([place] for place in free)
    else:
        for row in range(len(batch.row_ids)):
            yield [place for place in free if batch.token_row[place] == row]


def size(vectors: Tensor, norm: str) -> float:
    vectors = vectors.double()
    return float(vectors.abs().max()) if norm == "linf" else float(vectors.square().sum().sqrt())


def ball(batch: Batch, norm: Literal["l2", "linf"], per: str, radius: float = 0.1) -> Ball:
    vectors = embedding_of(torch.float32)(batch.tokens).detach()
    return ball_round(vectors, batch, SPECIAL, InBall(radius=radius, norm=norm, ball=per))  # type: ignore[arg-type]


@given(
    rows_of_sequences,
    st.one_of(st.builds(Adversarial, **ASCENT), st.builds(Free, **ASCENT), st.builds(Random, **BALL)),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_a_perturbation_stays_in_its_ball_and_off_special_tokens(
    rows: Rows, section: Method, dtype: torch.dtype, seed: int
) -> None:
    batch, embedding = batch_of(rows), embedding_of(dtype)
    slopes = torch.randn(len(batch.tokens), WIDTH, generator=torch.Generator().manual_seed(seed))

    def inner(delta: Tensor) -> Tensor:
        return (delta * slopes).sum() + (delta.to(dtype) ** 2).float().sum()

    delta = shift_of(section, inner, embedding, batch, seed, 1)
    assert delta.isfinite().all()
    assert not delta[torch.isin(batch.tokens, SPECIAL)].any()
    vectors = embedding(batch.tokens).detach()
    for group in groups(batch, section.ball):
        if group:
            of_embeddings = size(vectors[group], "l2")
            if section.norm == "linf":
                of_embeddings /= (len(group) * WIDTH) ** 0.5
            assert size(delta[group], section.norm) <= section.radius * of_embeddings * (1 + 1e-5)


@given(rows_of_sequences, norms, groupings, st.floats(1e-6, 1e6), st.integers(0, 2**32))
@settings(deadline=None)
def test_a_direction_has_length_one(rows: Rows, norm: Literal["l2", "linf"], per: str, scale: float, seed: int) -> None:
    batch = batch_of(rows)
    gradient = scale * torch.randn(len(batch.tokens), WIDTH, generator=torch.Generator().manual_seed(seed))
    step = ball(batch, norm, per).direction(gradient)
    for group in groups(batch, per):
        if group:
            assert size(step[group], norm) == pytest.approx(1, abs=1e-5)
            assert (step[group] * gradient[group]).sum() > 0


@given(rows_of_sequences, norms, groupings, st.floats(1e-6, 1e6), st.integers(0, 2**32))
@settings(deadline=None)
def test_projecting_twice_is_projecting_once(
    rows: Rows, norm: Literal["l2", "linf"], per: str, scale: float, seed: int
) -> None:
    batch = batch_of(rows)
    round_them = ball(batch, norm, per)
    once = round_them.project(scale * torch.randn(len(batch.tokens), WIDTH, generator=torch.Generator().manual_seed(seed)))
    torch.testing.assert_close(round_them.project(once), once, rtol=1e-6, atol=0)
    assert not once[torch.isin(batch.tokens, SPECIAL)].any()


def test_what_lies_inside_is_left_where_it_is() -> None:
    batch = batch_of([[[0, 7, 8, 2]]])
    for norm in ("l2", "linf"):
        round_them = ball(batch, norm, "example")
        inside = 0.5 * round_them.radius * round_them.direction(torch.ones(4, WIDTH))
        assert torch.equal(round_them.project(inside), inside)
        assert inside[1:3].all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("per", ["example", "token"])
def test_no_step_where_the_gradient_is_zero_or_not_finite(norm: Literal["l2", "linf"], bad: float, per: str) -> None:
    batch = batch_of([[[5, 6], [0, 7]], [[8, 9]]])
    gradient = torch.ones(6, WIDTH)
    if bad == 0:
        gradient[:4] = 0
    else:
        gradient[1, 2] = gradient[2, 0] = bad  # token 2 is special: what its gradient is must not reach the others
    step = ball(batch, norm, per).direction(gradient)
    assert step.isfinite().all()
    assert not step[1:3].any()
    assert step[4:].any(-1).all()
    assert bool(step[0].any()) == bool(step[3].any()) == (per == "token" and bad != 0)


def test_the_radius_of_an_example_does_not_depend_on_the_others() -> None:
    rows = [[[5, 6, 7]], [[8], [9, 10]], [[0, 11, 2]]]
    together = ball(batch_of(rows), "l2", "example").radius
    alone = torch.cat([ball(batch_of([row]), "l2", "example").radius for row in rows])
    torch.testing.assert_close(together, alone)
    assert len(set(together[:, 0].tolist())) == 3
