"""Sets in published forms go through every command as they are: no file is converted, renamed or changed."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from published import PUBLISHED
from typing_of_commands import Typed

from xdist.cli import main
from xdist.config.loading import plain_yaml
from xdist.demo.tiny import tiny_encoder
from xdist.strict_json import parsed

HERE = [one for one in PUBLISHED if one.name not in ("masakhanews", "uner")]  # two forms that others have too
SPLITS = {"belebele": 2, "flores": 1}  # the others have three


def said(*words: object) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with all sets, their descriptions as `inspect` prints them in one file, and a run of all of them."""
    place = tmp_path_factory.mktemp("published")
    tasks, texts = {}, []
    for one in HERE:
        one.write(place / "data" / one.name)
        file = place / "data" / one.name / one.file
        said(
            "tasks", "inspect", file, "--data", place / "data", "--name", f"my-{one.name}", "--out", place / f"{one.name}.yaml"
        )
        tasks |= plain_yaml(place / f"{one.name}.yaml")["tasks"]
        texts += [] if file.suffix == ".parquet" else [file.read_text(encoding="utf-8")]
    for entry in tasks.values():
        entry["files"].setdefault("test", entry["files"].get("train"))  # Belebele is a test set alone
    del tasks["my-afrisenti"]["labels"]
    (place / "tasks.yaml").write_text(yaml.safe_dump({"tasks": tasks}, allow_unicode=True), encoding="utf-8")
    tiny_encoder(place / "encoder", texts)
    run = {
        "name": "published",
        "folder": str(place / "run"),
        "model": {"backbone": str(place / "encoder")},
        "data": {"root": str(place / "data"), "tasks": str(place / "tasks.yaml"), "cache": str(place / "prepared")},
        "train": {
            "tasks": [
                {"task": name, "languages": entry["languages"][:1]}
                for name, entry in tasks.items()
                if "train" in entry["files"]
            ],
            "epochs": 6,
            "batch_size": 16,
            "learning_rate": 2e-3,
            "warmup": 0.1,
        },
        "evaluate": {"tasks": list(tasks)},
        "runtime": {"ranks": 1, "log_every": 20},
    }
    (place / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    return place


def digests(folder: Path) -> dict[str, str]:
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_published_files_go_through_every_command(loaded: Typed, place: Path) -> None:
    before = digests(place / "data")
    tasks = place / "tasks.yaml"
    names = [word for one in HERE for word in ("--task", f"my-{one.name}")]  # the catalog has sets of these forms
    counted = said("tasks", "check", place / "data", "--tasks", tasks, *names)
    assert "cannot be read" not in counted
    rows = [line for line in counted.splitlines() if line.split()[-1:] == ["yes"]]
    assert len(rows) == sum(len(one.languages) * SPLITS.get(one.name, 3) for one in HERE)
    dry = said("train", place / "run.yaml", "--dry-run")
    assert "labels of my-afrisenti found in its training files: negative, neutral, positive" in dry
    done = loaded("xdist", "train", place / "run.yaml", cwd=place)
    assert done.returncode == 0, done.stderr[-3000:]
    scores = parsed((place / "run/scores.json").read_bytes(), "")["tasks"]
    for one in HERE:
        assert tuple(sorted(scores[f"my-{one.name}"]["languages"])) == tuple(sorted(one.languages))
    learnt = {name: max(scores[name]["mean"].values()) for name in ("my-masakhaner", "my-treebank", "my-wikiann")}
    assert all(mean > 60 for mean in learnt.values()), learnt
    assert parsed((place / "run/model/heads.json").read_bytes(), "")["my-afrisenti"]["labels"] == [
        "negative",
        "neutral",
        "positive",
    ]
    said("score", place / "run/predictions", "--gold", place / "data", "--tasks", tasks, "--out", place / "again.json")
    again = json.loads((place / "again.json").read_text())["tasks"]
    assert {name: entry["languages"] for name, entry in again.items()} == {
        name: entry["languages"] for name, entry in scores.items()
    }
    said("report", place / "run", "--out", place / "report")
    assert "masakhaner" in (place / "report/report.html").read_text(encoding="utf-8")
    said("compare", place / "run", place / "run")
    said("export", place / "run", place / "exported", "--head", "my-afrisenti")
    assert json.loads((place / "exported/config.json").read_text())["id2label"]["1"] == "neutral"
    assert digests(place / "data") == before
