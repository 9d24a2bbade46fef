"""Smoothed prediction: without noise the plain one in every family, with it the mean of probabilities."""

from typing import Any

import pytest
import torch
from batch_of import batch_of
from hypothesis import given, settings
from hypothesis import strategies as st

from xdist.evaluation.smoothing import smooth_outputs
from xdist.tasks.catalog import task
from xdist.tasks.family import Family, family_of

ROWS = [[[0, 5, 6, 2], [0, 7, 2]], [[0, 8, 9, 10, 2], [0, 11, 2]]]
WORDS = {"words": torch.tensor([1, 2, 5, 8]), "words_of_row": torch.tensor([3, 1]), "labels": torch.tensor([0, 1, 0, 2])}
OPTIONS = {"options": torch.tensor([2, 2]), "gold": torch.tensor([0, 3])}
SHAPES: dict[str, tuple[int, ...]] = {"xnli": (2, 3), "udpos": (4, 17), "xcopa": (4, 1), "xquad": (15, 2)}


def drawn(name: str, seed: int, count: int) -> tuple[Family, Any, list[torch.Tensor]]:
    batch = batch_of(ROWS)
    batch.targets.update({**WORDS, **OPTIONS})
    generator = torch.Generator().manual_seed(seed)
    return family_of(task(name)), batch, [3 * torch.randn(SHAPES[name], generator=generator) for _ in range(count)]


@pytest.mark.parametrize("name", SHAPES)
@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_equal_draws_leave_outputs_as_they_are(name: str, seed: int) -> None:
    family, batch, (outputs,) = drawn(name, seed, 1)
    torch.testing.assert_close(smooth_outputs([outputs] * 3, family, batch), outputs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_probabilities_are_averaged(name: str, seed: int) -> None:
    family, batch, outputs = drawn(name, seed, 4)
    mean = torch.stack([family.log_probabilities(output, batch).exp() for output in outputs]).mean(0)
    found = family.log_probabilities(smooth_outputs(outputs, family, batch), batch).exp()
    torch.testing.assert_close(found, mean, atol=1e-5, rtol=1e-4)


def test_log_probabilities_are_what_the_loss_is_taken_from() -> None:
    family, batch, (outputs,) = drawn("udpos", 1, 1)
    logs = family.log_probabilities(outputs, batch)
    torch.testing.assert_close(family.loss(outputs, batch), -logs[torch.arange(4), batch.targets["labels"]].sum())
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(4))


def test_answers_of_other_groups_have_no_part_in_a_divergence() -> None:
    family, batch = family_of(task("squad-sentences")), batch_of([[[0, 5, 2], [0, 6, 2]]] * 3)
    batch.targets["group"] = torch.tensor([0, 0, 1])
    logs = family.log_probabilities(torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), batch)
    assert logs.shape == (5,)
    assert logs.isfinite().all()
    torch.testing.assert_close(logs.exp().sum(), torch.tensor(3.0))
