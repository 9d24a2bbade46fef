"""What was killed, or had no room, while it wrote its first files blocks no later start."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cut_short import How, cut_short
from hub_server import serving
from resolved_of import deepspeed_of, prepared_of
from tiny import tiny_benchmark, tiny_model

from xdist.config import Run, load_run
from xdist.data.prepare import Preparation
from xdist.data.tokenizer import load_tokenizer
from xdist.fetch.fetching import FetchPlan, fetch, plan
from xdist.fetch.hub import HubClient
from xdist.fetch.parts import Repository
from xdist.files import read_json
from xdist.launch import submission
from xdist.launch.clusters import load_cluster
from xdist.run.ds_config import shipped
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock

DEEPSPEED, DATA = {"bf16": {"enabled": False}}, {"cldr-topic train en": "0123"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    described = {
        "name": "a",
        "folder": str(tmp_path / "runs" / "a"),
        "model": {"backbone": "some/encoder"},
        "data": {"root": str(tiny_benchmark(tmp_path / "benchmark"))},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 5},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(described))
    return load_run(tmp_path / "run.yaml")


def started(run: Run) -> RunLock:
    """What rank 0 does before the work."""
    folder, lock = RunFolder(run.folder), RunLock(run.folder)
    folder.check(run)
    lock.check()
    lock.take("xdist train")
    folder.open(run, deepspeed_of(DEEPSPEED), DATA)
    return lock


def submitted(run: Run) -> None:
    cluster = load_cluster(shipped("jobs") / "clusters" / "slurm.yaml")
    submission.write_job(submission.plan(run, run.folder.parents[1] / "run.yaml", cluster))


@pytest.mark.parametrize(
    "act, how, again",
    [
        (started, "killed", False),
        (started, "full", False),
        (started, "killed", True),
        (submitted, "killed", False),
        (submitted, "full", False),
    ],
)
def test_the_next_start_is_accepted(run: Run, act: Callable[[Run], object], how: How, again: bool) -> None:
    """Of a new run, or of one that was stopped."""
    folder = RunFolder(run.folder)

    def stopped() -> None:
        lock = started(run)
        folder.mark("unfinished")
        lock.release()

    if again:
        stopped()
    times = 0
    for _ in cut_short(lambda: act(run), run.folder.parent, how):
        stopped()
        assert load_run(folder.config).identity == run.identity
        assert (read_json(folder.data), read_json(folder.deepspeed)) == (DATA, DEEPSPEED)
        times += 1
        if not again:
            shutil.rmtree(run.folder.parent)
    assert times >= 3


def test_the_next_preparation_makes_the_same_set(run: Run, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model(tmp_path / "encoder", run.data.root)))

    def prepared(cache: str) -> Preparation:
        data = run.data.model_copy(update={"cache": tmp_path / cache})
        made = prepared_of(run.model_copy(update={"data": data}), tokenizer)
        made.make_missing()
        return made

    def content(made: Preparation) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in made.folders[made.subsets[0]].iterdir() if path.name[0] != "."}

    expected, times = content(prepared("whole")), 0
    for _ in cut_short(lambda: prepared("cut"), tmp_path / "cut", "killed"):
        found = content(prepared("cut"))
        assert {name: found[name] for name in expected} == expected
        shutil.rmtree(tmp_path / "cut")
        times += 1
    assert times >= 5


def test_the_next_fetch_brings_the_same_files(tmp_path: Path) -> None:
    files = {f"en/{split}-00000-of-00001.parquet": bytes([number]) * 20 for number, split in enumerate(("test", "train"))}
    repository, times = Repository("dataset", "facebook/xnli", ("en/test", "en/train"), frozenset()), 0
    with serving() as server:
        server.add("dataset", repository.id, files)
        hub = HubClient(server.url)

        def fetched() -> FetchPlan:
            todo = plan(hub, tmp_path, repository, None, False, False)
            fetch(hub, repository, todo, lambda count: None)
            return plan(hub, tmp_path, repository, None, False, True)

        for _ in cut_short(fetched, tmp_path, "killed"):
            again = fetched()
            assert again.done
            assert {path: (again.folder / path).read_bytes() for path in files} == files
            shutil.rmtree(again.folder)
            times += 1
    assert times >= 5
