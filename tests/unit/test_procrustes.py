"""Alignment in closed form: known vectors, recovery of a rotation, English as it was, where the maps enter the model."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from batch_of import batch_of
from tiny_words import arrays
from torch import Tensor

from xdist.config import Model as ModelSection
from xdist.config.align import Align
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.evaluation.fitting import Ranks, WordTable, _add, fit_maps
from xdist.formats.examples import Line
from xdist.model.alignment import Alignment, LanguageMap, PairSums, check_maps, fit_map, procrustes
from xdist.model.encoder import load_encoder
from xdist.model.kinds import KINDS
from xdist.model.model import Model
from xdist.robust.word_links import DictionaryLinks, make_linker
from xdist.tasks.batch import Batch
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of


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
    """As this many ranks add them up, each its part."""
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
    found = fit_map(_summed(x, y), "procrustes")
    assert found.matrix is not None
    assert torch.allclose(found.matrix.double(), rotation, atol=1e-6)
    assert torch.allclose(found(x.float()).double(), y, atol=1e-5)
    assert found.facts["distance_after"] < 1e-5 < found.facts["distance_before"]


def test_procrustes_of_parts_is_that_of_the_whole() -> None:
    """What ranks exchange are sums, so how many ranks there are changes rounding alone."""
    x, y = _pairs(_rotation(8), 700, noise=0.5)
    one, four = fit_map(_summed(x, y), "procrustes"), fit_map(_summed(x, y, parts=4), "procrustes")
    assert one.matrix is not None
    assert four.matrix is not None
    assert torch.allclose(one.matrix, four.matrix, atol=1e-7)
    assert one.facts["pairs"] == four.facts["pairs"] == 700


def test_procrustes_of_few_pairs_stays_nearer_to_the_identity() -> None:
    x, y = _pairs(_rotation(8), 60, noise=2.0)
    sums = _summed(x, y)
    shrunk = fit_map(sums, "procrustes")
    whole = procrustes(*sums.sums_about(*sums.means))
    assert shrunk.facts["shrunk"] == pytest.approx(0.1 * float(whole.singular.sum()) / 8)
    assert shrunk.facts["from_identity"] < float((whole.matrix - torch.eye(8)).norm())


def test_a_shift_of_means_puts_one_mean_on_the_other() -> None:
    x, y = _pairs(_rotation(8), 200)
    moved = fit_map(_summed(x, y), "mean-shift")(x.float())
    assert torch.allclose(moved.mean(0), y.mean(0).float(), atol=1e-4)
    assert torch.allclose(moved - moved.mean(0), (x - x.mean(0)).float(), atol=1e-4)
    with pytest.raises(UserError, match="1 pairs are too few"):
        fit_map(_summed(x[:1], y[:1]), "mean-shift")


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
    """At a layer the upper ones continue with what was mapped; a row of English, and of a language without a map, is as it
    was."""
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


class Rows:
    """Rows of parallel text, as shards give them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.tokens = rows, np.array([len(row["tokens"]) for row in rows])

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, number: int) -> dict[str, Any]:
        return self.rows[number]

    def length(self, number: int) -> int:
        return int(self.tokens[number])


class Prepared:
    """What a fit needs of prepared sets."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def shards(self, subsets: Any) -> list[Rows]:
        return [self._rows for _ in subsets]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["dictionaries", "links"])
def test_procrustes_of_words_by_hand(folders: Callable[[str], str], tmp_path: Path, kind: str) -> None:
    """Of links each pair is a row, of a dictionary each entry, its words the mean of all their places; a word is the mean of
    its pieces. On two ranks the sums are those of one."""
    place = folders("xlm-roberta")
    tokenizer, model = load_tokenizer(place), _model(place)
    texts = [("Mali Oman", "Oman Mali"), ("Oman Peru Mali", "Mali Peru"), ("Peru", "Peru Chad")]
    family = family_of(task("parallel"))
    lines = [Line(number=at, text=one, new=True, translation=other) for at, (one, other) in enumerate(texts, start=1)]
    rows = Rows(arrays(family.encode(lines, tokenizer, 64)))
    (tmp_path / "en-de.txt").write_text("Mali\tMali\noman\toman\nPeru\tPeru\nchad\tchad\n")
    (tmp_path / "de-en.links").write_text("0-1 1-0\n1-1 2-0\n0-0\n")
    linked = make_linker(Align(tasks=({"task": "parallel"},), **{kind: str(tmp_path)}), tokenizer, ["de"])
    vectors: dict[tuple[int, str], list[Tensor]] = defaultdict(list)
    pairs = []
    for one, other in texts:
        found = []
        for side, text in enumerate((one, other)):
            encoded = tokenizer(text)
            states = model.hidden(batch_of([[encoded["input_ids"]]]), 2)
            words = encoded.word_ids()
            for at, word in enumerate(text.split()):
                vector = states[[place for place, number in enumerate(words) if number == at]].mean(0)
                vectors[side, word].append(vector)
                found.append((side, word, vector))
        pairs += [
            (x, y) for side, word, x in found for other_side, same, y in found if (side, other_side, word) == (0, 1, same)
        ]
    if kind == "dictionaries":
        pairs = [tuple(torch.stack(vectors[side, word]).mean(0) for side in (0, 1)) for word in ("Mali", "Oman", "Peru")]
    expected = PairSums(model.width)
    expected.add(*(torch.stack(side) for side in zip(*pairs, strict=True)))

    subset = Subset(task("parallel"), "train", "de")
    parts: list[Tensor] = []
    for rank, world in ((0, 1), (0, 2), (1, 2)):
        sums = PairSums(model.width)
        table = WordTable(linked, "de", model.width, torch.device("cpu")) if isinstance(linked, DictionaryLinks) else None
        _add(sums, table or linked, model, subset, rows, 2, 12, Ranks(rank, world))
        parts.append(table.values if table else sums.values)
    if isinstance(linked, DictionaryLinks):
        for number, values in enumerate((parts[0], parts[1] + parts[2])):
            table = WordTable(linked, "de", model.width, torch.device("cpu"))
            table.values += values
            parts[number] = (one := PairSums(model.width)).values
            one.add(*table.pairs())
    else:
        parts[1] = parts[1] + parts[2]
    for values in parts[:2]:
        assert int(values[0]) == len(pairs) == (3 if kind == "dictionaries" else 5)
        assert torch.allclose(values, expected.values, atol=1e-5, rtol=1e-4)
    if kind == "dictionaries":
        found = fit_maps(model, Prepared(rows), [subset], "procrustes", 2, 64, Ranks(), linked)  # type: ignore[arg-type]
        assert torch.allclose(found.maps["de"].matrix, fit_map(expected, "procrustes").matrix, atol=1e-4)  # type: ignore[arg-type]
