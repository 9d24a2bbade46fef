"""The ascent on a real encoder: plain where there is nothing to seek, the same for a row in any batch, and uphill."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from batch_of import batch_of
from passes_of import context_of, passes_of, trained
from tiny import tiny_benchmark, tiny_model
from torch import Tensor

from xdist.config import Model as ModelSection
from xdist.config.method import Method
from xdist.config.robust import Off
from xdist.data.tokenizer import load_tokenizer
from xdist.model.encoder import load_encoder
from xdist.model.masks import Masks
from xdist.model.model import Model
from xdist.model.sites import shift_inputs
from xdist.robust.adversarial import Adversarial
from xdist.robust.consistency import Consistency
from xdist.robust.divergence import symmetric_kl
from xdist.robust.free import Free
from xdist.robust.random_noise import Random
from xdist.tasks.batch import Batch, Shift, View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

HEAD = "cldr-topic"
ROWS = [[[0, 30, 31, 2]], [[0, 40, 41, 42, 43, 44, 2]], [[0, 50, 2]], [[0, 60, 61, 62, 63, 2]], [[0, 70, 71, 2]]]
LABELS = [0, 3, 1, 5, 2]
BATCH = batch_of(ROWS, labels=LABELS, head=HEAD)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Model]:
    folder = tmp_path_factory.mktemp("adversarial")
    backbone = str(tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark")))
    tokenizer = load_tokenizer(backbone)

    def model() -> Model:
        encoder = load_encoder(ModelSection(backbone=backbone), tokenizer, torch.float32)
        return Model(encoder, {HEAD: family_of(task(HEAD))}, seed=1)

    return model


def loss_of(model: Model, view: View) -> Tensor:
    return model.families[HEAD].loss(model(view)[0], view.batch).detach()


def worst(model: Model, section: Method, batch: Batch = BATCH) -> tuple[Tensor, Tensor]:
    """The delta of the one pass that `section` makes of `batch`, and the loss before it."""
    (one,) = passes_of([section], context_of(model, batch))
    delta = one.views[0].shifts[0].delta
    assert isinstance(delta, Tensor)
    assert one.loss_before is not None
    return delta, one.loss_before


def step(model: Model, *methods: Method) -> dict[str, Tensor]:
    """Loss and gradients of a training step, dropout on."""
    torch.manual_seed(3)
    loss = trained(model.train(), methods, context_of(model, BATCH))
    return {"loss": loss, **{name: value.grad for name, value in model.named_parameters() if value.grad is not None}}


@pytest.mark.parametrize(
    "nothing",
    [
        [],
        [Adversarial(radius=0)],
        [Adversarial(steps=0, random_start=True)],
        [Free(radius=0)],
        [Free(steps=0), Random(radius=0, draws=3)],
        [Consistency(weight=0)],
        [Adversarial(every=3), Consistency()],
    ],
    ids=str,
)
def test_where_nothing_moves_training_is_plain_to_the_bit(make: Callable[[], Model], nothing: list[Method]) -> None:
    torch.manual_seed(3)
    model = make().train()
    loss = model.families[HEAD].loss(model(View(BATCH))[0], BATCH)
    loss.backward()
    found = step(make(), *nothing)
    assert torch.equal(found["loss"], loss)
    assert all(torch.equal(found[name], value.grad) for name, value in model.named_parameters() if value.grad is not None)


def test_an_ascent_leaves_no_gradient_on_parameters(make: Callable[[], Model]) -> None:
    model = make().eval()
    delta, before = worst(model, Adversarial(steps=2))
    assert not delta.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(before, loss_of(model, View(BATCH)))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("ball", ["example", "token"])
@pytest.mark.parametrize("random_start", [False, True])
def test_a_row_gets_the_same_delta_in_any_batch(make: Callable[[], Model], norm: Any, ball: Any, random_start: bool) -> None:
    model = make().eval()
    section = Adversarial(norm=norm, ball=ball, steps=2, radius=0.3, random_start=random_start)
    together, _ = worst(model, section)
    for row in range(len(ROWS)):
        alone, _ = worst(model, section, batch_of(ROWS[row : row + 1], [row], LABELS[row : row + 1], HEAD))
        assert alone.any()
        # A sign changes where the gradient is all but 0: a coordinate in a hundred may.
        differing = ((together[BATCH.token_row == row] - alone).abs() > 1e-4 * alone.abs().max()).double().mean()
        assert differing <= (0.01 if norm == "linf" else 0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("ball", ["example", "token"])
def test_the_loss_rises(make: Callable[[], Model], norm: Any, ball: Any) -> None:
    model = make().eval()
    for row in range(len(ROWS)):
        batch = batch_of(ROWS[row : row + 1], labels=LABELS[row : row + 1], head=HEAD)
        delta, before = worst(model, Adversarial(norm=norm, ball=ball, steps=3, radius=0.1), batch)
        assert loss_of(model, View(batch).shifted("input", delta)) > before


def test_the_divergence_rises(make: Callable[[], Model]) -> None:
    model = make().eval()

    def apart(steps: int) -> float:
        section = Adversarial(loss="kl", random_start=True, steps=steps, step_size=1e-6 if steps == 1 else 1.5, radius=0.1)
        delta, before = worst(model, section)
        assert torch.equal(before, loss_of(model, View(BATCH)))
        outputs = model(View(BATCH), View(BATCH).shifted("input", delta))
        return float(symmetric_kl(*(output.detach().log_softmax(-1) for output in outputs)))

    assert apart(3) > 2 * apart(1)  # one tiny step: the random start


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("method", [Adversarial, Free, Random])
def test_special_tokens_stay_unless_asked(make: Callable[[], Model], method: Any, special: bool) -> None:
    model = make().train()
    moved = []

    def watch(_module: object, _inputs: object, output: Tensor) -> None:
        moved.append(BATCH.of_tokens(output).detach())

    for one in passes_of([method(perturb_special=special, radius=0.3)], context_of(model, BATCH)):
        with shift_inputs(model.encoder, BATCH, one.views[0].shifts):
            handle = model.embedding.register_forward_hook(watch)
            loss, _ = one.loss(model(*one.views), model.families[HEAD])
            handle.remove()
        loss.backward()
    plain = model.embedding(BATCH.tokens)
    still = (moved[-1] == plain).all(-1)
    assert still.tolist() == [token < 4 and not special for token in BATCH.tokens.tolist()]


def test_rows_with_broken_gradients_stay_clean_and_the_update_sound(make: Callable[[], Model]) -> None:
    """The embeddings of one row are so long that its norm overflows, a token's does not: the other rows alone are perturbed."""
    for method in (Adversarial(random_start=True, radius=0.5, steps=2), Free(radius=0.5)):
        model = make().train()
        with torch.no_grad():
            model.embedding.weight[60:64] *= 1.4e19 / model.embedding.weight[60:64].norm(dim=-1, keepdim=True)  # type: ignore
        context = context_of(model, BATCH)
        for one in passes_of([method], context):
            delta = one.views[0].shifts[0].delta
            assert isinstance(delta, Tensor)
            loss, _ = one.loss(model(*one.views), context.family)
            loss.backward()
            moved = [bool(delta[BATCH.token_row == row].any()) for row in range(len(ROWS))]
            assert moved == [True, True, True, False, True]
        assert loss.isfinite()
        assert all(value.grad is None or value.grad.isfinite().all() for value in model.parameters())
        assert context.statistics.sums["skipped"] == 1


def test_the_clean_share(make: Callable[[], Model]) -> None:
    model = make().eval()
    clean, perturbed = passes_of([Adversarial(clean=0.25, radius=0.2)], context_of(model, BATCH))
    assert clean.weights == (0.25,)
    assert perturbed.weights == (0.75,)
    assert not clean.views[0].perturbed


def test_a_fraction_of_the_steps(make: Callable[[], Model]) -> None:
    model = make().eval()
    for method in (Adversarial(every=3), Free(every=3)):
        found = [next(passes_of([method], context_of(model, BATCH, step))).views[0].perturbed for step in range(6)]
        assert found == [True, False, False] * 2


def test_draws_at_the_last_hidden_state_run_the_encoder_once(make: Callable[[], Model]) -> None:
    model = make().eval()
    calls = []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    section = Random(place="last", draws=3, radius=0.2, perturb_special=True)
    (one,) = passes_of([section], context_of(model, BATCH))
    outputs = model(*one.views)
    assert (len(calls), len(outputs), one.weights) == (1, 3, (1 / 3,) * 3)
    assert not torch.equal(outputs[0], outputs[1])
    torch.testing.assert_close(outputs[1], model(one.views[1])[0])


def test_consistency_puts_the_clean_view_first(make: Callable[[], Model]) -> None:
    model = make().eval()
    (one,) = passes_of([Adversarial(radius=0.2), Consistency(weight=3, clean=0.75)], context_of(model, BATCH))
    clean, moved = model(*one.views)
    assert [view.perturbed for view in one.views] == [False, True]
    loss, parts = one.loss((clean, moved), model.families[HEAD])
    p, q = clean.log_softmax(-1), moved.log_softmax(-1)
    apart = (p.exp() * (p - q) + q.exp() * (q - p)).sum()
    torch.testing.assert_close(loss, 0.75 * parts[0].sum() + 0.25 * parts[1].sum() + 3 * apart)


def test_the_same_dropout_in_every_forward(make: Callable[[], Model]) -> None:
    model = make().train()
    masks = Masks()
    first, second = model(View(BATCH), View(BATCH).shifted("last", torch.zeros(len(BATCH.tokens), model.width)), masks=masks)
    torch.rand(7)
    (third,) = model(View(BATCH), masks=masks)
    (other,) = model(View(BATCH))
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("place", ["input", "embedding", "last"])
def test_a_shift_moves_the_tokens_alone_and_ends_with_its_block(make: Callable[[], Model], place: Any) -> None:
    model = make().eval()
    delta = torch.randn(len(BATCH.tokens), model.width)
    site = {"input": model.embedding, "embedding": model.encoder.embeddings, "last": None}[place]
    ids, mask = BATCH.padded(model.pad)
    if site is None:
        heads = model.heads[HEAD], model.families[HEAD].select(BATCH)
        expected = heads[0]((model.hidden(BATCH) + delta)[heads[1]])
        torch.testing.assert_close(model(View(BATCH).shifted("last", delta))[0], expected)
        return
    plain = site(ids).detach()
    with (
        suppress(ZeroDivisionError),
        shift_inputs(model.encoder, BATCH, [Shift(place, delta), Shift(place, lambda states: -0.5 * states)]),
    ):
        moved = site(ids).detach()
        raise ZeroDivisionError
    torch.testing.assert_close(moved[mask.bool()], 0.5 * (plain[mask.bool()] + delta), atol=1e-6, rtol=0)
    assert torch.equal(moved[~mask.bool()], plain[~mask.bool()])
    assert torch.equal(site(ids), plain)


def test_turned_off() -> None:
    assert Off.model_validate({"method": "none", "radius": 3, "steps": 0}) == Off()
