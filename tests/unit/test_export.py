"""xdist export: what transformers loads gives the logits of the run's model."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from batch_of import batch_of
from click.testing import CliRunner, Result
from huggingface_hub import ModelCard
from tiny import tiny_benchmark, tiny_model
from tiny_finetuned import tiny_finetuned
from tiny_kinds import tiny_kind
from tiny_words import arrays
from transformers import AutoModel, AutoTokenizer

from xdist.cli import main
from xdist.config import load_run
from xdist.data.batches import collate
from xdist.data.tokenizer import load_tokenizer
from xdist.files import write_json
from xdist.formats.examples import Choice, Classified, Question
from xdist.model.encoder import load_encoder
from xdist.model.folder import carry_heads, save_model
from xdist.model.model import Model
from xdist.tasks.batch import View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

# Task, class in transformers, (positions x labels) of one row of six tokens.
KINDS = [
    ("cldr-topic", "AutoModelForSequenceClassification"),
    ("siqa", "AutoModelForMultipleChoice"),
    ("cldr-spans", "AutoModelForTokenClassification"),
    ("squad", "AutoModelForQuestionAnswering"),
]
TOKENS = [0, 30, 31, 50, 42, 2]
# Tasks of two texts, and of each family an example with what a tokenizer is called with for it.
PAIR_TASKS = [
    ("xnli", "AutoModelForSequenceClassification"),
    ("siqa", "AutoModelForMultipleChoice"),
    ("squad", "AutoModelForQuestionAnswering"),
]
OPTIONS = ("Kenya", "Peru Chad", "old dollar franc")
EXAMPLES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "classification": (Classified(texts=("Germany euro", "Kenya dollar"), label=None), ("Germany euro", "Kenya dollar")),
    "multiple-choice": (Choice(prompt="Germany yen", options=OPTIONS, label=None), (["Germany yen"] * 3, list(OPTIONS))),
    "span-qa": (
        Question(key="k", id="k", question="Mali?", context="Oman peso, Mali", answers=None),
        ("Mali?", "Oman peso, Mali"),
    ),
}


def make_run(folder: Path, backbone: Path, tasks: list[str], seed: int = 1) -> Model:
    """A run that says it trained `tasks`, with random heads."""
    described = {
        "name": folder.name,
        "folder": str(folder),
        "seed": seed,
        "model": {"backbone": str(backbone)},
        "data": {"root": str(backbone.parent)},
        "train": {"tasks": [{"task": name} for name in tasks], "steps": 5},
    }
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(described))
    run = load_run(folder / "config.yaml")
    tokenizer = load_tokenizer(str(backbone))
    encoder = load_encoder(run.model, tokenizer, torch.float32)
    model = Model(encoder, {task(name).head: family_of(task(name)) for name in tasks}, seed).eval()
    save_model(folder / "model", model, dict(model.state_dict()), tokenizer)
    return model


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("export")
    tiny_benchmark(folder / "cldr")
    return {kind: tiny_model(folder / kind, folder / "cldr", kind=kind) for kind in ("xlm-roberta", "bert")}


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words)])


def outputs(model: Any, kind: str) -> torch.Tensor:
    tokens = torch.tensor([TOKENS])
    if kind == "AutoModelForMultipleChoice":
        return model(input_ids=tokens[None]).logits
    found = model(input_ids=tokens)
    return torch.stack([found.start_logits[0], found.end_logits[0]], -1) if "Question" in kind else found.logits[0]


@pytest.mark.parametrize("encoder", ["xlm-roberta", "bert"])
@pytest.mark.parametrize("name, kind", KINDS)
@torch.no_grad()
def test_transformers_gives_the_same_logits(
    tmp_path: Path, places: dict[str, Path], encoder: str, name: str, kind: str
) -> None:
    model = make_run(tmp_path / "run", places[encoder], [name])
    about = {"family": "", "split": "test", "metric": "f1", "trained_on": [], "mean": {"f1": 12.5}}
    languages = {"sw": {"f1": 12.5, "count": 9}, "yo": {"count": 9}}  # the last without gold
    write_json(tmp_path / "run" / "scores.json", {"run": "a", "tasks": {name: {**about, "languages": languages}}})
    done = typed(tmp_path / "run", tmp_path / "out")
    assert done.exit_code == 0, done.output
    hidden = model.hidden(batch_of([[TOKENS]]))
    expected = model.heads[task(name).head](hidden)
    loaded, report = getattr(transformers, kind).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    found = outputs(loaded.eval(), kind)
    expected = expected[:1] if task(name).family in ("classification", "multiple-choice") else expected
    assert torch.allclose(found.reshape(expected.shape), expected, atol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == load_tokenizer(str(places[encoder])).get_vocab()
    card = (tmp_path / "out" / "README.md").read_text()
    for text in (f"- {name}: en", f"| {name} | test | f1 | sw | 12.50 |", "mean over 1 of 2 languages | 12.50 |"):
        assert text in card
    front = ModelCard(card).data
    assert front.language == ["en", "sw"]
    (result,) = front.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_args) == ("f1", 12.5, {"language": "sw"})


def test_the_mean_of_runs_and_the_encoder_alone(tmp_path: Path, places: dict[str, Path]) -> None:
    models = [make_run(tmp_path / f"seed{seed}", places["xlm-roberta"], ["cldr-topic", "cldr-spans"], seed) for seed in (1, 2)]
    with torch.no_grad():
        for parameter in models[1].encoder.parameters():
            parameter.add_(0.25)
    tokenizer = load_tokenizer(str(places["xlm-roberta"]))
    save_model(tmp_path / "seed2" / "model", models[1], dict(models[1].state_dict()), tokenizer)
    runs = (tmp_path / "seed1", tmp_path / "seed2")
    assert "several heads" in typed(*runs, tmp_path / "out").stderr
    done = typed(*runs, tmp_path / "out", "--head", "none")
    assert done.exit_code == 0, done.output
    loaded = AutoModel.from_pretrained(tmp_path / "out", add_pooling_layer=False).state_dict()
    for name, value in models[0].encoder.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(loaded[name], value + 0.125, atol=1e-6), name


@pytest.mark.parametrize(
    "words, said",
    [
        (["--tag", "bset"], "did you mean 'best'?"),
        (["--tag", "last"], "holds no checkpoint"),
        (["--average", "2"], "holds 0 checkpoints (runtime.keep=2)"),
        (["--average", "2", "--tag", "last"], "leave --tag out"),
        (["--head", "cldr-topics"], "did you mean 'cldr-topic'?"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path: Path, places: dict[str, Path], words: list[str], said: str) -> None:
    make_run(tmp_path / "run", places["xlm-roberta"], ["cldr-topic", "cldr-spans"])
    done = typed(tmp_path / "run", tmp_path / "out", *words)
    assert (done.exit_code, said in done.stderr, len(done.stderr.splitlines())) == (2, True, 1)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_overwritten(tmp_path: Path, places: dict[str, Path]) -> None:
    make_run(tmp_path / "run", places["xlm-roberta"], ["cldr-topic"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    done = typed(tmp_path / "run", tmp_path / "out")
    assert (done.exit_code, "already exists" in done.stderr) == (2, True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_the_card_tells_every_run_that_trained_the_model(tmp_path: Path, places: dict[str, Path]) -> None:
    make_run(tmp_path / "intermediate", places["xlm-roberta"], ["cldr-spans"])
    make_run(tmp_path / "target", tmp_path / "intermediate" / "model", ["cldr-topic"])
    described = yaml.safe_load((tmp_path / "target" / "config.yaml").read_text())
    described["robust"] = {"method": "adversarial", "radius": 0.25, "steps": 2}
    described["train"]["tasks"] = [{"task": "cldr-topic", "languages": ["de", "sw"]}]
    (tmp_path / "target" / "config.yaml").write_text(yaml.safe_dump(described))
    done = typed(tmp_path / "target", tmp_path / "out")
    assert done.exit_code == 0, done.output
    card = (tmp_path / "out" / "README.md").read_text()
    front = ModelCard(card).data
    assert front.base_model is None  # a folder of this machine, which others do not have
    assert "it began with an encoder whose name on the hub is not recorded, so `base_model` is missing" in card
    assert front.language == ["de", "en", "sw"]
    written = [path.read_text() for path in (tmp_path / "out").glob("*") if path.suffix in (".md", ".json")]
    assert not [text for text in written if str(tmp_path) in text]
    first, second = card.index("## Training, 1 of 2: intermediate"), card.index("## Training, 2 of 2: target")
    assert first < card.index("- cldr-spans: en") < second < card.index("- cldr-topic: de, sw")
    assert "robust training: adversarial (radius 0.25, norm l2" in card[second:]


# Of each kind what transformers' own class of it can hold.
PAIRS = [
    *((kind, name, auto) for kind in ("bert", "rembert", "albert", "xlm-roberta-xl") for name, auto in PAIR_TASKS),
    *((kind, name, auto) for kind in ("electra", "modernbert", "distilbert", "deberta-v2") for name, auto in PAIR_TASKS),
    ("eurobert", *PAIR_TASKS[0]),
]


@pytest.mark.parametrize("encoder, name, kind", PAIRS)
@torch.no_grad()
def test_pairs_have_the_same_logits_when_the_exported_tokenizer_encodes_them(
    tmp_path: Path, encoder: str, name: str, kind: str
) -> None:
    """Rows are made by the run's family, the model is called with what the folder's own tokenizer gives by itself."""
    made = task(name)
    model = make_run(tmp_path / "run", tiny_kind(tmp_path / encoder, encoder), [name])
    done = typed(tmp_path / "run", tmp_path / "out")
    assert done.exit_code == 0, done.output
    family, tokenizer = family_of(made), load_tokenizer(str(tmp_path / encoder))
    example, texts = EXAMPLES[made.family]
    (row,) = arrays(family.encode([example], tokenizer, 64))
    (expected,) = model(View(collate([row], [0], family)))
    inputs = AutoTokenizer.from_pretrained(tmp_path / "out")(*texts, return_tensors="pt", padding=True)
    loaded = getattr(transformers, kind).from_pretrained(tmp_path / "out").eval()
    if made.family == "multiple-choice":
        inputs = {name: values[None] for name, values in inputs.items()}
    found = loaded(**inputs)
    if made.family == "span-qa":
        logits = torch.stack([found.start_logits[0], found.end_logits[0]], -1)
    else:
        logits = found.logits.reshape(expected.shape)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    # The folder that training leaves is loaded by `AutoModel`, with the same inputs.
    trained = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")(*texts)
    assert trained.keys() == inputs.keys()


@pytest.mark.parametrize(
    "encoder, name, said",
    [
        ("xlm", "siqa", "XLMForMultipleChoice has other layers than head 'choice'"),
        ("eurobert", "squad", "transformers has no AutoModelForQuestionAnswering of 'eurobert'"),
    ],
)
def test_a_head_of_another_make_is_refused_and_its_encoder_written(tmp_path: Path, encoder: str, name: str, said: str) -> None:
    model = make_run(tmp_path / "run", tiny_kind(tmp_path / encoder, encoder), [name])
    done = typed(tmp_path / "run", tmp_path / "out")
    assert (done.exit_code, done.stderr) == (2, f"xdist: {said}; export the encoder alone (--head none)\n")
    assert not (tmp_path / "out").exists()
    done = typed(tmp_path / "run", tmp_path / "out", "--head", "none")
    assert done.exit_code == 0, done.output
    loaded, report = AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.encoder.state_dict().items())


def test_a_head_that_an_earlier_version_trained_is_not_taken_for_the_kind_s_own(tmp_path: Path) -> None:
    """Versions before gave every kind the head of RoBERTa: it is scored as it was trained, and fits no class of ELECTRA's."""
    backbone = tiny_kind(tmp_path / "electra", "electra")
    model = make_run(tmp_path / "run", backbone, ["xnli"])
    plain = model.families["xnli"].head(model.width, 0.1).eval()
    model.heads["xnli"] = plain
    save_model(tmp_path / "run" / "model", model, dict(model.state_dict()), load_tokenizer(str(backbone)))
    fresh = Model(model.encoder, model.families, 5).eval()
    assert carry_heads(str(tmp_path / "run" / "model"), fresh) == (["xnli"], [])
    batch = batch_of([[TOKENS]], head="xnli")
    assert torch.equal(fresh(View(batch))[0], plain(model.hidden(batch)[:1]))
    done = typed(tmp_path / "run", tmp_path / "out")
    said = "ElectraForSequenceClassification computes something other than head 'xnli' from the same weights"
    assert (done.exit_code, said in done.stderr) == (2, True)


def test_an_answer_has_two_ends_whatever_the_backbone_was_fine_tuned_for(tmp_path: Path) -> None:
    backbone = tiny_kind(tmp_path / "bert", "bert")
    tiny_finetuned(backbone, "classification", task("xnli").labels)
    make_run(tmp_path / "run", backbone, ["squad"])
    done = typed(tmp_path / "run", tmp_path / "out")
    assert done.exit_code == 0, done.output
    loaded = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out")
    assert loaded.qa_outputs.out_features == loaded.config.num_labels == 2
