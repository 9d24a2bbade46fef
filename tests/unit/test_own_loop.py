"""`perturbed_loss` on models of transformers: its gradients are those of xdist's own training of the same rows."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pages import ROOT
from passes_of import context_of, trained
from registered import forgetting
from tiny import NAMES
from tiny_finetuned import model_of, tiny_finetuned
from tiny_kinds import tiny_kind
from tiny_words import arrays
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, PreTrainedModel

from xdist import plugins
from xdist.config.method import METHODS as METHODS_THERE
from xdist.config.robust import in_order
from xdist.errors import UserError
from xdist.formats.examples import Answer, Choice, Classified, Question, Tagged
from xdist.model.exchange import names_in_transformers
from xdist.model.folder import carry_heads
from xdist.model.model import Model
from xdist.robust import perturbed_loss
from xdist.robust.own_loop import _Given, _of_configuration
from xdist.tasks.batch import Batch
from xdist.tasks.catalog import task

WORDS = [word for words in NAMES.values() for word in words.split()]
TASKS = {"classification": "pawsx", "tagging": "udpos", "multiple-choice": "siqa", "span-qa": "squad"}
METHODS: dict[str, Any] = {
    "adversarial": {"method": "adversarial", "radius": 0.3, "steps": 2},
    "adversarial, cubes": {"method": "adversarial", "radius": 0.1, "norm": "linf", "ball": "token", "clean": 0.25},
    "adversarial, kl": {"method": "adversarial", "radius": 0.3, "loss": "kl", "random_start": True},
    "free": {"method": "free", "radius": 0.3, "steps": 3},
    "random": {"method": "random", "radius": 0.3, "draws": 2},
    "random, embedding": {"method": "random", "radius": 0.3, "place": "embedding", "distribution": "gaussian"},
    "random, last": {"method": "random", "radius": 0.3, "place": "last", "draws": 2, "perturb_special": True},
    "consistency": {"method": "consistency", "scale": 0.05, "weight": 2},
    "several": [
        {"method": "random", "radius": 0.2, "place": "embedding"},
        {"method": "free", "radius": 0.2, "steps": 3},
        {"method": "consistency", "weight": 2, "clean": 0.5, "stop_gradient": True},
    ],
}


@dataclass
class Pair:
    """A model of transformers and the same one as xdist has it, and how a parameter of xdist's is called there."""

    theirs: PreTrainedModel
    ours: Model
    tokenizer: Any
    names: dict[str, str]


Made = Callable[[str, str], Pair]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    found: dict[tuple[str, str], Pair] = {}

    def make(kind: str, family: str) -> Pair:
        if (kind, family) not in found:
            folder, name = tmp_path_factory.mktemp("model") / "model", TASKS[family]
            model = tiny_finetuned(tiny_kind(folder, kind), family, task(name).labels)
            ours = model_of(folder, name)
            assert carry_heads(str(folder), ours, needed=True) == ([task(name).head], [])
            head, base = task(name).head, model.base_model_prefix
            names = {f"encoder.{one}": f"{base}.{one}" for one, _ in ours.encoder.named_parameters()}
            theirs = names_in_transformers(getattr(transformers, type(model).__name__), model.config, ours.families[head])
            names |= {f"heads.{head}.{one}": other for one, other in theirs.items()}
            found[kind, family] = Pair(model, ours, AutoTokenizer.from_pretrained(folder), names)
        return found[kind, family]

    return make


def rows_of(pair: Pair, family: str, lengths: Sequence[int]) -> tuple[dict[str, Tensor], Batch]:
    """Rows of texts of this many words: as a user of transformers makes a batch of them, and as xdist does. Texts of as many
    words are of as many tokens: the same ones in another order."""
    texts = [(WORDS[row:length] + WORDS[:row])[:length] for row, length in enumerate(lengths)]
    (head, own), tokenizer = next(iter(pair.ours.families.items())), pair.tokenizer
    labels, options = own.task.labels, {"padding": True, "return_tensors": "pt"}
    if family == "classification":
        pairs = [(" ".join(words), " ".join(words[::-1])) for words in texts]
        examples: list[Any] = [Classified(texts=pair, label=labels[row % len(labels)]) for row, pair in enumerate(pairs)]
        batch = dict(tokenizer([one for one, _ in pairs], [two for _, two in pairs], **options))
        batch["labels"] = torch.tensor([row % len(labels) for row in range(len(texts))])
    elif family == "tagging":
        tags = [[(row + word) % len(labels) for word in range(len(words))] for row, words in enumerate(texts)]
        examples = [
            Tagged(words=tuple(words), tags=tuple(labels[tag] for tag in row)) for words, row in zip(texts, tags, strict=True)
        ]
        encoded = tokenizer(texts, is_split_into_words=True, **options)
        found = torch.full_like(encoded["input_ids"], -100)
        for row, numbers in enumerate(tags):
            for word, tag in enumerate(numbers):
                found[row, encoded.word_ids(row).index(word)] = tag
        batch = {**encoded, "labels": found}
    elif family == "multiple-choice":
        prompts = [" ".join(words) for words in texts]
        choices = [(" ".join(words[:1]), " ".join(words), "and") for words in texts]
        examples = [
            Choice(prompt=prompt, options=offered, label=row % 3)
            for row, (prompt, offered) in enumerate(zip(prompts, choices, strict=True))
        ]
        flat = tokenizer([one for one in prompts for _ in range(3)], [one for offered in choices for one in offered], **options)
        batch = {name: value.unflatten(0, (-1, 3)) for name, value in flat.items()}
        batch["labels"] = torch.tensor([row % 3 for row in range(len(texts))])
    else:
        asked = [(" ".join(words[::-1]), " ".join(words)) for words in texts]
        examples = [
            Question(key=str(row), id=str(row), question=question, context=context, answers=(last,))
            for row, (question, context) in enumerate(asked)
            for last in [Answer(text=context.split()[-1], start=context.rindex(" ") + 1)]
        ]
        batch = dict(tokenizer([one for one, _ in asked], [two for _, two in asked], **options))
    rows = arrays(own.encode(examples, tokenizer, 128))
    if family == "span-qa":
        batch |= {f"{end}_positions": torch.tensor([row[end] for row in rows]) for end in ("start", "end")}
    ours = Batch(
        head,
        torch.tensor([token for row in rows for token in row["tokens"]]),
        torch.tensor([int(length) for row in rows for length in row["lengths"]]),
        torch.tensor([number for number, row in enumerate(rows) for _ in row["lengths"]]),
        torch.arange(len(rows)),
        own.targets(rows),
    )
    assert torch.equal(ours.tokens, batch["input_ids"][batch["attention_mask"].bool()])
    assert bool(batch["attention_mask"].all()) == (len(set(lengths)) == 1 and family != "multiple-choice")
    return batch, ours


def own_training(pair: Pair, batch: Batch, method: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of a step of xdist's, by the names of the other model."""
    context = context_of(pair.ours, batch, step=4, steps=10)
    context = replace(context, special_ids=torch.tensor(pair.tokenizer.all_special_ids))
    pair.ours.zero_grad()
    count = pair.ours.families[batch.head].count(batch)
    loss = trained(pair.ours, in_order(_Given(method=method).method), context)
    return loss / count, {pair.names[name]: value.grad / count for name, value in parameters(pair.ours).items()}


def number(*given: Any, **options: Any) -> float:
    return float(perturbed_loss(*given, **options).detach())


def parameters(model: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in model.named_parameters() if value.grad is not None}


def compare(pair: Pair, batch: dict[str, Tensor], ours: Batch, method: Any) -> None:
    expected, slopes = own_training(pair, ours, method)
    pair.theirs.zero_grad()
    loss = perturbed_loss(pair.theirs, batch, method, step=4, seed=1, steps=10)
    loss.backward()
    assert loss.shape == ()
    torch.testing.assert_close(loss.detach(), expected, atol=1e-5, rtol=1e-5)
    found = {name: value.grad for name, value in parameters(pair.theirs).items()}
    assert found.keys() == slopes.keys()
    norm = float(torch.stack([slope.norm() for slope in slopes.values()]).norm())
    for name, slope in slopes.items():
        assert float((found[name] - slope).abs().max()) < 1e-5 * max(norm, 1), name


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("lengths", [(5, 5, 5), (2, 6, 1, 9)], ids=["without padding", "padded"])
@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_gradients_are_those_of_a_run(made: Made, kind: str, lengths: Sequence[int], method: Any) -> None:
    pair = made(kind, "classification")
    compare(pair, *rows_of(pair, "classification", lengths), method)


@pytest.mark.parametrize("method", ["adversarial", "adversarial, kl", "free", "consistency"])
@pytest.mark.parametrize("family", ["tagging", "multiple-choice", "span-qa"])
@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_gradients_of_every_family(made: Made, kind: str, family: str, method: str) -> None:
    """Of answers without padding: there the loss of transformers is over all places, that of xdist over those of the window."""
    pair = made(kind, family)
    lengths = (4, 4, 4) if family == "span-qa" else (2, 6, 1)
    compare(pair, *rows_of(pair, family, lengths), METHODS[method])


@pytest.mark.parametrize("method", ["adversarial", "free", "several"])
@pytest.mark.parametrize("autocast", [False, True])
def test_a_loop_in_fp16_climbs_as_one_in_fp32(made: Made, method: str, autocast: bool) -> None:
    pair = made("xlm-roberta", "classification")
    batch, _ = rows_of(pair, "classification", (2, 6, 1))
    expected = number(pair.theirs, batch, METHODS[method], step=4, seed=1, steps=10)
    model = deepcopy(pair.theirs) if autocast else deepcopy(pair.theirs).half()
    with torch.autocast("cpu", torch.float16, enabled=autocast):
        assert number(model, batch, METHODS[method], step=4, seed=1, steps=10) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    "nothing", ["none", [], {"method": "adversarial", "radius": 0}, [{"method": "free", "steps": 0}, "none"]], ids=str
)
def test_where_nothing_moves_it_is_the_model_s_own_loss(made: Made, nothing: Any) -> None:
    pair = made("xlm-roberta", "classification")
    batch, _ = rows_of(pair, "classification", (2, 6, 1))
    pair.theirs.zero_grad()
    plain = pair.theirs(**batch).loss
    plain.backward()
    slopes = {name: value.grad.clone() for name, value in parameters(pair.theirs).items()}
    pair.theirs.zero_grad()
    loss = perturbed_loss(pair.theirs, batch, nothing)
    loss.backward()
    assert torch.equal(loss, plain)
    assert all(torch.equal(value.grad, slopes[name]) for name, value in parameters(pair.theirs).items())


@pytest.mark.parametrize("method", ["adversarial", "random, embedding", "several"])
def test_padding_may_stand_on_either_side(made: Made, method: str) -> None:
    pair = made("xlm-roberta", "tagging")
    batch, _ = rows_of(pair, "tagging", (2, 6, 1))
    lengths = batch["attention_mask"].sum(-1).tolist()
    turned = {
        name: torch.stack([row.roll(-length) for row, length in zip(value, lengths, strict=True)])
        for name, value in batch.items()
    }
    assert turned["attention_mask"][0, 0] == 0
    losses = [perturbed_loss(pair.theirs, one, METHODS[method]) for one in (batch, turned)]
    torch.testing.assert_close(*losses)


def test_draws_are_those_of_step_and_seed_and_row(made: Made) -> None:
    pair = made("bert", "classification")
    batch, _ = rows_of(pair, "classification", (2, 6, 1))

    def loss(**options: int) -> float:
        return number(pair.theirs, batch, METHODS["random"], **options)

    assert loss() == loss(step=0, seed=0, steps=7)
    assert len({loss(), loss(step=1), loss(seed=1)}) == 3


def test_a_method_of_one_s_own_knows_the_number_of_steps(made: Made, tmp_path: Path) -> None:
    with forgetting():
        _fading_knows_the_number_of_steps(made, tmp_path)


def _fading_knows_the_number_of_steps(made: Made, tmp_path: Path) -> None:
    plugins.pinned(str(ROOT / "tests/third_party/fading.py"))
    (tmp_path / "sizes.txt").write_text("0.5 0.1")
    pair = made("bert", "classification")
    batch, _ = rows_of(pair, "classification", (2, 6, 1))
    fading = METHODS_THERE.get("fading").model_validate({"method": "fading", "sizes": tmp_path / "sizes.txt"})
    losses = [number(pair.theirs, batch, fading, step=3, steps=steps) for steps in (3, 4, 8)]
    assert losses[0] == pytest.approx(float(pair.theirs(**batch).loss.detach()))  # faded
    assert abs(losses[2] - losses[0]) > abs(losses[1] - losses[0]) > 0


def test_the_same_dropout_in_every_forward(made: Made) -> None:
    """Without noise the two predictions that are compared then differ in nothing."""
    pair = made("xlm-roberta", "classification")
    batch, _ = rows_of(pair, "classification", (2, 6, 1))
    model, losses = pair.theirs.train(), []
    for same in (True, False):
        torch.manual_seed(3)
        losses.append(perturbed_loss(model, batch, {"method": "consistency", "scale": 0, "same_dropout": same}))
    torch.manual_seed(3)
    plain = model(**batch).loss
    model.eval()
    torch.testing.assert_close(losses[0], plain)
    assert abs(losses[1] - plain).item() > 1e-3


def test_what_trains_goes_through_what_wraps_the_model_and_looks_do_not(made: Made) -> None:
    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module, self.calls = module, 0

        def forward(self, **batch: Any) -> Any:
            self.calls += 1
            return self.module(**batch)

    pair = made("bert", "classification")
    batch, _ = rows_of(pair, "classification", (2, 6, 1))
    wrapper = Wrapper(pair.theirs)
    for method, calls in (("adversarial", 1), ("free", 3), ("consistency", 2)):
        wrapper.calls = 0
        loss = perturbed_loss(wrapper, batch, METHODS[method])
        assert wrapper.calls == calls
        torch.testing.assert_close(loss, perturbed_loss(pair.theirs, batch, METHODS[method]))


def test_a_loop_of_anybody_s_learns(made: Made) -> None:
    pair = made("xlm-roberta", "tagging")
    batch, _ = rows_of(pair, "tagging", (2, 6, 1, 5))
    model = deepcopy(pair.theirs).train()
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=4e-3), []
    for step in range(60):
        loss = perturbed_loss(model, batch, {"method": "free", "radius": 0.1}, step=step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_special_tokens(made: Made) -> None:
    """Those that are given; of the tokenizer in addition to the weights; that the configuration names; and else none is
    guessed."""
    pair = made("bert", "classification")
    batch, _ = rows_of(pair, "classification", (2, 6, 1))
    given = number(pair.theirs, batch, "adversarial", special_ids=pair.tokenizer.all_special_ids)
    assert given == number(pair.theirs, batch, "adversarial")
    assert given != number(pair.theirs, batch, "adversarial", special_ids=())
    assert _of_configuration({"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}) == [0, 1, 2]
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    nameless = BertForSequenceClassification(BertConfig(vocab_size=len(pair.tokenizer), **shape))
    with pytest.raises(UserError, match=r"nothing says which tokens of this bert model are special: give special_ids=tok"):
        perturbed_loss(nameless, batch, "adversarial")
    perturbed_loss(nameless, batch, {"method": "adversarial", "perturb_special": True}).backward()
    perturbed_loss(nameless, batch, "none")


def test_mistakes_are_one_line(made: Made) -> None:
    pair = made("bert", "classification")
    batch, _ = rows_of(pair, "classification", (2, 6, 1))
    model = pair.theirs
    unlabelled = {name: value for name, value in batch.items() if name != "labels"}
    cases: list[tuple[Any, Any, Any, str]] = [
        (
            model,
            batch,
            "adverserial",
            r"perturbed_loss: method\.method: unknown method 'adverserial': did you mean 'adversarial'",
        ),
        (model, batch, {"method": "free", "radios": 1}, r"unknown key 'radios': did you mean 'radius'"),
        (model, batch, ["consistency", "free"], r"perturbed_loss: method: consistency comes last"),
        (model, batch, [{"method": "free", "radius": -1}], r"perturbed_loss: method\.0\.radius: Input should be greater"),
        (model, batch, {"method": "subword"}, r"perturbed_loss: 'subword' puts texts into other words, and a batch holds none"),
        (
            model,
            batch,
            "branch_mixture",
            r"perturbed_loss: 'branch_mixture' mixes branches, which a model of transformers has not",
        ),
        (
            model,
            unlabelled,
            "free",
            r"perturbed_loss: BertForSequenceClassification returns no loss for this batch: does it hold",
        ),
        (model, {"labels": batch["labels"]}, "free", r"perturbed_loss: the batch has no input_ids of \(rows, tokens\)"),
        (model, {**batch, "attention_mask": torch.ones(3, 1)}, "free", r"attention_mask is \(3, 1\), input_ids are \(3, "),
        (nn.Linear(2, 2), batch, "free", r"perturbed_loss: Linear is no model of transformers"),
        (torch.compile(model), batch, "free", r"perturbed_loss: the model is compiled"),
    ]
    for one, given, method, said in cases:
        with pytest.raises(UserError, match=said) as error:
            perturbed_loss(one, given, method)
        assert "\n" not in str(error.value)
    regression = deepcopy(model)
    regression.num_labels, regression.config.problem_type = 1, "regression"
    regression.classifier = nn.Linear(32, 1)
    with pytest.raises(UserError, match="this method compares predictions: it needs labels of classes, or answers"):
        perturbed_loss(regression, {**batch, "labels": torch.rand(3)}, "consistency")
    perturbed_loss(regression, {**batch, "labels": torch.rand(3)}, "free").backward()
