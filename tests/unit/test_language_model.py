"""Masked language modelling: no token lost, masks that belong to the row, a head that is transformers' own."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_benchmark, tiny_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerBase

from xdist.config import Model as ModelSection
from xdist.data.batches import collate
from xdist.data.masking import Masking
from xdist.data.tokenizer import load_tokenizer
from xdist.formats.examples import Line
from xdist.model.encoder import load_encoder
from xdist.model.language_head import load_language_heads
from xdist.model.model import Model
from xdist.model.vocabulary import activate_rows
from xdist.tasks.batch import Batch, View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of
from xdist.tasks.large_vocabulary import cross_entropies, of_states_alone

FAMILY = family_of(task("mlm"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language-model")
    root = tiny_benchmark(folder / "benchmark")
    for kind in ("xlm-roberta", "bert"):
        tiny_model(folder / kind, root, kind=kind)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(folder / "xlm-roberta"))


WORDS = ["Germany", "France", "old", "new", "euro", "dollar", "January", "metre"]
LINES = [Line(number=n + 1, text=" ".join(WORDS[: 1 + n % 8] * (1 + n % 3)), new=n % 7 == 0) for n in range(40)]


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
@pytest.mark.parametrize("max_length", [8, 21, 512])
def test_no_token_is_lost_and_none_comes_twice(folder: Path, kind: str, max_length: int) -> None:
    own = load_tokenizer(str(folder / kind))
    rows = list(FAMILY.encode(LINES, own, max_length))
    first, last = own.cls_token_id, own.sep_token_id
    assert all(row["tokens"][0] == first and row["tokens"][-1] == last for row in rows)
    assert all(len(row["tokens"]) <= max_length and row["lengths"] == [len(row["tokens"])] for row in rows)
    found = [token for row in rows for token in row["tokens"][1:-1].tolist()]
    assert found == [token for line in LINES for token in own(line.text, add_special_tokens=False)["input_ids"]]
    # Sequences of a document are full except for its last one, and none holds two documents.
    begins = [row["example"] for row in rows]
    assert begins == sorted(begins)
    assert sum(len(row["tokens"]) < max_length for row in rows) <= sum(line.new for line in LINES)
    for line in LINES:
        assert not line.new or line.number - 1 in begins


def test_parallel_text_is_one_sequence_of_two_texts(tokenizer: PreTrainedTokenizerBase) -> None:
    pairs = [Line(number=3, text="Kenya", new=True, translation="old Kenya"), Line(number=4, text="a", translation="b " * 30)]
    short, long = family_of(task("tlm")).encode(pairs, tokenizer, 12)
    assert list(short["tokens"]) == tokenizer("Kenya", "old Kenya")["input_ids"]
    assert short["example"] == 2
    assert (len(long["tokens"]), long["cut"]) == (12, len(tokenizer("a", "b " * 30)["input_ids"]) - 12)


def rows_of(tokenizer: PreTrainedTokenizerBase, count: int = 300) -> list[dict]:
    lines = [Line(number=n, text=" ".join(WORDS * 2), new=True) for n in range(count)]
    return list(FAMILY.encode(lines, tokenizer, 64))


def by_row(batch: Batch) -> dict[int, list[int]]:
    return {int(id): batch.tokens[batch.token_row == place].tolist() for place, id in enumerate(batch.row_ids)}


def test_fifteen_percent_of_them_eighty_ten_ten(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = rows_of(tokenizer)
    plain = collate(rows, range(len(rows)), FAMILY)
    batch = Masking(tokenizer, seed=1)(plain, [0] * len(rows))
    masked, label = batch.targets["masked"], batch.targets["label"]
    special = torch.tensor(tokenizer.all_special_ids)
    ordinary = int((~torch.isin(plain.tokens, special)).sum())
    assert torch.equal(plain.tokens[masked], label)
    assert not torch.isin(label, special).any()
    untouched = torch.ones(len(plain.tokens), dtype=torch.bool)
    untouched[masked] = False
    assert torch.equal(plain.tokens[untouched], batch.tokens[untouched])
    assert len(masked) / ordinary == pytest.approx(0.15, abs=0.01)
    shown = batch.tokens[masked]
    as_mask, same = shown == tokenizer.mask_token_id, shown == label
    assert as_mask.float().mean() == pytest.approx(0.8, abs=0.03)
    assert same.float().mean() == pytest.approx(0.1, abs=0.03)
    drawn = shown[~as_mask & ~same]
    assert not torch.isin(drawn, special).any()
    assert len(set(drawn.tolist())) > 0.5 * len(drawn)  # over the complete vocabulary, not a few


def test_masks_belong_to_seed_row_and_epoch(tokenizer: PreTrainedTokenizerBase) -> None:
    rows, masking = rows_of(tokenizer, 20), Masking(tokenizer, seed=1)
    ids = list(range(100, 120))
    together = by_row(masking(collate(rows, ids, FAMILY), [3] * 20))
    for place in range(20):
        assert by_row(masking(collate([rows[place]], [ids[place]], FAMILY), [3])) == {ids[place]: together[ids[place]]}
    assert len({tuple(tokens) for tokens in together.values()}) == 20
    mixed = by_row(masking(collate(rows, ids, FAMILY), [3] * 10 + [4] * 10))
    assert [mixed[id] == together[id] for id in ids] == [True] * 10 + [False] * 10
    other = by_row(Masking(tokenizer, seed=2)(collate(rows, ids, FAMILY), [3] * 20))
    assert all(other[id] != together[id] for id in ids)


def test_every_row_has_a_masked_token_where_it_has_any(tokenizer: PreTrainedTokenizerBase) -> None:
    lines = [Line(number=n, text="euro", new=True) for n in range(50)]
    rows = list(FAMILY.encode(lines, tokenizer, 16))
    rows.append({"tokens": np.array([tokenizer.cls_token_id, tokenizer.sep_token_id]), "lengths": [2]})
    batch = Masking(tokenizer, seed=1)(collate(rows, range(51), FAMILY), [0] * 51)
    assert set(batch.token_row[batch.targets["masked"]].tolist()) == set(range(50))


def model_of(backbone: str) -> Model:
    encoder = load_encoder(ModelSection(backbone=backbone), load_tokenizer(backbone), torch.float32)
    return Model(encoder, {"mlm": FAMILY}, seed=1).eval()


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_the_head_of_a_checkpoint_is_taken(folder: Path, tokenizer: PreTrainedTokenizerBase, kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = AutoModelForMaskedLM.from_pretrained(folder / kind).eval()
    torch.nn.init.normal_(whole.lm_head.bias if kind == "xlm-roberta" else whole.cls.predictions.bias)
    whole.save_pretrained(tmp_path)
    load_tokenizer(str(folder / kind)).save_pretrained(tmp_path)
    model = model_of(str(tmp_path))
    assert load_language_heads(str(tmp_path), model, []) == ["mlm"]
    own = load_tokenizer(str(tmp_path))
    rows = list(FAMILY.encode(LINES[:5], own, 64))
    batch = Masking(own, seed=1)(collate(rows, range(len(rows)), FAMILY), [0] * len(rows))
    ids, mask = batch.padded(model.pad)
    with torch.no_grad():
        expected = whole(input_ids=ids, attention_mask=mask).logits.flatten(0, 1)[batch.padded_index][batch.targets["masked"]]
        (found,) = model(View(batch))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert FAMILY.loss(found, batch) == pytest.approx(
        float(torch.nn.functional.cross_entropy(expected, batch.targets["label"], reduction="sum")), rel=1e-5
    )


def test_a_checkpoint_without_one_gets_one_that_is_tied(folder: Path) -> None:
    model = model_of(str(folder / "xlm-roberta"))
    assert load_language_heads(str(folder / "xlm-roberta"), model, []) == []
    assert model.heads["mlm"].decoder is model.embedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert [name for name in names if "decoder" in name] == []
    assert "heads.mlm.bias" in names


@pytest.mark.parametrize("logits", [1, 7 * 50, 10**9], ids=["a position at a time", "the last part smaller", "all at once"])
@pytest.mark.parametrize("frozen", [False, True])
def test_the_loss_in_parts_is_the_plain_one(logits: int, frozen: bool) -> None:
    draw = torch.Generator().manual_seed(4)
    shapes = ((17, 8), (50, 8), (50,))
    plain = [torch.randn(shape, generator=draw).requires_grad_() for shape in shapes]
    plain[1].requires_grad_(not frozen)
    parts = [value.detach().clone().requires_grad_(value.requires_grad) for value in plain]
    labels = torch.randint(0, 50, (17,), generator=draw)
    expected = torch.nn.functional.cross_entropy(torch.nn.functional.linear(*plain), labels, reduction="none")
    found = cross_entropies(*parts, labels, logits)
    torch.testing.assert_close(found, expected)
    (3 * expected).sum().backward()
    (3 * found).sum().backward()
    for ours, theirs in zip(parts, plain, strict=True):
        if theirs.grad is None:
            assert ours.grad is None
        else:
            torch.testing.assert_close(ours.grad, theirs.grad)
    with torch.no_grad():
        torch.testing.assert_close(cross_entropies(*parts, labels, logits), expected.detach())


def test_in_training_the_head_gives_its_loss_but_where_predictions_are_compared(folder: Path) -> None:
    model = model_of(str(folder / "xlm-roberta"))
    tokenizer = load_tokenizer(str(folder / "xlm-roberta"))
    rows = list(FAMILY.encode(LINES[:5], tokenizer, 64))
    batch = Masking(tokenizer, seed=1)(collate(rows, range(len(rows)), FAMILY), [0] * len(rows))
    (logits,) = model(View(batch))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    (loss,) = model.train()(View(batch))
    assert loss.ndim == 1
    torch.testing.assert_close(FAMILY.loss(loss, batch), FAMILY.loss(logits, batch))
    compared = family_of(FAMILY.task)
    compared.compared = True
    model.families["mlm"] = compared
    (found,) = model(View(batch))
    torch.testing.assert_close(found, logits)


@pytest.mark.parametrize("split", [False, True], ids=["all rows trained", "those of the texts trained"])
def test_the_active_softmax_is_over_the_pieces_of_the_texts_and_special_ones(folder: Path, split: bool) -> None:
    """The loss and its gradients are those of logits everywhere, of which the others are taken out."""
    place = str(folder / "xlm-roberta")
    tokenizer = load_tokenizer(place)
    rows = list(FAMILY.encode(LINES[:9], tokenizer, 64))
    held = np.unique(np.concatenate([*(row["tokens"] for row in rows), np.array(tokenizer.all_special_ids)]))
    pieces = torch.from_numpy(held)
    batch = Masking(tokenizer, seed=1, among=held)(collate(rows, range(len(rows)), FAMILY), [0] * len(rows))
    assert torch.isin(batch.tokens, pieces).all(), "what replaces a piece at random is one of them too"
    plain = collate(rows, range(len(rows)), FAMILY)
    labels = plain.tokens[batch.targets["masked"]]
    assert torch.equal(pieces[batch.targets["label"]], labels)

    whole, model = model_of(place), model_of(place)
    torch.nn.init.normal_(whole.heads["mlm"].bias)
    if split:
        assert activate_rows(model.encoder, pieces)
        model = Model(model.encoder, {"mlm": FAMILY}, seed=1)
    model.heads["mlm"].bias.data.copy_(whole.heads["mlm"].bias)
    model.heads["mlm"].restrict(pieces, model.embedding.place if split else None)
    assert (model.heads["mlm"].rows is None) == split, "nothing is looked up where the table holds these rows alone"
    for made in (whole, model):
        for module in made.train().modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    (everywhere,) = whole.eval()(View(batch))
    whole.train()
    left = torch.full(everywhere.shape[-1:], -torch.inf).index_fill(0, pieces, 0)
    expected = torch.nn.functional.cross_entropy(everywhere + left, labels, reduction="sum")
    (losses,) = model(View(batch))
    torch.testing.assert_close(losses.sum(), expected)
    expected.backward()
    losses.sum().backward()
    ours, theirs = model.embedding.weight.grad, whole.embedding.weight.grad
    assert ours is not None
    assert theirs is not None
    torch.testing.assert_close(
        ours if len(ours) == len(theirs) else theirs.new_zeros(theirs.shape).index_copy(0, pieces, ours), theirs
    )
    torch.testing.assert_close(model.heads["mlm"].bias.grad, whole.heads["mlm"].bias.grad)
    (compared,) = model.eval()(View(batch))
    torch.testing.assert_close(compared, everywhere[:, pieces])


def test_a_look_at_the_loss_makes_no_product_for_the_matrix(folder: Path) -> None:
    """The gradient of what is shifted is the same; of three products over the vocabulary two are left."""
    draw = torch.Generator().manual_seed(4)
    states, weight, bias = (torch.randn(shape, generator=draw).requires_grad_() for shape in ((6, 8), (50, 8), (50,)))
    labels = torch.arange(6)

    def product(_sum: list[int], left: list[int], right: list[int], **_options: object) -> int:
        return 2 * left[0] * left[1] * right[1]

    in_place = {torch.ops.aten.addmm_: product}  # which the counter does not know

    def slope(alone: bool) -> tuple[torch.Tensor, int]:
        counting = FlopCounterMode(display=False, custom_mapping=in_place)
        with of_states_alone() if alone else nullcontext(), counting as counter:
            (found,) = torch.autograd.grad(cross_entropies(states, weight, bias, labels).sum(), states)
        return found, counter.get_total_flops()

    (plain, three), (found, two) = slope(False), slope(True)
    torch.testing.assert_close(found, plain, rtol=0, atol=0)
    assert (two, three - two) == (2 * 2 * 6 * 8 * 50, 2 * 6 * 8 * 50)
    with pytest.raises(RuntimeError, match=r"does not require grad|not have been used"):
        with of_states_alone():
            torch.autograd.grad(cross_entropies(states, weight, bias, labels).sum(), weight)
