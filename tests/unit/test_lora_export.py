"""A run's LoRA adapter taken away: merged into one complete model, or kept, as PEFT loads it."""

from pathlib import Path

import pytest
import torch
import transformers
import yaml
from batch_of import batch_of
from click.testing import CliRunner
from tiny import tiny_benchmark, tiny_model
from torch import Tensor

from xdist.cli import main
from xdist.config import Model as ModelSection
from xdist.config import load_run
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.evaluation.loading import load_for_evaluation
from xdist.model.adapters.held import trained_of
from xdist.model.encoder import load_encoder
from xdist.model.folder import save_model
from xdist.model.model import Model
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

KINDS = {
    "cldr-topic": "AutoModelForSequenceClassification",
    "cldr-spans": "AutoModelForTokenClassification",
    "squad": "AutoModelForQuestionAnswering",
}
TOKENS = [0, 30, 31, 50, 42, 2]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora-export")
    tiny_benchmark(folder / "cldr")
    return tiny_model(folder / "encoder", folder / "cldr")


def made_run(folder: Path, backbone: Path, name: str, kind: str = "lora") -> Model:
    """A run that says it trained an adapter on a task, with random weights."""
    adapter = {"kind": kind, "rank": 3}
    described = {
        "name": folder.name,
        "folder": str(folder),
        "model": {"backbone": str(backbone), "adapter": adapter},
        "data": {"root": str(backbone.parent)},
        "train": {"tasks": [{"task": name}], "steps": 5},
    }
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(described))
    run, tokenizer = load_run(folder / "config.yaml"), load_tokenizer(str(backbone))
    encoder = load_encoder(run.model, tokenizer, torch.float32, 1)
    own = trained_of(encoder)
    assert own
    for value in own.parameters().values():
        value.data = 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(value.numel()))
    model = Model(encoder, {task(name).head: family_of(task(name))}, 1).eval()
    model.stands_on = (str(backbone), "then")
    state = {key: value.detach() for key, value in model.named_parameters() if model.is_saved(key)}
    save_model(folder / "model", model, state, tokenizer)
    return model


def exported(*words: object) -> None:
    result = CliRunner().invoke(main, ["export", *map(str, words)])
    assert result.exit_code == 0, result.output


def outputs(model: Model, name: str) -> Tensor:
    batch = batch_of([[TOKENS]], head=task(name).head)
    with torch.no_grad():
        return model.heads[task(name).head](model.hidden(batch))


def theirs(model: transformers.PreTrainedModel) -> Tensor:
    with torch.no_grad():
        found = model.eval()(input_ids=torch.tensor([TOKENS]))
    return torch.stack([found.start_logits, found.end_logits], -1)[0] if "start_logits" in found else found.logits


@pytest.mark.parametrize("name", KINDS)
def test_lora_merged_and_kept_give_the_logits_of_the_run(backbone: Path, tmp_path: Path, name: str) -> None:
    model = made_run(tmp_path / "run", backbone, name)
    expected = outputs(model, name)
    if name == "cldr-topic":
        expected = expected[:1]
    exported(tmp_path / "run", tmp_path / "whole")
    auto = getattr(transformers, KINDS[name])
    torch.testing.assert_close(
        theirs(auto.from_pretrained(tmp_path / "whole")).view_as(expected), expected, atol=1e-5, rtol=1e-5
    )
    exported(tmp_path / "run", tmp_path / "lora", "--adapter", "kept")
    section = ModelSection.model_validate({"backbone": str(backbone), "adapter": {"folder": str(tmp_path / "lora")}})
    labels = tuple(reversed(task(name).labels)) or None
    tokenizer, subset = load_tokenizer(str(backbone)), Subset(task(name), "test", "en")
    if labels:
        with pytest.raises(UserError, match=r"nothing says which output .* give model\.labels"):
            load_for_evaluation(section, tokenizer, [subset], torch.float32)
    section = section.model_copy(update={"labels": labels})
    again = outputs(load_for_evaluation(section, tokenizer, [subset], torch.float32), name)
    again = again[:1] if name == "cldr-topic" else again
    torch.testing.assert_close(again.flip(-1) if labels else again, expected, atol=1e-5, rtol=1e-5)
    card = (tmp_path / "lora/README.md").read_text()
    assert "an adapter instead of the encoder: lora, rank 3" in card
    peft = pytest.importorskip("peft")
    below = auto.from_pretrained(backbone, num_labels=expected.shape[-1])
    found = theirs(peft.PeftModel.from_pretrained(below, tmp_path / "lora"))
    torch.testing.assert_close(found.view_as(expected), expected, atol=1e-5, rtol=1e-5)


def test_lora_alone_is_kept_by_its_name_and_bottleneck_adapters_as_they_are(backbone: Path, tmp_path: Path) -> None:
    made_run(tmp_path / "run", backbone, "cldr-topic", kind="bottleneck")
    result = CliRunner().invoke(main, ["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "a bottleneck adapter cannot be merged into the encoder" in result.output
    exported(tmp_path / "run", tmp_path / "kept", "--adapter", "kept")
    assert {path.name for path in (tmp_path / "kept").iterdir()} >= {"adapter.json", "bottleneck.safetensors", "heads.json"}
