"""Fetch where there is a network, train where there is none; push what was trained, fetch it elsewhere, score it again."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hub_server import HubServer, serving
from huggingface_hub import ModelCard
from tiny import tiny_benchmark, tiny_model
from typing_of_commands import Typed

from xdist.files import read_json

ENCODER = "someone/tiny-encoder"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HubServer]:
    tiny_benchmark(tmp_path / "texts")
    rows = [
        {"premise": f"the {word}", "hypothesis": "euro and peso", "label": place % 3} for place, word in enumerate("abcdef")
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    with serving() as state:
        state.add_folder(ENCODER, tiny_model(tmp_path / "encoder", tmp_path / "texts"))
        files = {
            f"{code}/{split}-00000-of-00001.parquet": buffer.getvalue() for code in ("en", "sw") for split in ("train", "test")
        }
        state.add("dataset", "facebook/xnli", files)
        yield state


def test_fetch_then_train_without_a_network(
    typed: Typed, server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-cache"))
    run = {
        "name": "small",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": ENCODER},
        "data": {"root": str(tmp_path / "data"), "cache": str(tmp_path / "prepared")},
        "train": {"tasks": [{"task": "xnli"}], "steps": 2, "batch_size": 2},
        "evaluate": {"tasks": ["xnli"]},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(run), encoding="utf-8")

    with monkeypatch.context() as offline:
        offline.setenv("HF_HUB_OFFLINE", "1")
        refused = typed("xdist", "fetch", "--model", ENCODER)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "the hub is switched off" in refused.stderr

    monkeypatch.setenv("HF_ENDPOINT", server.url)
    listed = typed("xdist", "fetch", path, "--dry-run")
    assert listed.returncode == 0, listed.stderr
    assert "model.safetensors: missing" in listed.stdout
    assert "sw/test-00000-of-00001.parquet: missing" in listed.stdout
    assert not (tmp_path / "data").exists()
    server.claimed["model.safetensors"] = 10**17
    refused = typed("xdist", "fetch", path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "/data: 100.0 PB are to come, " in refused.stderr
    server.claimed.clear()
    server.drop["model.safetensors"] = 100_000  # the connection ends once; the fetch takes it up again
    done = typed("xdist", "fetch", path)
    assert done.returncode == 0, done.stderr
    assert "not on the hub: " in done.stdout
    assert "fetch: " in done.stderr
    assert "Traceback" not in done.stderr
    server.requests.clear()
    again = typed("xdist", "fetch", path, "--verify")
    assert again.stdout.endswith("all files are present; nothing was fetched\n"), again.stderr
    assert server.requests == []

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    trained = typed("xdist", "train", path)
    assert trained.returncode == 0, trained.stderr
    assert set(read_json(tmp_path / "run/scores.json")["tasks"]["xnli"]["languages"]) == {"en", "sw"}
    locks = [tmp_path / "data/models" / ENCODER / "fetched.json", tmp_path / "data/hub/facebook/xnli/fetched.json"]
    assert read_json(tmp_path / "run/environment.json")["fetched"] == {
        lock["id"]: lock["commit"] for lock in map(read_json, locks)
    }
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["model"]["backbone"] == ENCODER
    scores = read_json(tmp_path / "run/scores.json")["tasks"]["xnli"]
    pushed_and_fetched_it_has_the_same_scores(typed, server, tmp_path, scores, monkeypatch)
    missing = typed("xdist", "train", path, "model.backbone=someone/other", f"folder={tmp_path / 'other'}")
    assert missing.returncode == 2
    assert missing.stderr.startswith(
        "xdist: someone/other: is not here and the hub is switched off: run `xdist fetch RUN.yaml`"
    )
    assert missing.stderr.count("\n") == 1


def pushed_and_fetched_it_has_the_same_scores(
    typed: Typed, server: HubServer, folder: Path, scores: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.accounts["hf_writer"] = {"name": "me", "auth": {"accessToken": {"role": "write"}}}
    with monkeypatch.context() as online:
        for name, value in {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": server.url, "HF_HUB_DISABLE_XET": "1"}.items():
            online.setenv(name, value)
        online.setenv("HF_TOKEN", "hf_writer")
        words = ("export", folder / "run", folder / "models/small", "--push", "me/small", "--licence", "mit")
        pushed = typed("xdist", *words)
        assert pushed.returncode == 0, pushed.stderr
        assert pushed.stdout.endswith("next:   xdist fetch --model me/small\n")
        fetched = typed("xdist", "fetch", "--model", "me/small", "--into", folder / "data")
        assert fetched.returncode == 0, fetched.stderr
    front = ModelCard(server.repositories["model", "me/small"]["main"]["README.md"].decode()).data
    assert (front.base_model, front.license, front.datasets) == ([ENCODER], "mit", ["facebook/xnli"])
    told = {one.dataset_args["language"]: one.metric_value for one in front.eval_results}
    assert told == {code: round(numbers["accuracy"], 4) for code, numbers in scores["languages"].items()}
    words = ("--model", "me/small", "--task", "xnli", "--data", folder / "data", "--ranks", "1", "--json")
    again = typed("xdist", "evaluate", *words, cwd=folder)
    assert again.returncode == 0, again.stderr
    found = json.loads(again.stdout)["scores"]["tasks"]["xnli"]
    assert (found["languages"], found["trained_on"]) == (scores["languages"], scores["trained_on"])
