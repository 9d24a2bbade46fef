"""Encoders of every kind against transformers' own forward: each hidden layer, and the segments of pairs, packed and padded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from batch_of import batch_of
from tiny_kinds import KINDS, LAYERS, WITH_SEGMENTS
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, PreTrainedTokenizerBase

from xdist.config import Model as ModelSection
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.model import segments
from xdist.model.backbone import check_tokenizer
from xdist.model.encoder import load_encoder
from xdist.model.kinds import KINDS as DESCRIBED
from xdist.model.layers import can_cut
from xdist.model.model import Model
from xdist.tasks.special_tokens import separator

PAIRS = [("Germany euro", "Kenya dollar"), ("Peru", "May foot litre Greek Dutch"), ("Mali", ""), ("", "yen"), ("Oman",), ("",)]


def encoded(tokenizer: PreTrainedTokenizerBase, texts: tuple[str, ...]) -> dict[str, list[int]]:
    """What the tokenizer gives of one of many: called with a single pair, it takes an empty second text for none."""
    many = tokenizer(*([text] for text in texts), return_token_type_ids=True)
    return {name: values[0] for name, values in many.items()}


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_hidden_states_of_every_layer_are_those_of_transformers(folders: Callable[[str], str], kind: str, pack: bool) -> None:
    """Called with a sequence at a time, and with the segments that the kind's tokenizer gives, if the encoder knows two."""
    folder = folders(kind)
    tokenizer = load_tokenizer(folder)
    model = Model(load_encoder(ModelSection(backbone=folder), tokenizer, torch.float32), {}, 1, pack).eval()
    assert model.packed == (pack and DESCRIBED[kind.partition(" ")[0]].packs)
    theirs = AutoModel.from_pretrained(folder).eval()
    inputs = [encoded(tokenizer, texts) for texts in PAIRS]
    if kind not in WITH_SEGMENTS:
        for one in inputs:
            del one["token_type_ids"]
    states = [
        theirs(**{name: torch.tensor([values]) for name, values in one.items()}, output_hidden_states=True).hidden_states
        for one in inputs
    ]
    batch = batch_of([[one["input_ids"]] for one in inputs[:2]] + [[one["input_ids"] for one in inputs[2:]]])
    assert len(states[0]) == LAYERS + 1
    for layer in [*range(LAYERS + 1), None]:
        expected = torch.cat([one[-1 if layer is None else layer][0] for one in states])
        largest = float(expected.abs().max())  # states that no norm has closed yet can be large
        torch.testing.assert_close(model.hidden(batch, layer), expected, atol=1e-5 * max(1.0, largest), rtol=0)


@pytest.mark.parametrize("kind", [kind for kind, described in DESCRIBED.items() if can_cut(described)])
def test_layers_above_are_not_computed(folders: Callable[[str], str], kind: str) -> None:
    folder = folders(kind)
    model = Model(load_encoder(ModelSection(backbone=folder), load_tokenizer(folder), torch.float32), {}, 1).eval()
    before = dict(model.named_modules())
    seen: list[int] = []
    described = DESCRIBED[kind]
    layers: Any = getattr(model.encoder.get_submodule(described.stack or ""), described.layers or "layer_norm2")
    for number, layer in enumerate(layers, 1):
        layer.register_forward_hook(lambda *_, number=number: seen.append(number))
    batch = batch_of([[[2, 8, 9, 3]]])
    for layer, expected in ((2, [1, 2]), (0, [1]), (LAYERS, [1, 2, 3])):
        seen.clear()
        model.hidden(batch, layer)
        assert seen == expected
    with pytest.raises(IndexError):
        model.hidden(batch_of([[[10**6]]]), 1)
    assert dict(model.named_modules()) == before  # complete again in any case


@pytest.mark.parametrize("kind", KINDS)
def test_segments_are_those_that_the_tokenizer_gives(folders: Callable[[str], str], kind: str) -> None:
    tokenizer = load_tokenizer(folders(kind))
    encoder = load_encoder(ModelSection(backbone=folders(kind)), tokenizer, torch.float32)
    inputs = [encoded(tokenizer, texts) for texts in PAIRS]
    found = segments.segments_of(encoder, batch_of([[one["input_ids"] for one in inputs]]))
    if kind not in WITH_SEGMENTS:
        assert found is None
        return
    assert found is not None
    assert found.tolist() == [segment for one in inputs for segment in one["token_type_ids"]]
    assert 0 < found.sum() < len(found)


def test_a_separator_of_several_tokens() -> None:
    rows = [[[0, 7, 2], [2, 5, 2, 2, 6, 2, 2, 2]], [[2, 2, 9], [2], [2, 2]]]
    expected = [0, 0, 0, *(0, 0, 0, 0, 1, 1, 1, 1), *(0, 0, 1), 0, 0, 0]
    assert segments.second_texts(batch_of(rows), (2, 2)).tolist() == expected


@pytest.mark.parametrize(
    "pair, said",
    [
        ("[CLS]:2 $A [SEP] $B:1 [SEP]:1", "the segments [2, 0, 0, 1, 1]"),
        ("[CLS] $A $B:1 [SEP]:1", "the segments [0, 0, 1, 1]"),
        ("[CLS] $A [SEP] $B:1 [SEP]", "the segments [0, 0, 0, 1, 0]"),
    ],
)
def test_segments_that_cannot_be_given_are_refused(folders: Callable[[str], str], tmp_path: Path, pair: str, said: str) -> None:
    """For an encoder that has learnt them; to any other they do not matter."""
    tokenizer = load_tokenizer(folders("bert"))
    marks = [(mark, tokenizer.convert_tokens_to_ids(mark)) for mark in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", pair, marks)
    config: Any = AutoModel.from_pretrained(folders("bert")).config
    with pytest.raises(UserError) as error:
        check_tokenizer("place", config, tokenizer)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    config.type_vocab_size = 1
    check_tokenizer("place", config, tokenizer)


def test_a_template_of_one_segment_has_no_separator(folders: Callable[[str], str]) -> None:
    assert {kind: separator(load_tokenizer(folders(kind))) for kind in ("xlm-roberta", "roberta", "camembert")} == {
        "xlm-roberta": (),
        "roberta": (),
        "camembert": (),
    }
