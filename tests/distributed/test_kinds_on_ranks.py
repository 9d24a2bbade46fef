"""A few kinds of encoders on two ranks, at several ZeRO stages: trained with an ascent step, evaluated, exported completely.
More of them, at all stages and on real rows: benchmarks/kinds_on_ranks.py."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from distributed.group import Group
from tiny import tiny_benchmark
from tiny_kinds import tiny_kind
from transformers import AutoModelForTokenClassification

from xdist.cli import main
from xdist.files import read_json


@pytest.mark.parametrize("kind, stage", [("modernbert", 3), ("eurobert", 2), ("xlm", 3)])
def test_a_run_of_each_kind(two: Group, tmp_path: Path, kind: str, stage: int) -> None:
    """XLM with the tokenizer of another kind."""
    tiny_benchmark(tmp_path / "benchmark")
    run = {
        "name": kind,
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(tiny_kind(tmp_path / "encoder", kind))},
        "data": {"root": str(tmp_path / "benchmark"), "cache": str(tmp_path / "prepared"), "max_length": 48},
        "train": {"tasks": [{"task": "cldr-spans"}], "steps": 3, "batch_size": 8, "warmup": 0},
        "robust": {"method": "adversarial", "radius": 0.05},
        "evaluate": {"tasks": ["cldr-spans"], "languages": ["en"]},
        "runtime": {"deepspeed": f"zero{stage}"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    two.run("whole_run", path=str(tmp_path / "run.yaml"), overrides=[])
    assert 0 <= read_json(tmp_path / "run/scores.json")["tasks"]["cldr-spans"]["languages"]["en"]["f1"] <= 100
    done = CliRunner().invoke(main, ["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    _, report = AutoModelForTokenClassification.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
