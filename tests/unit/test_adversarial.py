"""The ascent on a real encoder: plain where there is nothing to seek, the same for a row in any batch, and uphill."""

from collections.abc import Callable
from contextlib import suppress

import pytest
import torch
from batch_of import batch_of
from tiny import tiny_benchmark, tiny_model
from torch import Tensor

from xdist.config import Model as ModelSection
from xdist.config import Robust
from xdist.data.tokenizer import load_tokenizer
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.robust import Plain, perturbation, shifted
from xdist.tasks.batch import Batch
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

HEAD = "cldr-topic"
SPECIAL = torch.tensor([0, 1, 2, 3])
ROWS = [[[0, 30, 31, 2]], [[0, 40, 41, 42, 43, 44, 2]], [[0, 50, 2]], [[0, 60, 61, 62, 63, 2]], [[0, 70, 71, 2]]]
LABELS = [0, 3, 1, 5, 2]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Model]:
    folder = tmp_path_factory.mktemp("adversarial")
    backbone = str(tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark")))
    tokenizer = load_tokenizer(backbone)

    def model() -> Model:
        encoder = load_encoder(ModelSection(backbone=backbone), tokenizer, torch.float32)
        return Model(encoder, {HEAD: family_of(task(HEAD))}, seed=1)

    return model


def loss_at(model: Model, batch: Batch, delta: Tensor | None) -> Tensor:
    with shifted(model.embedding, delta, batch):
        return model.families[HEAD].loss(model(batch), batch)


def passes(model: Model, section: Robust, batch: Batch) -> list[tuple[Tensor | None, Tensor | None]]:
    """(delta, loss before) of each pass that `section` makes of `batch`."""
    method = perturbation(section, 1, SPECIAL)
    found = method.passes(lambda delta: loss_at(model, batch, delta), model.embedding, batch, 4)
    return [(one.delta, one.loss_before) for one in found]


def trained(make: Callable[[], Model], section: Robust) -> dict[str, Tensor]:
    """Loss and gradients of one training pass, dropout on."""
    model, batch = make().train(), batch_of(ROWS, labels=LABELS, head=HEAD)
    torch.manual_seed(3)
    ((delta, _),) = passes(model, section, batch)
    loss = loss_at(model, batch, delta)
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return {"loss": loss.detach(), **gradients}


@pytest.mark.parametrize("nothing", [{"radius": 0}, {"steps": 0, "random_start": True}, {"method": "none"}])
def test_without_radius_or_steps_training_is_plain_to_the_bit(make: Callable[[], Model], nothing: dict[str, object]) -> None:
    section = Robust.model_validate({"method": "adversarial", **nothing})
    assert isinstance(perturbation(section, 1, SPECIAL), Plain)
    expected, found = trained(make, Robust()), trained(make, section)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_an_ascent_leaves_no_gradient_on_parameters(make: Callable[[], Model]) -> None:
    model = make().eval()
    batch = batch_of(ROWS, labels=LABELS, head=HEAD)
    ((delta, before),) = passes(model, Robust(method="adversarial", steps=2), batch)
    assert delta is not None
    assert not delta.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert before is not None
    assert torch.equal(before, loss_at(model, batch, None).detach())


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("ball", ["example", "token"])
@pytest.mark.parametrize("random_start", [False, True])
def test_a_row_gets_the_same_delta_in_any_batch(make: Callable[[], Model], norm: str, ball: str, random_start: bool) -> None:
    model = make().eval()
    section = Robust(method="adversarial", norm=norm, ball=ball, steps=2, radius=0.3, random_start=random_start)
    batch = batch_of(ROWS, labels=LABELS, head=HEAD)
    ((together, _),) = passes(model, section, batch)
    assert together is not None
    for row in range(len(ROWS)):
        ((alone, _),) = passes(model, section, batch_of(ROWS[row : row + 1], [row], LABELS[row : row + 1], HEAD))
        assert alone is not None
        assert alone.any()
        # A sign changes where the gradient is all but 0: a coordinate in a hundred may.
        differing = ((together[batch.token_row == row] - alone).abs() > 1e-4 * alone.abs().max()).double().mean()
        assert differing <= (0.01 if norm == "linf" else 0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("ball", ["example", "token"])
def test_the_loss_rises(make: Callable[[], Model], norm: str, ball: str) -> None:
    model = make().eval()
    section = Robust(method="adversarial", norm=norm, ball=ball, steps=3, radius=0.1)
    gaps = []
    for row in range(len(ROWS)):
        batch = batch_of(ROWS[row : row + 1], labels=LABELS[row : row + 1], head=HEAD)
        ((delta, before),) = passes(model, section, batch)
        gaps.append(float(loss_at(model, batch, delta).detach() - before))  # type: ignore[operator]
    assert min(gaps) > 0


def test_a_shift_moves_the_tokens_alone_and_ends_with_its_block(make: Callable[[], Model]) -> None:
    model = make().eval()
    batch = batch_of(ROWS, labels=LABELS, head=HEAD)
    ids, mask = batch.padded(model.pad)
    plain = model.embedding(ids).detach()
    delta = torch.randn(len(batch.tokens), plain.shape[-1])
    with suppress(ZeroDivisionError), shifted(model.embedding, delta, batch):
        moved = (model.embedding(ids) - plain).detach()
        raise ZeroDivisionError
    torch.testing.assert_close(moved[mask.bool()], delta, atol=1e-6, rtol=0)
    assert not moved[~mask.bool()].any()
    assert torch.equal(model.embedding(ids), plain)
