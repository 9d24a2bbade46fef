"""The active vocabulary: lookups and updates are those of the complete table, and which rows are trained is decided by the
data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from resolved_of import data_of, prepared_of
from tiny import tiny_benchmark, tiny_model
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from xdist.config import load_run
from xdist.data.histogram import HISTOGRAM
from xdist.data.tokenizer import load_tokenizer
from xdist.data.vocabulary import used_rows
from xdist.model.vocabulary import ActiveEmbedding, activate_rows, active_rows, merge_rows
from xdist.robust.rewriting import rewriters

RUN = """\
name: vocabulary
folder: out
model: {{backbone: {folder}/encoder}}
data: {{root: {folder}/data, cache: {folder}/prepared}}
train: {{tasks: [{{task: cldr-topic, languages: [en, de]}}], steps: 1}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocabulary")
    root = tiny_benchmark(folder / "data")
    (root / "mlm").mkdir()
    (root / "mlm/en.txt").write_text("Kenya\n")
    (folder / "synonyms.json").write_text('{"old": ["Kenyasw", "Peru"], "new": ["eurosw"]}')
    (folder / "dictionaries").mkdir()
    (folder / "dictionaries/en-sw.txt").write_text("old Kenyasw\nnew eurosw\n")
    tiny_model(folder / "encoder", root)
    (folder / "run.yaml").write_text(RUN.format(folder=folder))
    return folder


@pytest.fixture
def pieces(place: Path) -> Callable[..., np.ndarray | None]:
    """What `used_rows` says of a run with other options."""

    def found(*overrides: str) -> np.ndarray | None:
        run = load_run(place / "run.yaml", overrides)
        tokenizer = load_tokenizer(run.model.backbone)
        preparation = prepared_of(run, tokenizer)
        preparation.make_missing()
        return used_rows(run.model, data_of(run, preparation, rewriters(run.methods, tokenizer, 1, None)), tokenizer)

    return found


def test_the_pieces_are_those_of_the_training_rows_and_special_ones(
    pieces: Callable[..., np.ndarray | None], place: Path
) -> None:
    found = pieces()
    tokenizer = load_tokenizer(str(place / "encoder"))
    used = set(tokenizer.all_special_ids)
    for code in ("en", "de"):
        lines = (place / f"data/cldr-topic/train-{code}.tsv").read_text(encoding="utf-8").splitlines()
        used.update(*tokenizer([line.split("\t")[0] for line in lines])["input_ids"])
    assert found is not None
    assert found.tolist() == sorted(used)
    assert len(found) < len(tokenizer)
    for histogram in (place / "prepared").glob(f"*/{HISTOGRAM}"):
        histogram.unlink()  # as of a set that was prepared before there were any
    again = pieces()
    assert again is not None
    assert again.tolist() == found.tolist()


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.vocabulary=full"],
        ["model.freeze_embeddings=true"],
        ["train.tasks=[{task: cldr-topic}, {task: mlm}]"],
        ["train.tasks=[{task: cldr-topic}, {task: mlm}]", "model.vocabulary=full", "train.mlm={softmax: active}"],
        ["robust={method: substitution, lookup: folded, synonyms: {place}/synonyms.json}"],
    ],
)
def test_where_any_piece_may_come_all_rows_are_trained(
    pieces: Callable[..., np.ndarray | None], place: Path, overrides: list[str]
) -> None:
    assert pieces(*(text.replace("{place}", str(place)) for text in overrides)) is None


def test_a_language_model_over_the_pieces_of_its_texts_leaves_the_other_rows(
    pieces: Callable[..., np.ndarray | None], place: Path
) -> None:
    found = pieces("train.tasks=[{task: cldr-topic}, {task: mlm}]", "train.mlm={softmax: active}")
    alone = pieces("train.tasks=[{task: mlm}]", "train.mlm={softmax: active}")
    tokenizer = load_tokenizer(str(place / "encoder"))
    assert alone is not None
    assert found is not None
    assert alone.tolist() == sorted({*tokenizer.all_special_ids, *tokenizer("Kenya")["input_ids"]})
    assert set(alone.tolist()) < set(found.tolist())


ENGLISH = "train.tasks=[{task: cldr-topic}]"
REWRITING = {
    "substitution": "{method: substitution, synonyms: {place}/synonyms.json}",
    "code-switch": "{method: code_switch, probability: 0.5, languages: [sw], dictionaries: {place}/dictionaries}",
    "subword": "{method: subword, probability: 0.5}",
}


@pytest.mark.parametrize("names", [[name] for name in REWRITING] + [["code-switch", "subword"]], ids="-".join)
def test_what_words_are_rewritten_to_is_told_beforehand(
    place: Path, pieces: Callable[..., np.ndarray | None], names: list[str]
) -> None:
    robust = "robust=[" + ", ".join(REWRITING[name].replace("{place}", str(place)) for name in names) + "]"
    plain, found = pieces(ENGLISH), pieces(ENGLISH, robust)
    run = load_run(place / "run.yaml", [ENGLISH, robust, "train.steps=20"])
    tokenizer = load_tokenizer(run.model.backbone)
    data = data_of(run, prepared_of(run, tokenizer), rewriters(run.methods, tokenizer, 1, None))
    seen = {token for number in range(20) for batch in data.step(number, 0, 1) for token in batch.tokens.tolist()}
    assert plain is not None
    assert found is not None
    assert seen - set(plain.tolist())
    assert seen <= set(found.tolist())
    assert set(plain.tolist()) <= set(found.tolist())
    assert len(found) < len(tokenizer)


IDS = torch.tensor([0, 2, 3, 5, 8, 9, 30, 31, 33])


@pytest.fixture(params=["xlm-roberta", "bert"])
def encoders(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[PreTrainedModel, PreTrainedModel]:
    """The same encoder twice, the second with an active vocabulary."""
    tiny_model(tmp_path / "encoder", tiny_benchmark(tmp_path / "data"), kind=request.param)
    whole, split = (AutoModel.from_pretrained(tmp_path / "encoder", add_pooling_layer=False) for _ in range(2))
    assert activate_rows(split, IDS)
    return whole, split


def updated(model: PreTrainedModel, decay: float) -> dict[str, Tensor]:
    """The state of `model` after updates on IDS, some of which no step uses."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    made = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=decay)
    draw = torch.Generator().manual_seed(1)
    for _ in range(5):
        ids = IDS[torch.randint(0, 7, (4, 6), generator=draw)]
        ids[:, -1] = model.config.pad_token_id
        made.zero_grad()
        model(ids, attention_mask=(ids != model.config.pad_token_id).long()).last_hidden_state.square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        made.step()
    return dict(model.state_dict())


def test_any_id_is_looked_up_and_only_active_ones_in_training(encoders: tuple[PreTrainedModel, PreTrainedModel]) -> None:
    whole, split = (encoder.get_input_embeddings() for encoder in encoders)
    ids = torch.arange(2 * whole.num_embeddings).view(2, -1) % whole.num_embeddings
    assert torch.equal(split.eval()(ids), whole(ids))
    assert torch.equal(split.train()(IDS), whole(IDS))
    with pytest.raises(IndexError):
        split(ids)


def test_updates_are_those_of_the_whole_table(encoders: tuple[PreTrainedModel, PreTrainedModel]) -> None:
    before = encoders[0].get_input_embeddings().weight.detach().clone()
    whole, split = (updated(encoder, 0.0) for encoder in encoders)
    assert {name: ids.tolist() for name, ids in active_rows(split).items()} == {
        "embeddings.word_embeddings.weight": sorted({*IDS.tolist(), encoders[0].config.pad_token_id})
    }
    assert len(split["embeddings.word_embeddings.weight"]) < len(before) / 10
    found = merge_rows(encoders[1], split)
    assert found.keys() == whole.keys()
    for name, value in whole.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0)
    others = torch.ones(len(before), dtype=torch.bool)
    others[IDS] = False
    assert torch.equal(found["embeddings.word_embeddings.weight"][others], before[others])


def test_weight_decay_shrinks_only_rows_that_are_trained(encoders: tuple[PreTrainedModel, PreTrainedModel]) -> None:
    before = encoders[0].get_input_embeddings().weight.detach().clone()
    name = "embeddings.word_embeddings.weight"
    whole, split = updated(encoders[0], 0.1)[name], merge_rows(encoders[1], updated(encoders[1], 0.1))[name]
    trained = torch.isin(torch.arange(len(before)), encoders[1].get_input_embeddings().active)
    torch.testing.assert_close(split[trained], whole[trained], atol=1e-6, rtol=0)
    assert torch.equal(split[~trained], before[~trained])
    torch.testing.assert_close(whole[~trained], before[~trained] * (1 - 1e-2 * 0.1) ** 5)


def test_an_embedding_that_is_more_than_a_table_stays_whole(encoders: tuple[PreTrainedModel, PreTrainedModel]) -> None:
    whole, split = encoders
    assert not activate_rows(split, IDS)
    assert isinstance(split.get_input_embeddings(), ActiveEmbedding)
    assert not activate_rows(whole, torch.arange(whole.config.vocab_size))
