"""Models that were fine-tuned elsewhere: their logits are those of transformers' own class, and others are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_finetuned import model_of, shuffled, tiny_finetuned
from tiny_kinds import KINDS, WITH_SEGMENTS, tiny_kind
from tiny_words import arrays
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from xdist.data.batches import collate
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.formats.examples import Choice, Classified, Question, Tagged
from xdist.model.finetuned import CLASSES
from xdist.model.folder import carry_heads
from xdist.model.model import Model
from xdist.tasks.batch import View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

WORDS = ("Germany", "euro", "Kenya", "litre")
OPTIONS = ("Kenya", "Peru Chad", "old dollar franc")
# Of each family a task, an example, and what a tokenizer is called with for each sequence of the example's row.
CASES: dict[str, tuple[str, Any, list[tuple[Any, ...]]]] = {
    "classification": ("xnli", Classified(texts=("Germany euro", "Kenya dollar")), [("Germany euro", "Kenya dollar")]),
    "multiple-choice": ("siqa", Choice(prompt="Mali", options=OPTIONS), [("Mali", option) for option in OPTIONS]),
    "tagging": ("udpos", Tagged(words=WORDS), [(list(WORDS),)]),
    "span-qa": ("squad", Question(key="k", id="k", question="Mali?", context="Oman, Mali"), [("Mali?", "Oman, Mali")]),
}
# What transformers has no class for, and the one class whose head is not made here: XLM's scores options by class scores.
NONE = {("eurobert", "multiple-choice"), ("eurobert", "span-qa")}
OTHERS = {("xlm", "multiple-choice")}
OURS = {(kind, family) for kind in KINDS for family in CLASSES} - OTHERS - NONE


def theirs(model: PreTrainedModel, folder: Path, kind: str, family: str, texts: list[tuple[Any, ...]]) -> Tensor:
    """The logits of transformers' class, called with what the folder's tokenizer gives of these texts."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    options = {"is_split_into_words": True} if family == "tagging" else {}
    encoded = tokenizer(
        *map(list, zip(*texts, strict=True)), return_token_type_ids=True, padding=True, return_tensors="pt", **options
    )
    inputs = {name: value for name, value in encoded.items() if name != "token_type_ids" or kind in WITH_SEGMENTS}
    if family == "multiple-choice":
        return model(**{name: value[None] for name, value in inputs.items()}).logits.T
    found = model(**inputs)
    if family == "span-qa":
        return torch.stack([found.start_logits[0], found.end_logits[0]], -1)
    if family == "tagging":
        words = encoded.word_ids(0)
        return found.logits[0, [words.index(number) for number in range(len(WORDS))]]
    return found.logits


@pytest.mark.parametrize("kind, family", sorted(OURS))
@torch.no_grad()
def test_logits_are_those_of_transformers(tmp_path: Path, kind: str, family: str) -> None:
    """In the order of the task's labels, for any order of the outputs."""
    name, example, texts = CASES[family]
    labels = shuffled(name)
    folder = tiny_kind(tmp_path / "model", kind)
    expected = theirs(tiny_finetuned(folder, family, labels), folder, kind, family, texts)
    if labels:
        expected = expected[:, [labels.index(label) for label in task(name).labels]]
    encoder = model_of(folder).encoder
    for pack in (False, True):
        model = Model(encoder, {task(name).head: family_of(task(name))}, 1, pack).eval()
        assert carry_heads(str(folder), model, needed=True) == ([task(name).head], [])
        made = model.families[task(name).head]
        made.joining = "separate"  # as the tokenizer that is called with a list of words has them
        (row,) = arrays(made.encode([example], load_tokenizer(str(folder)), 64))
        (found,) = model(View(collate([row], [0], made)))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind, family", sorted(OTHERS))
def test_a_head_of_another_make_is_refused_where_it_is_needed(tmp_path: Path, kind: str, family: str) -> None:
    name = CASES[family][0]
    folder = tiny_kind(tmp_path / "model", kind)
    made = tiny_finetuned(folder, family, task(name).labels)
    model = model_of(folder, name)
    with pytest.raises(UserError) as error:
        carry_heads(str(folder), model, needed=True)
    assert str(error.value).startswith(f"{folder}: {type(made).__name__} ")
    assert "\n" not in str(error.value)
    assert carry_heads(str(folder), model) == ([], [type(made).__name__])  # in training its encoder is still of use
