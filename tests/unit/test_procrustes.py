"""Alignment in closed form: known vectors, recovery of a rotation, English as it was, where the maps enter the model."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from batch_of import batch_of
from torch import Tensor

from xdist.config import Model as ModelSection
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.model.alignment import Alignment, LanguageMap, PairSums, check_maps, fit, procrustes
from xdist.model.encoder import load_encoder
from xdist.model.kinds import KINDS
from xdist.model.model import Model
from xdist.tasks.batch import Batch


@pytest.mark.parametrize(
    "x, y, expected, singular, residual",
    [
        ([[1, 0], [0, 1], [1, 1]], [[0, 1], [-1, 0], [-1, 1]], [[0, 1], [-1, 0]], None, 0.0),
        ([[1, 0], [0, 2]], [[0, 1], [1, 0]], [[0, 1], [1, 0]], (2.0, 1.0), 1.0),
    ],
)
def test_procrustes_of_known_vectors(
    x: list[list[float]], y: list[list[float]], expected: list[list[float]], singular: tuple[float, ...] | None, residual: float
) -> None:
    one, other = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    found = procrustes(one.T @ other, float((one**2).sum()), float((other**2).sum()))
    assert torch.allclose(found.matrix, torch.tensor(expected, dtype=torch.float64), atol=1e-12)
    assert found.residual == pytest.approx(residual, abs=1e-12)
    if singular:
        assert found.singular.tolist() == pytest.approx(singular)


def _pairs(rotation: Tensor, number: int, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(number, len(rotation), generator=generator, dtype=torch.float64) + 5
    return x, (x - 2) @ rotation + 1 + noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)


def _summed(x: Tensor, y: Tensor, parts: int = 1) -> PairSums:
    """As so many ranks add them up, each its part."""
    ranks = [PairSums(x.shape[1]) for _ in range(parts)]
    for rank, sums in enumerate(ranks):
        for low in range(0, len(x), 100):
            sums.add(x[low : low + 100][rank::parts], y[low : low + 100][rank::parts])
    for other in ranks[1:]:
        ranks[0].values += other.values
    return ranks[0]


def _rotation(width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))[0]


def test_procrustes_finds_a_rotation_again() -> None:
    rotation = _rotation(8)
    x, y = _pairs(rotation, 6000)
    found = fit(_summed(x, y), "procrustes")
    assert found.matrix is not None
    assert torch.allclose(found.matrix.double(), rotation, atol=1e-6)
    assert torch.allclose(found(x.float()).double(), y, atol=1e-5)
    assert found.facts["distance_after"] < 1e-5 < found.facts["distance_before"]


def test_procrustes_of_parts_is_that_of_the_whole() -> None:
    """What ranks exchange are sums, so how many ranks there are changes rounding alone."""
    x, y = _pairs(_rotation(8), 700, noise=0.5)
    one, four = fit(_summed(x, y), "procrustes"), fit(_summed(x, y, parts=4), "procrustes")
    assert one.matrix is not None
    assert four.matrix is not None
    assert torch.allclose(one.matrix, four.matrix, atol=1e-7)
    assert one.facts["pairs"] == four.facts["pairs"] == 700


def test_procrustes_of_few_pairs_stays_nearer_to_the_identity() -> None:
    x, y = _pairs(_rotation(8), 60, noise=2.0)
    sums = _summed(x, y)
    shrunk = fit(sums, "procrustes")
    whole = procrustes(*sums.about(*sums.means))
    assert shrunk.facts["shrunk"] == pytest.approx(0.1 * float(whole.singular.sum()) / 8)
    assert shrunk.facts["from_identity"] < float((whole.matrix - torch.eye(8)).norm())


def test_a_shift_of_means_puts_one_mean_on_the_other() -> None:
    x, y = _pairs(_rotation(8), 200)
    moved = fit(_summed(x, y), "mean-shift")(x.float())
    assert torch.allclose(moved.mean(0), y.mean(0).float(), atol=1e-4)
    assert torch.allclose(moved - moved.mean(0), (x - x.mean(0)).float(), atol=1e-4)
    with pytest.raises(UserError, match="1 pairs are too few"):
        fit(_summed(x[:1], y[:1]), "mean-shift")


def _model(place: str) -> Model:
    section = ModelSection(backbone=place)
    return Model(load_encoder(section, load_tokenizer(place), torch.float32), {}, 0).eval()


def _mapped_to(model: Model, layer: int, strength: float = 1.0) -> Alignment:
    width = model.width
    turned = LanguageMap(torch.full((width,), 0.1), torch.full((width,), -0.2), _rotation(width).float())
    return Alignment(layer, {"deu_Latn": turned}, strength)


BATCH = [[[0, 5, 6, 7, 2]], [[0, 8, 9, 2]], [[0, 10, 11, 12, 13, 2]]]


def _in(codes: tuple[str, ...], batch: Batch) -> Batch:
    return replace(batch, languages=codes)


@torch.no_grad()
@pytest.mark.parametrize("layer", [1, 3])
@pytest.mark.parametrize("kind", sorted(name for name, kind in KINDS.items() if kind.layers and not kind.languages))
def test_procrustes_maps_the_states_of_its_languages_and_leaves_english(
    folders: Callable[[str], str], kind: str, layer: int
) -> None:
    """At a layer the upper ones go on with what was mapped; a row of English, and of a language without a map, is as it was."""
    model, batch = _model(folders(kind)), batch_of(BATCH)
    before = [model.hidden(_in(("en", "de", "sw"), batch), at) for at in range(4)]
    model.alignment = _mapped_to(model, layer)
    check_maps(model.encoder, layer)
    after = [model.hidden(_in(("en", "de", "sw"), batch), at) for at in range(4)]
    german = batch.token_row == 1
    for at, (one, other) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(one[~german], other[~german]) or torch.allclose(one[~german], other[~german], atol=1e-6)
        assert torch.allclose(one[german], other[german]) == (at < layer)
    expected = _mapped_to(model, layer).maps["deu_Latn"](before[layer][german])
    assert torch.allclose(after[layer][german], expected, atol=1e-4)


@torch.no_grad()
def test_procrustes_of_strength_0_changes_nothing(folders: Callable[[str], str]) -> None:
    model, batch = _model(folders("xlm-roberta")), _in(("de", "en", "de"), batch_of(BATCH))
    before = model.hidden(batch)
    for layer in (1, 2, 3):
        model.alignment = _mapped_to(model, layer, 0.0)
        assert torch.equal(model.hidden(batch), before)
    model.alignment = _mapped_to(model, 3, 0.5)
    whole = model.alignment.maps["deu_Latn"](before)
    assert torch.allclose(model.hidden(batch)[:5], (before + 0.5 * (whole - before))[:5], atol=1e-5)


@torch.no_grad()
def test_procrustes_leaves_english_to_the_bit(folders: Callable[[str], str]) -> None:
    model, batch = _model(folders("xlm-roberta")), _in(("en", "eng_Latn", "en"), batch_of(BATCH))
    before = model.hidden(batch)
    for layer in (1, 2, 3):
        model.alignment = _mapped_to(model, layer)
        assert torch.equal(model.hidden(batch), before)


@pytest.mark.parametrize(
    "kind, layer, message",
    [("xlm-roberta", 4, "no layer 4"), ("xlm-roberta", 0, "no layer 0"), ("albert", 1, "cannot be mapped but the last")],
)
def test_procrustes_where_there_is_no_such_layer(folders: Callable[[str], str], kind: str, layer: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_maps(_model(folders(kind)).encoder, layer)
