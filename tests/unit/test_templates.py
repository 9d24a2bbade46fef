"""Templates that add nothing, only a beginning, only an end; padding that has no token or that of the end: nothing is read off
ids; the blank that a piece begins with is no part of an answer."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bpe import byte_level, gemma_like, llama2_like, llama3_like
from tiny_words import arrays
from transformers import AutoModel, EuroBertConfig, PreTrainedTokenizerBase

from xdist.config import Model as ModelSection
from xdist.data.batches import collate
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.formats.examples import Answer, Choice, Classified, Line, Question, Sentence, Tagged
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.robust.words import WordPieces
from xdist.tasks.batch import View
from xdist.tasks.catalog import task
from xdist.tasks.family import Row, family_of
from xdist.tasks.special_tokens import around_pair, around_text

TEXTS = ["The cat sat on the mat . Germany , France and Kenya have the euro ; né à Łódź"] * 20
TEMPLATES = ["$A", "<bos> $A", "$A <eos>", "<bos> $A <eos>"]
templates = pytest.mark.parametrize("template", TEMPLATES)
KINDS = {
    "gemma": gemma_like,
    "llama 2": llama2_like,
    "llama 3": llama3_like,
    "byte-level": byte_level,
    "byte-level with a first blank": partial(byte_level, prefix=True),
}


@templates
def test_what_stands_round_texts(template: str) -> None:
    tokenizer = gemma_like(TEXTS, template=template)
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("the cat", "Kenya"))
    before, after = around_text(tokenizer)
    assert [*before, *first, *after] == tokenizer("the cat")["input_ids"]
    before, between, after = around_pair(tokenizer)
    assert [*before, *first, *between, *second, *after] == tokenizer("the cat", "Kenya")["input_ids"]


@templates
def test_rows_of_every_family(template: str) -> None:
    """No row loses a token of its text, and a cut one ends as every text does."""
    tokenizer = gemma_like(TEXTS, template=template)
    after = around_text(tokenizer)[1]
    text = "The cat sat on the mat ."

    def rows(name: str, example: object, length: int = 64) -> list[Row]:
        return list(family_of(task(name)).encode([example], tokenizer, length))

    whole = tokenizer(text)["input_ids"]
    (row,) = rows("udpos", Tagged(words=tuple(text.split()), tags=("X",) * 7))
    assert row["tokens"] == whole
    (row,) = rows("tatoeba", ("english", Sentence(id="1", text=text)))
    assert row["tokens"] == whole
    (row,) = rows("tatoeba", ("english", Sentence(id="1", text=text)), 6)
    assert row["tokens"] == [*whole[: 6 - len(after)], *after]
    assert row["cut"] == len(whole) - 6
    (row,) = rows("xnli", Classified(texts=(text, "Kenya"), label="entailment"))
    assert row["tokens"] == tokenizer(text, "Kenya")["input_ids"]
    (row,) = rows("copa", Choice(prompt=text, options=("Kenya", "né"), label=1))
    assert row["tokens"] == tokenizer(text, "Kenya")["input_ids"] + tokenizer(text, "né")["input_ids"]
    (row,) = rows("mlm", Line(number=1, text=text, new=True))
    assert row["tokens"].tolist() == whole
    question = Question(key="a", id="a", question="Kenya", context=text, answers=(Answer(start=4, text="cat"),))
    (row,) = rows("xquad", question)
    assert row["tokens"] == tokenizer("Kenya", text)["input_ids"]
    assert tokenizer.decode(row["tokens"][row["start"] : row["end"] + 1]).strip() == "cat"


@templates
def test_words_of_texts_in_templates(template: str) -> None:
    tokenizer = gemma_like(TEXTS, template=template)
    vocabulary = WordPieces(tokenizer)
    family = family_of(task("tatoeba"))
    (row,) = arrays(family.encode([("english", Sentence(id="1", text="The cat sat"))], tokenizer, 64))
    words = vocabulary.words(row, family)
    assert (words.text.tolist(), words.index.tolist(), words.free.all()) == ([0] * 3, [0, 1, 2], True)
    family = family_of(task("copa"))
    (row,) = arrays(family.encode([Choice(prompt="The cat", options=("Kenya", "né à"), label=1)], tokenizer, 64))
    if "<eos>" not in template:
        with pytest.raises(UserError, match="its tokenizer puts nothing between two texts, words run together"):
            vocabulary.words(row, family)
        return
    words = vocabulary.words(row, family)
    assert words.text.tolist() == [0, 0, 1, 0, 0, 1, 1]
    assert words.index.tolist() == [0, 1, 2, 0, 1, 2, 3]


# --- answers -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_found_and_begin_with_no_blank(kind: str) -> None:
    tokenizer = KINDS[kind](TEXTS)
    family = family_of(task("xquad"))
    context = "The cat sat on the mat .\tGermany , France and\nKenya né à Łódź"
    for answer in ("cat", "The", "the mat", "France and\nKenya", "né à Łódź", "Germany"):
        given = Answer(start=context.index(answer), text=answer)
        question = Question(key="a", id="a", question="Kenya", context=context, answers=(given,))
        (row,) = family.encode([question], tokenizer, 256)
        low, high = (row[name] - row["context"] for name in ("start", "end"))
        spans = np.array([[1.0, row["begins"][low], row["ends"][high]]])
        assert family.finish([spans], Table([row]), [question]) == {"a": answer}


class Table:
    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.rows])


# --- padding -------------------------------------------------------------------------------------------------------------
def no_padding() -> PreTrainedTokenizerBase:
    return byte_level(TEXTS, template="<s> $A", pad=None)


@pytest.mark.parametrize("make", [llama3_like, no_padding, llama2_like])
def test_a_batch_gives_what_its_rows_give_alone(tmp_path: Path, make: object) -> None:
    """EuroBERT pads with the token that ends texts; Llama has none. With dropout off a row's states depend on it alone."""
    tokenizer = make(TEXTS) if make is not no_padding else no_padding()  # type: ignore[operator]
    assert tokenizer.pad_token_id in (None, tokenizer.eos_token_id)
    tokenizer.save_pretrained(tmp_path)
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        AutoModel.from_config(EuroBertConfig(vocab_size=len(tokenizer), **shape, **ids)).save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    encoder = load_encoder(ModelSection(backbone=str(tmp_path)), loaded, torch.float32)
    family = family_of(task("xnli"))
    model = Model(encoder, {"xnli": family}, seed=1).eval()
    eos = loaded.eos_token
    pairs = [("The cat", "Kenya"), (f"the mat {eos} {eos} Germany", eos), ("né", f"{eos} France and Kenya have the euro")]
    rows = arrays(family.encode([Classified(texts=pair, label="neutral") for pair in pairs], loaded, 64))
    batch = collate(rows, range(3), family)
    with torch.no_grad():
        (together,) = model(View(batch))
        alone = torch.cat([model(View(collate([row], [0], family)))[0] for row in rows])
    assert torch.allclose(together, alone, atol=1e-5)
    _, mask = batch.padded(model.pad)
    assert mask.sum(1).tolist() == [len(row["tokens"]) for row in rows]
