"""Fetching from a hub on this machine: pinned, checked, resumed; a run finds what was fetched."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hub_server import HubServer, serving
from resolved_of import resolved_of, subsets_of
from tiny import tiny_benchmark, tiny_model

from xdist.config import Run
from xdist.data.fetched import LOCK, Lock, read_lock
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.fetch import parts
from xdist.fetch.fetching import PARTIAL, UNFINISHED, FetchPlan, fetch, plan
from xdist.fetch.hub import HubClient
from xdist.fetch.parts import Repository, files_of
from xdist.files import file_digest
from xdist.model.encoder import load_encoder
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import TASKS, task

ENCODER = "someone/tiny-encoder"


def parquet(rows: int = 2) -> bytes:
    buffer = io.BytesIO()
    row = {"premise": "a", "hypothesis": "b", "label": 2}
    pq.write_table(pa.Table.from_pylist([row] * rows), buffer)
    return buffer.getvalue()


XNLI = {
    f"{code}/{split}-00000-of-00001.parquet": parquet()
    for code in ("en", "sw", "all_languages")
    for split in ("train", "validation", "test")
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    return tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark"))


@pytest.fixture
def server(encoder: Path) -> Iterator[HubServer]:
    """A hub with an encoder, weights in other formats next to it, and XNLI."""
    with serving() as state:
        state.add_folder(ENCODER, encoder)
        files = state.repositories["model", ENCODER]["main"]
        state.add("model", ENCODER, {**files, "pytorch_model.bin": b"x" * 9, "onnx/model.safetensors": b"y", "a.md": b"z"})
        state.add("dataset", "facebook/xnli", XNLI)
        yield state


def run_of(root: Path, **changes: object) -> Run:
    values = {
        "name": "small",
        "folder": str(root / "run"),
        "model": {"backbone": ENCODER},
        "data": {"root": str(root)},
        "train": {"tasks": [{"task": "xnli"}], "steps": 1},
        "evaluate": {"tasks": ["xnli"], "languages": ["en", "sw"]},
    }
    return Run.model_validate({**values, **changes})


def fetched(server: HubServer, root: Path, repository: Repository, revision: str | None = None, **options: bool) -> FetchPlan:
    hub = HubClient(server.url)
    made = plan(hub, root, repository, revision, options.get("update", False), options.get("verify", False))
    came: list[int] = []
    fetch(hub, repository, made, came.append)
    assert sum(came) == sum(listed.size for listed in made.missing.values())
    return made


def asked(server: HubServer) -> list[tuple[str, str | None]]:
    """The files that were sent since the last look, without the redirects to them."""
    found = [(path.rpartition("/")[2], wanted) for path, wanted in server.requests if "/resolve/" in path]
    server.requests.clear()
    return list(dict.fromkeys(found))


# --- which files -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("part", "paths", "expected"),
    [
        ("weights", "model.safetensors pytorch_model.bin tf_model.h5 onnx/model.safetensors", "model.safetensors"),
        ("weights", "pytorch_model.bin flax_model.msgpack training_args.bin", ""),
        (
            *("weights", "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json"),
            "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json",
        ),
        ("weights", "tf_model.h5", ""),
        (
            *("tokenizer", "tokenizer.json tokenizer_config.json sentencepiece.bpe.model model.safetensors"),
            "sentencepiece.bpe.model tokenizer.json tokenizer_config.json",
        ),
    ],
)
def test_parts_of_a_model(part: str, paths: str, expected: str) -> None:
    assert files_of("model", part, paths.split()) == expected.split()


def test_parts_of_a_data_set() -> None:
    paths = ["sw/test-0-of-2.parquet", "sw/test-1-of-2.parquet", "sw/train-0.parquet", "de/test-0.parquet", "sw/test/0.parquet"]
    assert files_of("dataset", "sw/test", paths) == paths[:2]
    assert files_of("dataset", "sw/test", ["sw/test/0000.parquet", "sw/test/../../x.parquet"]) == ["sw/test/0000.parquet"]
    assert files_of("dataset", "sw/test", ["a/sw/test.parquet", "sw/test.parquet"]) == ["sw/test.parquet"]
    assert files_of("dataset", "sw/dev", paths) == []


@pytest.mark.parametrize("name", [name for name, entry in TASKS.ours().items() if entry.hub])
def test_what_is_fetched_is_what_is_read(name: str, tmp_path: Path) -> None:
    """For every task of the hub, the files that a fetch takes are those that the catalog then finds, and its lock can name."""
    for subset in parts.subsets_of_task(task(name), ()):
        ((repository,), elsewhere) = parts.data_sets([(subset, True)], tmp_path)
        (part,) = repository.parts
        file = f"{part}-00000-of-00001.parquet"
        assert files_of("dataset", part, [file, "other/test.parquet"]) == [file]
        lock = Lock(id=repository.id, kind="dataset", revision="main", commit="0" * 40, parts=(part,), files={})
        assert Lock.model_validate_json(lock.model_dump_json()) == lock
        path = tmp_path / "hub" / repository.id / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert subset.task.paths(tmp_path, subset.split, subset.language) == (path,)
        assert (elsewhere, repository.needed) == ([], {part})


def test_what_a_run_needs(tmp_path: Path) -> None:
    run = run_of(tmp_path, evaluate={"tasks": ["xnli", "xnli-pairs", "bucc2018", "mewslix"], "split": "test"})
    sets, elsewhere = parts.data_sets(subsets_of(run).wanted, tmp_path)
    xnli, mewslix = sets
    assert xnli.parts[0] == "en/train"
    assert set(xnli.parts) == {"en/train"} | {f"{code}/test" for code in task("xnli").languages}
    assert xnli.needed == {"en/train"}
    assert mewslix.needed == {"candidate_entities/test"}
    assert elsewhere == [
        f"bucc2018 test: no data set of the hub holds it; xdist looks for {tmp_path}/bucc2018/{{language}}-en.test.{{language}}"
    ]
    # Official files that exist are read, so it is not fetched.
    official = tmp_path / "xnli/train-en.tsv"
    official.parent.mkdir()
    official.touch()
    assert "en/train" not in parts.data_sets(subsets_of(run).wanted, tmp_path)[0][0].parts


def test_english_is_not_fetched_for_a_translation(tmp_path: Path) -> None:
    subsets = subsets_of(run_of(tmp_path, train={"tasks": [{"task": "squad", "languages": ["en", "sw"]}], "steps": 1})).training
    for named in (subsets, subsets[::-1]):
        (squad,), elsewhere = parts.data_sets([(subset, True) for subset in named], tmp_path)
        assert squad.parts == ("plain_text/train",)
        missing = tmp_path / "squad/train-sw.json"
        assert elsewhere == [f"squad train in sw: no data set of the hub holds it; xdist looks for {missing}"]


def test_what_a_task_needs() -> None:
    found = parts.subsets_of_task(task("xnli"), ("en", "sw"))
    assert [(subset.split, subset.language) for subset in found] == [
        *(("train", "en"), ("dev", "en"), ("dev", "sw"), ("test", "en"), ("test", "sw"))
    ]
    with pytest.raises(UserError, match="task 'xnli': unknown language 'sv': did you mean 'sw'"):
        parts.subsets_of_task(task("xnli"), ("sv",))
    with pytest.raises(UserError, match="task 'bucc2018': no data set of the hub holds it"):
        parts.subsets_of_task(task("bucc2018"), ())
    assert len(parts.subsets_of_task(task("ntrex"), ())) == 120  # without variants of a language, which its copy has not
    with pytest.raises(UserError, match="task 'ntrex': mteb/NTREXBitextMining does not have 'fra-CA'"):
        parts.subsets_of_task(task("ntrex"), ("fr", "fra-CA"))
    with pytest.raises(UserError, match="runs/a/model: is not a hub id"):
        parts.model("runs/a/model")


# --- fetching --------------------------------------------------------------------------------------------------------------
def test_a_run_finds_what_was_fetched(server: HubServer, tmp_path: Path, encoder: Path) -> None:
    run = run_of(tmp_path)
    before = run.identity
    assert resolved_of(run).model == run.model
    (xnli,), _ = parts.data_sets(subsets_of(run).wanted, tmp_path)
    for repository in (parts.model(ENCODER), xnli):
        fetched(server, tmp_path, repository)
    folder = tmp_path / "models" / ENCODER
    assert {path.name for path in folder.iterdir()} == {path.name for path in encoder.iterdir()} | {LOCK}
    assert file_digest(folder / "model.safetensors") == file_digest(encoder / "model.safetensors")
    lock = json.loads((folder / LOCK).read_text())
    assert lock["files"]["config.json"]["size"] == (encoder / "config.json").stat().st_size
    section = resolved_of(run).model
    assert section.backbone == str(folder)
    tokenizer = load_tokenizer(section.backbone)
    assert load_encoder(section, tokenizer, torch.float32).config.vocab_size == tokenizer.vocab_size
    assert (run.identity, run.model.backbone) == (before, ENCODER)
    there = {str(path.relative_to(tmp_path / "hub/facebook/xnli")) for path in (tmp_path / "hub").rglob("*.parquet")}
    assert there == {f"{name}-00000-of-00001.parquet" for name in ("en/train", "en/test", "sw/test")}
    assert len(list(task("xnli").examples(tmp_path, "train", "en"))) == 2
    RunFolder(run.folder).open(run, None, {}, resolved_of(run).fetched)
    recorded = json.loads((run.folder / "environment.json").read_text())["fetched"]
    assert recorded == resolved_of(run).fetched
    assert recorded[ENCODER] == lock["commit"]
    assert set(recorded) == {ENCODER, "facebook/xnli"}


def test_again_nothing_is_asked(server: HubServer, tmp_path: Path) -> None:
    repository = Repository("dataset", "facebook/xnli", ("en/test", "fr/test"), frozenset({"en/test"}))
    assert fetched(server, tmp_path, repository).lock.absent == ("fr/test",)
    server.requests.clear()
    assert fetched(server, tmp_path, repository, verify=True).done
    assert server.requests == []
    # Another task's part is added to the existing ones, at the existing commit.
    server.add("dataset", "facebook/xnli", {**XNLI, "sw/test-00000-of-00001.parquet": parquet(3)})
    added = fetched(server, tmp_path, Repository("dataset", "facebook/xnli", ("sw/test",), frozenset()))
    assert list(added.missing) == ["sw/test-00000-of-00001.parquet"]
    assert len(list(task("xnli").examples(tmp_path, "test", "sw"))) == 2


def test_interrupted_fetch_goes_on(server: HubServer, tmp_path: Path) -> None:
    repository, folder = parts.model(ENCODER), tmp_path / "models" / ENCODER
    first = server.repositories["model", ENCODER]["main"]
    size, hub = len(first["model.safetensors"]), HubClient(server.url)
    server.drop["model.safetensors"] = size // 2
    todo = plan(hub, tmp_path, repository, None, False, False)
    come: list[int] = []

    def break_down(count: int) -> None:
        come.append(count)
        if not server.drop:  # the half is on its way: the rest shall not come
            server.broken.add("model.safetensors")

    with pytest.raises(UserError, match=f"^model {ENCODER}: the hub .* answered 503"):
        fetch(hub, repository, todo, break_down)
    assert resolved_of(run_of(tmp_path)).model.backbone == ENCODER  # half a model is none
    (partial,) = (folder / PARTIAL).iterdir()
    kept = partial.stat().st_size
    assert kept == size // 2
    assert sum(come) == kept + sum(listed.size for path, listed in todo.missing.items() if path != "model.safetensors")
    server.broken.clear()
    server.add("model", ENCODER, {**first, "config.json": b"{}"})  # a new commit: not what was started
    asked(server)
    again = fetched(server, tmp_path, repository)
    assert "config.json" not in again.missing
    assert asked(server)[0] == ("model.safetensors", f"bytes={kept}-")
    assert (folder / "model.safetensors").read_bytes() == first["model.safetensors"]
    assert not (folder / PARTIAL).exists()
    assert not (folder / UNFINISHED).exists()
    assert again.lock.commit == todo.lock.commit


def test_damaged_files_are_named_and_fetched_again(server: HubServer, tmp_path: Path) -> None:
    repository, folder = parts.model(ENCODER), tmp_path / "models" / ENCODER
    fetched(server, tmp_path, repository)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1])
    (folder / "config.json").unlink()
    asked(server)
    again = fetched(server, tmp_path, repository)
    assert again.why == {
        "config.json": "missing",
        "model.safetensors": f"damaged: {len(whole) - 1:,} bytes, were {len(whole):,}",
    }
    assert {name for name, _ in asked(server)} == {"config.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == whole
    (folder / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert fetched(server, tmp_path, repository).done
    verified = fetched(server, tmp_path, repository, verify=True)
    assert verified.why == {"model.safetensors": "damaged: other checksum than recorded"}
    assert (folder / "model.safetensors").read_bytes() == whole


def test_what_comes_wrong_is_refused(server: HubServer, tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json"):  # a large file, and one whose checksum is git's
        server.corrupt = {name}
        with pytest.raises(UserError, match=rf"{name}: the file differs from what the hub lists"):
            fetched(server, tmp_path / name, parts.model(ENCODER))
        assert not (tmp_path / name / "models" / ENCODER / name).exists()
        server.corrupt.clear()
        fetched(server, tmp_path / name, parts.model(ENCODER))


def test_revisions(server: HubServer, tmp_path: Path) -> None:
    """A commit is kept until another is requested; what it does not have is removed, since its splits would be mixed."""
    shards = {f"en/test-0000{shard}-of-00002.parquet": parquet(5) for shard in range(2)}
    repository = Repository("dataset", "facebook/xnli", ("en/test",), frozenset({"en/test"}))
    first = fetched(server, tmp_path, repository).lock
    second = server.add("dataset", "facebook/xnli", shards)
    assert fetched(server, tmp_path, repository).lock.commit == first.commit
    dry = plan(HubClient(server.url), tmp_path, repository, None, True, False)
    assert (dry.lock.commit, dry.stale) == (second, ("en/test-00000-of-00001.parquet",))
    assert fetched(server, tmp_path, repository, update=True).lock.commit == second
    assert len(list(task("xnli").examples(tmp_path, "test", "en"))) == 10
    assert fetched(server, tmp_path, repository, revision=first.commit).lock.commit == first.commit
    assert len(list(task("xnli").examples(tmp_path, "test", "en"))) == 2
    lock = read_lock(tmp_path / "hub/facebook/xnli" / LOCK)
    assert lock is not None
    assert (lock.commit, list(lock.files)) == (first.commit, ["en/test-00000-of-00001.parquet"])
    with pytest.raises(UserError, match="data set facebook/xnli: has no revision 'v9'"):
        fetched(server, tmp_path, repository, revision="v9")


def test_a_data_set_in_another_format_is_taken_as_converted(server: HubServer, tmp_path: Path) -> None:
    name = "mteb/tatoeba-bitext-mining"
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"sentence1": "یک", "sentence2": "One"}]), buffer)
    server.add("dataset", name, {"pes-eng/test.jsonl.gz": b"..."})
    server.add("dataset", name, {"pes-eng/test/0000.parquet": buffer.getvalue()}, "refs/convert/parquet")
    (repository,), _ = parts.data_sets([(Subset(task("tatoeba"), "test", "fa"), True)], tmp_path)
    assert fetched(server, tmp_path, repository).lock.revision == "refs/convert/parquet"
    assert len(list(task("tatoeba").examples(tmp_path, "test", "fa"))) == 2


def test_refusals_are_one_line(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(repository: Repository, message: str, url: str = server.url) -> None:
        with pytest.raises(UserError, match=message) as caught:
            plan(HubClient(url), tmp_path, repository, None, False, False)
        assert "\n" not in str(caught.value)

    refused(parts.model("someone/tiny-encoders"), r"model someone/tiny-encoders: the hub .* has no such repository")
    refused(parts.model("some one"), r"model some one: ")
    lone = Repository("dataset", "facebook/xnli", ("xx/test",), frozenset())
    refused(lone, "data set facebook/xnli: has none of the required files in revision 'main'")
    needed = Repository("dataset", "facebook/xnli", ("en/test", "xx/test"), frozenset({"xx/test"}))
    refused(needed, r"has no files of 'xx/test' in revision 'main'")
    server.add("model", "someone/empty", {"README.md": b"soon"})
    refused(parts.model("someone/empty"), "model someone/empty: has no files of 'config'")
    pickled = dict.fromkeys(("config.json", "tokenizer.json", "pytorch_model.bin"), b"{}")
    server.add("model", "someone/pickled", pickled)
    refused(parts.model("someone/pickled"), r"has only pickled weights \(pytorch_model.bin\), which are not read")
    server.gated.add(ENCODER)
    refused(parts.model(ENCODER), f"model {ENCODER}: is gated: accept its terms")
    refused(parts.model(ENCODER), r"the hub \(http://127.0.0.1:9\) cannot be reached: ", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(parts.model(ENCODER), "the hub is switched off; unset HF_HUB_OFFLINE")
    with pytest.raises(UserError, match=f"^{ENCODER}: is not here and the hub is switched off: run `xdist fetch RUN.yaml` on"):
        load_tokenizer(ENCODER)


def test_a_lock_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "models" / ENCODER / LOCK
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(UserError, match=r"fetched.json: is not what `xdist fetch` writes; remove it and fetch again"):
        _ = resolved_of(run_of(tmp_path)).model
