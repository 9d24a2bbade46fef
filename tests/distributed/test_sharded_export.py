"""xdist export from the shards of two ranks: the same logits as the finished model, and the mean of several checkpoints."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint
from distributed.group import Group
from transformers import AutoModelForSequenceClassification

from xdist.checkpoint import tags
from xdist.cli import main

TOKENS = torch.tensor([[0, 30, 31, 50, 42, 2]])


def exported(run: Path, out: Path, *words: str) -> AutoModelForSequenceClassification:
    done = CliRunner().invoke(main, ["export", str(run), str(out), *words])
    assert done.exit_code == 0, done.output
    return AutoModelForSequenceClassification.from_pretrained(out).eval()


@pytest.mark.parametrize("stage, precision", [(2, "fp32"), (3, "fp32"), (2, "bf16")])
@torch.no_grad()
def test_logits_are_those_of_the_finished_model(
    two: Group, small_run: Path, tmp_path: Path, stage: int, precision: str
) -> None:
    """The last checkpoint holds the weights that the finished model has, in bf16 training to more digits."""
    run = tmp_path / "run"
    config = Path(__file__).with_name("ds_configs") / f"zero{stage}.json"
    overrides = [f"folder={run}", f"runtime.deepspeed={config}", f"runtime.precision={precision}"]
    overrides += ["train.steps=4", "runtime.save_every=2"]
    assert two.run("whole_run", path=str(small_run), overrides=overrides)[0]["finished"]
    expected = exported(run, tmp_path / "model")(TOKENS).logits
    found = exported(run, tmp_path / "shards", "--tag", "last")
    assert torch.allclose(found(TOKENS).logits, expected, atol=1e-5 if precision == "fp32" else 3e-2)
    assert not torch.equal(exported(run, tmp_path / "earlier", "--tag", "2")(TOKENS).logits, expected)

    # The mean against DeepSpeed's own reader of its shards.
    read = [
        get_fp32_state_dict_from_zero_checkpoint(str(run / "checkpoints"), tag.path.name)
        for tag in tags.list_tags(run / "checkpoints")
    ]
    assert len(read) == 2
    mean = exported(run, tmp_path / "mean", "--average", "2").roberta.encoder.state_dict()
    for name, value in mean.items():
        own = f"encoder.encoder.{name}"
        assert torch.allclose(value, (read[0][own] + read[1][own]) / 2, atol=1e-7), name
    assert len(mean) > 20

    # Of a finished run optimizer states may go: what is exported stays, no run resumes from it.
    before = {path.name: sum(file.stat().st_size for file in path.iterdir()) for path in (run / "checkpoints").glob("step-*")}
    done = CliRunner().invoke(main, ["checkpoint", "prune", str(run), "--states"])
    assert (done.exit_code, done.output.count("weights alone")) == (0, 2), done.output
    stripped = tags.list_tags(run / "checkpoints")
    assert [(tag.step, tag.has_states, tag.damage()) for tag in stripped] == [(2, False, []), (4, False, [])]
    assert all(3 * tag.bytes < before[tag.path.name] for tag in stripped)
    same = exported(run, tmp_path / "mean again", "--average", "2").roberta.encoder.state_dict()
    assert same.keys() == mean.keys()
    assert all(torch.equal(value, mean[name]) for name, value in same.items())
    assert torch.equal(exported(run, tmp_path / "last again", "--tag", "last")(TOKENS).logits, found(TOKENS).logits)
    (run / "model").rename(run / "elsewhere")
    with pytest.raises(AssertionError, match="weights alone, without optimizer states to resume from"):
        two.run("whole_run", path=str(small_run), overrides=overrides)
