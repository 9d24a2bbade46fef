"""xdist checkpoint list, verify, prune, as typed."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from pages import json_keys, keys_of

from xdist.checkpoint import tags
from xdist.cli import main
from xdist.run.lock import RunLock


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    for step in (10, 20):
        shard = folder / "checkpoints" / tags.SAVING / "shard.pt"
        shard.parent.mkdir(parents=True)
        shard.write_bytes(b"weights" * step)
        tags.finish_tag(folder / "checkpoints", step, 2, 3, {"shard.pt": {"size": 7 * step, "sha256": tags.checksum(shard)}})
    (folder / "config.yaml").touch()
    return folder


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, ["checkpoint", *map(str, words)], env={"COLUMNS": "200"})


def test_list(run: Path) -> None:
    (run / "checkpoints" / "step-00000010" / "shard.pt").write_bytes(b"wei")
    (run / "checkpoints" / tags.SAVING).mkdir()
    done = typed("list", run)
    assert done.exit_code == 0
    for text in ("shard.pt has 3 bytes instead of 70", "step-00000020", "complete", "being written"):
        assert text in done.stdout
    found = json.loads(typed("list", run, "--json").stdout)
    assert keys_of(found) <= json_keys("checkpoint list")
    assert [(one["step"], one["bytes"]) for one in found["checkpoints"]] == [(10, 70), (20, 140), (None, None)]


def test_verify(run: Path, tmp_path: Path) -> None:
    description = tmp_path / "run.yaml"
    facts = {"model": {"backbone": "encoder"}, "data": {"root": "data"}, "train": {"tasks": [{"task": "xnli"}], "steps": 5}}
    description.write_text(yaml.safe_dump({"name": "run", "folder": str(run), **facts}))
    for place in (run, description):
        done = typed("verify", place)
        assert (done.exit_code, done.stdout) == (0, "step-00000010: whole\nstep-00000020: whole\n")
    (run / "checkpoints" / "step-00000010" / "shard.pt").write_bytes(b"Weights" + b"weights" * 9)
    done = typed("verify", run)
    assert done.exit_code == 1
    assert "step-00000010: shard.pt has changed since it was written" in done.stdout
    assert "1 of 2 checkpoints damaged" in done.stderr
    done = typed("verify", run, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert keys_of(found) <= json_keys("checkpoint verify")
    assert [len(one["damage"]) for one in found["checkpoints"]] == [1, 0]
    assert typed("verify", run, "--step", "20").exit_code == 0
    done = typed("verify", run, "--step", "25")
    assert (done.exit_code, "unknown step '25': did you mean '20'?" in done.stderr) == (2, True)


def test_prune_keeps_the_newest_and_not_under_a_running_run(run: Path) -> None:
    lock = RunLock(run)
    lock.take("xdist train")
    assert typed("prune", run).exit_code == 2
    lock.release()
    done = typed("prune", run)
    assert done.exit_code == 0
    assert "kept step-00000020" in done.stdout
    assert [tag.step for tag in tags.list_tags(run / "checkpoints")] == [20]


@pytest.mark.parametrize("word", ["list", "verify", "prune"])
def test_what_is_no_run_is_refused(tmp_path: Path, word: str) -> None:
    for place, said in ((tmp_path, "is not a run folder"), (tmp_path / "none", "no such folder")):
        done = typed(word, place)
        assert (done.exit_code, said in done.stderr) == (2, True)
    (tmp_path / "config.yaml").touch()
    assert "has saved nothing yet" in typed(word, tmp_path).stderr
