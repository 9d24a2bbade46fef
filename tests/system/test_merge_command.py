"""A run that merges: its model is made once, scored, and says what it was made of."""

import json
from pathlib import Path

import yaml
from tiny import tiny_model
from typing_of_commands import Typed


def test_a_run_of_a_merge_is_scored_without_a_training(loaded: Typed, small: Path, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", small / "benchmark", seed=7)
    run = {
        "name": "merged",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(small / "encoder")},
        "data": {"root": str(small / "benchmark"), "cache": str(tmp_path / "prepared")},
        "merge": {"models": [{"model": str(other)}]},
        "evaluate": {"tasks": ["cldr-names"], "layer": 1},
        "runtime": {"ranks": 2, "deepspeed": "zero0"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    done = loaded("xdist", "evaluate", tmp_path / "run.yaml")
    assert done.returncode == 0, done.stderr
    assert "merging 2 models into" in done.stderr
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert set(scores["tasks"]["cldr-names"]["languages"]) == {"de", "sw"}
    told = json.loads((tmp_path / "run" / "model" / "merged.json").read_text())
    assert [(one["model"], one["weight"]) for one in told["models"]] == [(str(other), 0.5)]
    written = (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns
    again = loaded("xdist", "evaluate", tmp_path / "run.yaml")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns == written
    refused = loaded("xdist", "train", tmp_path / "run.yaml")
    assert refused.returncode == 2
    assert "has no section 'train'" in refused.stderr
