"""xdist export --push: huggingface_hub's own client against a hub on this machine. All of a model goes there, or nothing; the
card is what the hub's parser reads; what is wrong is one line, the same at --dry-run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hub_server import HubServer, serving
from huggingface_hub import ModelCard
from test_export import make_run
from tiny import tiny_benchmark, tiny_model

from xdist.cli import main
from xdist.config import load_run
from xdist.data.fetched import from_hub
from xdist.export.card import About, card
from xdist.files import read_json, write_json
from xdist.model.lineage import read_lineage, stage_of
from xdist.tasks.catalog import task

WRITER, READER = "hf_writer", "hf_reader"
FILES = {".gitattributes", "README.md", "config.json", "model.safetensors", "tokenizer.json", "trained_on.json"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push")
    tiny_benchmark(folder / "cldr")
    tiny_model(folder / "encoder", folder / "cldr")
    make_run(folder / "run", folder / "encoder", ["udpos"])
    run = load_run(folder / "run/config.yaml")
    began = {"id": "someone/encoder", "commit": "c" * 40}
    stage = stage_of("a", run.dump(), [(task("udpos"), "en"), (task("udpos"), "no")])
    write_json(folder / "run/model/trained_on.json", [{**stage.model_dump(mode="json"), "base": began}])
    languages = {"sw": {"f1": 12.345678, "accuracy": 50.0, "count": 9}, "no": {"f1": 20.0, "count": 8}, "yo": {"count": 9}}
    entry = {"family": "tagging", "split": "test", "metric": "f1", "trained_on": ["en"], "mean": {"f1": 16.0}}
    smoothed = {**entry, "smoothing": {"copies": 3}, "languages": {"de": {"f1": 1.0, "count": 1}}}
    other = {**entry, "languages": {"fr": {"f1": 1.0, "count": 1}}}
    scores = {"udpos": {**entry, "languages": languages}, "panx": other, "xglue-pos": smoothed}
    write_json(folder / "run/scores.json", {"run": "run", "tasks": scores})
    write_json(folder / "run/environment.json", {"xdist": "0.1.0", "fetched": {}})
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving() as state:
        state.accounts[WRITER] = {"name": "me", "orgs": [{"name": "us"}], "auth": {"accessToken": {"role": "write"}}}
        state.accounts[READER] = {"name": "me", "auth": {"accessToken": {"role": "read", "displayName": "look"}}}
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", state.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # its storage is another service
        monkeypatch.setenv("HF_TOKEN", WRITER)
        yield state


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words)])


def refused(said: str, *words: object) -> None:
    for more in ((), ("--dry-run",)):
        done = typed(*words, *more)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
        assert said in done.stderr


def test_a_model_is_pushed_in_one_commit_and_private(place: Path, hub: HubServer, tmp_path: Path) -> None:
    out = tmp_path / "target"
    planned = typed(place / "run", out, "--push", "me/target", "--dry-run")
    assert planned.stdout.splitlines()[1:] == ["would push it to me/target (private, new) as me"]
    assert (out.exists(), hub.posted, hub.repositories) == (False, [], {})
    done = typed(place / "run", out, "--push", "me/target", "--licence", "apache-2.0")
    assert done.exit_code == 0, done.output
    there = hub.repositories["model", "me/target"]["main"]
    assert set(there) >= FILES
    assert {name: there[name] for name in there if name not in ("README.md", ".gitattributes")} == {
        path.name: path.read_bytes() for path in out.iterdir() if path.name != "README.md"
    }
    assert hub.private == {"me/target"}
    assert [path for path in hub.posted if "commit" in path.split("/")] == ["/api/models/me/target/commit/main"]
    assert any(path.startswith("/lfs/put/") for path in hub.posted)
    assert 'name = "me/target"\n' in there["README.md"].decode()
    assert "# this folder, or its id on the hub" in (out / "README.md").read_text()


def test_again_it_replaces_what_was_there_and_an_export_is_pushed_as_it_is(place: Path, hub: HubServer, tmp_path: Path) -> None:
    out = tmp_path / "target"
    assert typed(place / "run", out).exit_code == 0
    before = {"model-00001-of-00002.safetensors": b"x", "heads.json": b"{}", "notes.md": b"mine"}
    hub.add("model", "us/target", before)
    hub.private.add("us/target")
    (out / "thesis.tex").touch()
    planned = typed(out, "--push", "us/target", "--dry-run")
    assert planned.stdout.startswith("would push 6 files"), planned.output
    assert planned.stdout.endswith(" to us/target (private, there already) as me\n")
    assert hub.posted == []
    assert typed(out, "--push", "us/target").exit_code == 0
    there = set(hub.repositories["model", "us/target"]["main"])
    assert there == {*FILES, "tokenizer_config.json", "notes.md"} - {".gitattributes"}
    hub.posted.clear()
    assert typed(out, "--push", "us/target").exit_code == 0  # nothing has changed: no commit, no upload
    assert not [path for path in hub.posted if "commit" in path or path.startswith("/lfs/put")]


def test_nothing_is_pushed_of_what_is_not_whole(place: Path, hub: HubServer, tmp_path: Path) -> None:
    out = tmp_path / "target"
    assert typed(place / "run", out).exit_code == 0
    weights = out / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    refused(f"{weights}: is not complete: ", out, "--push", "me/target")
    (out / "trained_on.json").unlink()
    refused(f"{out}: is not what `xdist export` writes (no trained_on.json)", out, "--push", "me/target")
    refused(f"{tmp_path / 'none'}: is not what `xdist export` writes", tmp_path / "none", "--push", "me/target")
    assert (hub.posted, hub.repositories) == ([], {})


def test_mistakes_are_one_line_and_write_and_send_nothing(
    place: Path, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "target"
    words = (place / "run", out, "--push", "me/target")
    hub.add("model", "me/seen", {"a": b"a"})
    refused("target: a repository to push to is OWNER/NAME", place / "run", out, "--push", "target")
    refused("me/../x: is not a hub id", place / "run", out, "--push", "me/../x")
    refused("you/x: does not exist, and the token is of me and us, who cannot create it", place / "run", out, "--push", "you/x")
    refused("me/seen: is public, and without --public a push is private", place / "run", out, "--push", "me/seen")
    refused("--public goes with --push", place / "run", out, "--public")
    refused("give runs and OUT", out)
    refused("--tag, --average, --adapter, --head and --licence go with runs", out, "--push", "me/target", "--head", "none")
    refused("--push sends complete models: remove --adapter kept", *words, "--adapter", "kept")
    refused("--licence Apache 2: is no identifier as the hub has them", *words, "--licence", "Apache 2")
    hub.private.add("me/seen")
    refused("me/seen: is private, and --public is given", place / "run", out, "--push", "me/seen", "--public")
    monkeypatch.setenv("HF_TOKEN", READER)
    refused("me/target: the token 'look' may read only; ", *words)
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    refused("me/target: the hub does not know this token (HF_TOKEN, else `hf auth login`)", *words)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    refused("me/target: no token of the hub: set HF_TOKEN to one that may write, or `hf auth login`", *words)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused("me/target: the hub is switched off; unset HF_HUB_OFFLINE to push", *words)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    refused("me/target: the hub cannot be reached: ", *words)
    assert (out.exists(), hub.posted) == (False, [])


@pytest.mark.parametrize(
    "word, code, said",
    [
        ("create", 403, "the hub answered 403: no"),
        ("put", 403, "the hub answered 403: no"),
        ("commit", 412, "the hub answered 412: no"),
        ("validate-yaml", 400, "Invalid metadata in README.md."),
    ],
)
def test_a_refusal_leaves_the_repository_as_it_was_and_the_folder_whole(
    place: Path, hub: HubServer, tmp_path: Path, word: str, code: int, said: str
) -> None:
    out = tmp_path / "target"
    hub.refused[word] = (code, "no")
    done = typed(place / "run", out, "--push", "me/target")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
    assert said in done.stderr
    assert done.stderr.endswith(f"{out} is complete: xdist export {out} --push me/target\n")
    branches = hub.repositories.get(("model", "me/target"), {})
    assert all(set(files) == {".gitattributes"} for files in branches.values())
    hub.refused.clear()
    assert typed(out, "--push", "me/target").exit_code == 0


def test_what_does_not_arrive_as_it_was_sent_is_told(place: Path, hub: HubServer, tmp_path: Path) -> None:
    hub.lies["tree"] = lambda entries: [{**one, "oid": "0" * 40, "lfs": None} for one in entries]
    done = typed(place / "run", tmp_path / "target", "--push", "me/target")
    assert (done.exit_code, "differs from what was sent, in commit" in done.stderr) == (2, True), done.output


def test_the_hub_s_parser_reads_the_card(place: Path, hub: HubServer, tmp_path: Path) -> None:
    out = tmp_path / "target"
    assert typed(place / "run", out, "--licence", "cc-by-sa-4.0").exit_code == 0
    text = (out / "README.md").read_text()
    front = ModelCard(text).data
    assert (front.base_model, front.license, front.library_name) == (["someone/encoder"], "cc-by-sa-4.0", "transformers")
    assert (front.pipeline_tag, front.language) == ("token-classification", ["en", "no", "sw"])
    entry = task("udpos")
    assert front.datasets == ([entry.hub.id] if entry.hub else None)
    found = {(one.dataset_args["language"], one.metric_type): one for one in front.eval_results}
    assert list(found) == [("sw", "f1"), ("sw", "accuracy"), ("no", "f1")]  # no other head's, nothing smoothed
    assert found["sw", "f1"].metric_value == 12.3457
    assert {one.task_type for one in found.values()} == {"token-classification"}
    again = yaml.safe_load(ModelCard(text).data.to_yaml())
    assert again["model-index"][0]["name"] == "run"
    assert "- began with someone/encoder at commit cccccccccccc" in text
    assert "- this model: cc-by-sa-4.0" in text
    assert f"- data of udpos: {entry.licence}" in text
    assert str(tmp_path) not in text
    assert text.index("```python") < text.index("## Training")


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("sw en pt-BR zh_Hant sh", "en pt sh sw zh"),
        ("eng_Latn-rus_Cyrl", "eng rus"),
        ("de-en zh-zh", "de en zh"),
        ("bat-smg fiu-vro roa-rup map-bms zh-yue zh-classical nds-nl simple", "eng jav lzh nds rup sgs vro yue"),
    ],
)
def test_languages_of_a_card_are_codes_of_iso(codes: str, expected: str) -> None:
    assert ModelCard(card(scored("xnli", *codes.split()), "Model", "")).data.language == expected.split()


def scored(name: str, *codes: str) -> About:
    """Of a model that was scored with nothing but this task, in these languages."""
    entry = task(name)
    languages = {code: {entry.metric: 50.0, "count": 2} for code in codes}
    scores = {name: {"metric": entry.metric, "split": "dev", "languages": languages, "mean": {entry.metric: 50.0}}}
    return About(name="m", lineage=(), source="the model", place="m", head=entry.head, scores=scores, catalog={name: entry})


def test_a_translated_score_is_not_of_the_hub_s_english() -> None:
    english, translated = ModelCard(card(scored("squad", "en", "sw"), "Model", "")).data.eval_results
    assert (english.dataset_type, english.dataset_config, english.dataset_split) == (
        "rajpurkar/squad",
        "plain_text",
        "validation",
    )
    assert (translated.dataset_type, translated.dataset_config, translated.dataset_split) == ("squad", "sw", "dev")


@pytest.mark.parametrize("name", ["cldr-topic", "siqa", "squad", None])
def test_the_card_s_example_runs_as_it_stands(
    place: Path, tmp_path: Path, name: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run", place / "encoder", [name or "xnli"])
    assert typed(tmp_path / "run", tmp_path / "out", *(() if name else ("--head", "none"))).exit_code == 0
    code = (tmp_path / "out/README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(code, {})
    assert capsys.readouterr().out


def test_what_a_backbone_is_on_the_hub(place: Path, tmp_path: Path) -> None:
    assert from_hub("someone/encoder") == ("someone/encoder", None)
    assert from_hub(str(place / "encoder")) is None
    assert from_hub("/no/such/folder") is None
    cached = tmp_path / "hub/models--someone--the--encoder/snapshots" / ("a" * 40)
    cached.mkdir(parents=True)
    assert from_hub(str(cached)) == ("someone/the--encoder", "a" * 40)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {}},
        {"train": {"tasks": []}},
        {"robust": [{"radius": 1}]},
        {"seed": "one"},
        {"train": None},
    ],
)
def test_a_lineage_that_is_none_is_one_line(place: Path, tmp_path: Path, change: dict[str, object]) -> None:
    """It comes with a fetched model, from any author."""
    told = read_json(place / "run/model/trained_on.json")
    told[0]["description"].update(change)
    (tmp_path / "trained_on.json").write_text(json.dumps(told))
    with pytest.raises(Exception, match=r"trained_on.json: is not what xdist writes for a model$"):
        read_lineage(str(tmp_path))


def test_a_private_model_is_fetched_with_the_token_alone(
    place: Path, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"  # made of the address when the client is imported
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert typed(place / "run", tmp_path / "target", "--push", "me/target").exit_code == 0
    words = ["fetch", "--model", "me/target", "--into", str(tmp_path / "data")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    fetched = tmp_path / "data/models/me/target"
    assert [stage.base.id for stage in read_lineage(str(fetched)) if stage.base] == ["someone/encoder"]
    assert from_hub(str(fetched)) == ("me/target", read_json(fetched / "fetched.json")["commit"])
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    done = CliRunner().invoke(main, [*words[:-1], str(tmp_path / "other")])
    assert (done.exit_code, "or it is private (set HF_TOKEN)" in done.stderr) == (2, True)
