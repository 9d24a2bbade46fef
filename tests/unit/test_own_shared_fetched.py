"""Commands that take a run or a task: for your own tasks, for shared heads, and for a model fetched into the data root."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from batch_of import batch_of
from click.testing import CliRunner, Result
from hub_server import serving
from resolved_of import resolved_of, scored_of
from tiny import tiny_benchmark, tiny_model
from transformers import AutoModelForSequenceClassification

from xdist.checkpoint import tags
from xdist.checkpoint.state_shards import write_shard
from xdist.cli import main
from xdist.config import Run, load_run
from xdist.data.heads import heads_in
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.loading import load_for_evaluation
from xdist.evaluation.per_example import Gold, scored_tasks
from xdist.evaluation.scores import Scores
from xdist.fetch import parts
from xdist.fetch.fetching import fetch, plan
from xdist.fetch.hub import HubClient
from xdist.model.encoder import load_encoder
from xdist.model.folder import save_model
from xdist.model.model import Model
from xdist.resolve.subsets import Subsets
from xdist.tasks.catalog import sharing, task
from xdist.tasks.family import family_of

ENCODER = "someone/tiny-encoder"
TOKENS = [0, 30, 31, 50, 42, 2]
OWN = {
    "news": {
        "family": "classification",
        "languages": ["sw", "en"],
        "files": {split: f"news/{split}-{{language}}.tsv" for split in ("train", "test")},
        "labels": ["politics", "sport", "weather"],
        "texts": 1,
    },
    "parts": {"family": "tagging", "languages": ["sw"], "files": {"test": "parts/{language}.tsv"}, "labels": ["O", "B-X"]},
    "quiz": {"family": "multiple-choice", "languages": ["sw"], "files": {"test": "quiz/{language}.jsonl"}},
    "ask": {"family": "span-qa", "languages": ["sw"], "files": {"test": "ask/{language}.json"}},
    "web": {"family": "masked-lm", "languages": ["sw"], "files": {"train": "web/{language}"}},
}
ANSWER = {"id": "1", "question": "a?", "answers": [{"text": "Peru", "answer_start": 9}]}
FILES = {
    **{f"news/{split}-{code}.tsv": "habari\tsport\nsiasa\tpolitics\n" for split in ("train", "test") for code in ("sw", "en")},
    "parts/sw.tsv": "a\tO\nb\tB-X\n\nc\tO\n",
    "quiz/sw.jsonl": '{"prompt": "a", "options": ["b", "c"], "label": 1}\n',
    "ask/sw.json": json.dumps({"data": [{"title": "t", "paragraphs": [{"context": "Kenya na Peru", "qas": [ANSWER]}]}]}),
    "web/sw/1.txt": "moja\nmbili\n",
}
GOLD = {
    **{f"news/test-{code}.tsv": "sport\npolitics\n" for code in ("sw", "en")},
    "parts/test-sw.tsv": "O\nB-X\n\nO\n",
    "quiz/test-sw.jsonl": '{"label": 1}\n',
    "ask/test-sw.json": '{"1": "Peru"}',
}
KINDS = ("own", "shared", "fetched", "all")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data: a benchmark, your own files and a fetched encoder; encoder: the same encoder; tasks.yaml."""
    folder = tmp_path_factory.mktemp("place")
    tiny_benchmark(folder / "data")
    tiny_model(folder / "encoder", folder / "data")
    write(folder / "data", FILES)
    (folder / "tasks.yaml").write_text(yaml.safe_dump({"tasks": OWN}))
    with serving() as server:
        server.add_folder(ENCODER, folder / "encoder")
        hub, repository = HubClient(server.url), parts.model(ENCODER)
        fetch(hub, repository, plan(hub, folder / "data", repository, None, False, False), lambda count: None)
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def described(kind: str, place: Path, folder: Path, **changes: Any) -> Path:
    """The file of a run in `folder`; what it trains and scores is also the answer to "which of the three is this"."""
    own, shared, fetched = (kind in (name, "all") for name in KINDS[:3])
    name = "news" if own else "cldr-topic"
    values = {
        "name": folder.name,
        "folder": str(folder),
        "model": {"backbone": ENCODER if fetched else str(place / "encoder")},
        "data": {"root": str(place / "data"), "cache": str(folder.parent / "prepared")},
        "train": {"tasks": [{"task": name, "languages": ["en"]}], "steps": 5, **({"share": "family"} if shared else {})},
        "evaluate": {"tasks": [name], "languages": ["en", "sw"]},
    }
    if own:
        values["data"]["tasks"] = str(place / "tasks.yaml")
    path = folder.parent / f"{folder.name}.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}))
    return path


def saved(path: Path) -> Model:
    """The folder of a run that says it has trained, with random heads, and a checkpoint as ZeRO 0 leaves it on one rank."""
    run = load_run(path)
    section = resolved_of(run).model
    tokenizer = load_tokenizer(section.backbone)
    families = {one.head: family_of(one) for one in Subsets(run).tasks}
    model = Model(load_encoder(section, tokenizer, torch.float32), families, run.seed).eval()
    run.folder.mkdir(exist_ok=True)
    (run.folder / "config.yaml").write_text(path.read_text())
    save_model(run.folder / "model", model, dict(model.state_dict()), tokenizer)
    names = [name for name, _ in model.named_parameters() if ".word_embeddings." not in name]  # frozen: the backbone's own
    moments = {key: torch.zeros(1) for key in ("exp_avg", "exp_avg_sq")}
    state = {
        "module": {name: value + 1.0 for name, value in model.named_parameters() if name in names},
        "parameters": [names],
        "optimizer": {
            "param_groups": [{"params": list(range(len(names)))}],
            "state": {number: {"step": 5, **moments} for number in range(len(names))},
        },
    }
    saving = run.folder / "checkpoints" / tags.SAVING
    saving.mkdir(parents=True)
    file = "mp_rank_00_model_states.pt"
    tags.finish_tag(run.folder / "checkpoints", 5, 1, 0, {file: write_shard(state, saving / file)})
    return model


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)), env={"COLUMNS": "300"})


def done(*words: object) -> str:
    found = typed(*words)
    assert found.exit_code == 0, found.output
    return found.output


# --- taking the model away -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_export(kind: str, place: Path, tmp_path: Path) -> None:
    path = described(kind, place, tmp_path / "run")
    model = saved(path)
    (head,) = model.heads
    entry = task("news", place / "tasks.yaml") if kind in ("own", "all") else task("cldr-topic")
    assert head == (sharing(entry, "family").head if kind in ("shared", "all") else entry.name)
    loaded = {}
    for out, words in (("whole", ()), ("named", ("--head", head)), ("last", ("--tag", "last")), ("mean", ("--average", "1"))):
        done("export", tmp_path / "run", tmp_path / out, *words)
        loaded[out] = AutoModelForSequenceClassification.from_pretrained(tmp_path / out).eval()
        assert list(loaded[out].config.id2label.values()) == list(entry.labels)
    logits = {out: one(torch.tensor([TOKENS])).logits for out, one in loaded.items()}
    expected = model.heads[head](model.hidden(batch_of([[TOKENS]])))[:1]
    assert torch.allclose(logits["whole"], expected, atol=1e-5)
    assert torch.equal(logits["named"], logits["whole"])
    assert torch.equal(logits["mean"], logits["last"])
    assert not torch.allclose(logits["last"], logits["whole"], atol=1e-5)
    card = yaml.safe_load((tmp_path / "whole" / "README.md").read_text().split("---")[1])
    assert card.get("base_model") == ([ENCODER] if kind in ("fetched", "all") else None)  # never a folder of this machine
    unknown = typed("export", tmp_path / "run", tmp_path / "no", "--head", f"{head}x")
    assert (unknown.exit_code, f"did you mean '{head}'?" in unknown.stderr) == (2, True)


def test_export_of_the_encoder_needs_no_tasks(place: Path, tmp_path: Path) -> None:
    """The head's labels are in the file of tasks; without it the encoder alone can be taken away."""
    saved(described("own", place, tmp_path / "run"))
    config = tmp_path / "run/config.yaml"
    config.write_text(config.read_text().replace("tasks.yaml", "gone.yaml"))
    refused = typed("export", tmp_path / "run", tmp_path / "out")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert refused.stderr.startswith(f"xdist: {tmp_path}/run/config.yaml:")
    assert "train.tasks.0.task: " in refused.stderr
    done("export", tmp_path / "run", tmp_path / "out", "--head", "none")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_only_evaluates_has_the_heads_that_were_trained(kind: str, place: Path, tmp_path: Path) -> None:
    path = described(kind, place, tmp_path / "run")
    (head,) = saved(path).heads
    values = yaml.safe_load(path.read_text())
    for name in ("train", "folder", "model"):
        del values[name]
    run = Run.model_validate({**values, "folder": str(tmp_path / "scored"), "model": {"backbone": str(tmp_path / "run/model")}})
    subsets = scored_of(run)
    assert {subset.task.head for subset in subsets} == {head}
    backbone = run.model.backbone
    model = load_for_evaluation(resolved_of(run).model, load_tokenizer(backbone), subsets, torch.float32)
    assert list(model.heads) == [head]
    # Other tasks than the trained ones keep their own name, for the message that there is no such head.
    other = run.model_copy(update={"evaluate": run.evaluate.model_copy(update={"tasks": ("cldr-spans",)})})  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"holds no head 'cldr-spans' \(it has: none\)"):
        load_for_evaluation(resolved_of(other).model, load_tokenizer(backbone), scored_of(other), torch.float32)
    (tmp_path / "run/model/heads.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match=r"heads.json: is not what xdist writes for the heads of a model"):
        scored_of(run)
    assert heads_in(tmp_path) == {}


def test_tasks_that_cannot_share_a_head(place: Path, tmp_path: Path) -> None:
    own = {"weather": {**OWN["news"], "labels": ["rain", "sun"], "head": "news"}, "news": OWN["news"]}
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump({"tasks": own}))
    path = described(
        "own",
        place,
        tmp_path / "run",
        data={"root": str(place / "data"), "tasks": str(tmp_path / "tasks.yaml")},
        train={"tasks": [{"task": "news"}, {"task": "weather"}], "steps": 5},
    )
    refused = typed("train", path, "--dry-run")
    said = "train.tasks.1.task: 'weather' and 'news' cannot share the head 'news': other family or labels"
    assert (refused.exit_code, said in refused.stderr, len(refused.stderr.splitlines())) == (2, True, 1)


# --- what is planned and fetched -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "words",
    [
        ("train", "--dry-run"),
        ("evaluate", "--dry-run"),
        ("prepare", "--dry-run"),
        ("plan", "--gpu-memory", "80"),
        ("fetch", "--dry-run"),
        ("fetch",),
    ],
)
def test_commands_that_take_a_run(kind: str, words: Sequence[str], place: Path, tmp_path: Path) -> None:
    path = described(kind, place, tmp_path / "run")
    if words[0] == "evaluate":
        refused = typed(*words[:1], path, *words[1:])
        assert (refused.exit_code, f"{tmp_path}/run/model: does not exist yet" in refused.stderr) == (2, True)
        saved(path)
    output = done(words[0], path, *words[1:])
    name = "news" if kind in ("own", "all") else "cldr-topic"
    match words[0]:
        case "train" | "evaluate":
            assert f"train on      {name} train en\nevaluate on   {name} in " in output
        case "prepare":
            assert f"{name} train en\n" in output
        case "plan":
            assert "train so with     runtime.deepspeed=FILE" in output
        case "fetch":
            assert output.endswith(
                "to fetch: 0 bytes\n" if "--dry-run" in words else "all files are present; nothing was fetched\n"
            )
            assert "not fetched" not in output
    assert words[0] == "evaluate" or not (tmp_path / "run").exists()


def test_fetch_says_which_files_of_ones_own_are_not_there(place: Path, tmp_path: Path) -> None:
    train = {"tasks": [{"task": "news", "languages": ["sw"]}, {"task": "web", "languages": ["sw"]}], "steps": 1}
    path = described("own", place, tmp_path / "run", train=train)
    root = tmp_path / "elsewhere"
    write(root, {name: text for name, text in FILES.items() if name.startswith("news/test")})
    write(root, {"web/sw.parquet": ""})  # running text may be there as Parquet your own files
    found = typed("fetch", path, "--into", root)
    assert found.exit_code == 0
    assert found.stderr == (
        f"not fetched: news train: no data set of the hub holds it; xdist looks for {root}/news/train-{{language}}.tsv\n"
    )
    found = typed("fetch", path, "--task", "news")
    assert (found.exit_code, found.stderr.startswith("xdist: task 'news': no data set of the hub holds it")) == (2, True)
    assert "did you mean 'news'?" in typed("fetch", path, "--task", "newz").stderr


def test_what_is_not_fetched_yet(place: Path, tmp_path: Path) -> None:
    path = described("fetched", place, tmp_path / "run", data={"root": str(tmp_path)})
    refused = typed("plan", path, "--gpu-memory", "80")
    assert refused.exit_code == 2
    assert (
        f"`xdist fetch --model {ENCODER} --into ROOT` downloads it to ROOT/models/{ENCODER}: plan that folder" in refused.stderr
    )
    done("plan", place / "data/models" / ENCODER, "--gpu-memory", "80")


# --- what is listed and scored ---------------------------------------------------------------------------------------------
def test_tasks(place: Path) -> None:
    output = done("tasks", "--tasks", place / "tasks.yaml", "--data", place / "data")
    for name in OWN:
        assert f"\n{name} " in output
    assert "there in 2 of 2 languages" in done(
        "tasks", "show", "news", "--tasks", place / "tasks.yaml", "--data", place / "data"
    )
    assert "\nnews " not in done("tasks")


def test_tasks_check(place: Path, tmp_path: Path) -> None:
    output = done("tasks", "check", place / "data", "--tasks", place / "tasks.yaml")
    rows = [line.split() for line in output.splitlines()[2:]]
    own = {(row[0], row[1], row[2]): row[3:] for row in rows if row[0] in OWN}
    assert own == {
        **{("news", split, code): ["2", "?", "yes"] for split in ("train", "test") for code in ("sw", "en")},
        ("parts", "test", "sw"): ["2", "?", "yes"],
        **{(name, "test", "sw"): ["1", "?", "yes"] for name in ("quiz", "ask")},
        ("web", "train", "sw"): ["2", "?", "yes"],
    }
    assert "cldr-topic" in {row[0] for row in rows}
    only = done("tasks", "check", place / "data", "--tasks", place / "tasks.yaml", "--task", "quiz")
    assert ("quiz" in only, "news" in only) == (True, False)
    write(tmp_path, {"news/test-sw.tsv": "habari\tsports\n"})
    broken = typed("tasks", "check", tmp_path, "--tasks", place / "tasks.yaml")
    assert broken.exit_code == 2
    assert f"{tmp_path}/news/test-sw.tsv:1: " in broken.stderr
    for words in (("tasks",), ("tasks", "check", place / "data"), ("score", place / "data", "--gold", place / "data")):
        refused = typed(*words, "--tasks", tmp_path / "none.yaml")
        assert (refused.exit_code, refused.stderr.startswith(f"xdist: {tmp_path}/none.yaml: cannot be read")) == (2, True)


def test_score(place: Path, tmp_path: Path) -> None:
    predictions = write(tmp_path / "predictions", GOLD)
    words = ("score", predictions, "--gold", place / "data")
    done(*words, "--tasks", place / "tasks.yaml", "--out", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())["tasks"]
    assert {name: entry["mean"][entry["metric"]] for name, entry in scores.items()} == dict.fromkeys(
        ("ask", "news", "parts", "quiz"), 100.0
    )
    refused = typed(*words)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert refused.stderr.endswith("; your own task needs --tasks TASKS.yaml or --plugin FILE\n")
    for name in ("web", "mlm", "squad-sentences"):
        write(predictions, {f"{name}/test-sw.tsv": "a\n"})
        refused = typed(*words, "--tasks", place / "tasks.yaml")
        said = f"xdist: {predictions / name}: task '{name}' is trained, not evaluated\n"
        assert (refused.exit_code, refused.stderr) == (2, said)
        (predictions / name / "test-sw.tsv").unlink()
        (predictions / name).rmdir()


def with_scores(path: Path, wrong: bool = False) -> Path:
    """The folder of a run with predictions that are gold, or of which the first of each language is not."""
    run = load_run(path)
    run.folder.mkdir()
    (run.folder / "config.yaml").write_text(path.read_text())
    scores = Scores(run.folder / "scores.json", run.name)
    for entry in dict.fromkeys(subset.task for subset in scored_of(run)):
        found = {}
        for subset in scored_of(run):
            if subset.task is entry:
                examples = list(entry.examples(run.data.root, "test", subset.language))
                labels = [example.label for example in examples]
                labels[0] = next(label for label in entry.labels if label != labels[0]) if wrong else labels[0]
                submission.write_predictions(
                    submission.predictions_path(run.folder / "predictions", entry, "test", subset.language), entry, labels
                )
                found[subset.language] = {**family_of(entry).score(labels, examples, subset.language), "count": len(labels)}
        scores.add(entry, "test", ["en"], found)
    return run.folder


@pytest.mark.parametrize("kind", ["own", "shared", "all"])
def test_compare_and_report(kind: str, place: Path, tmp_path: Path) -> None:
    better = with_scores(described(kind, place, tmp_path / "better"))
    worse = with_scores(described(kind, place, tmp_path / "worse", seed=2, robust={"method": "random"}), wrong=True)
    assert "p = " in done("compare", better, worse)
    done("report", better, "--against", worse, "--out", tmp_path / "report")
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert ("news" if kind != "shared" else "cldr-topic") in json.dumps(report)
    done("report", better, worse, "--out", tmp_path / "both")


def test_two_tasks_of_one_name_have_gold_of_their_own(place: Path, tmp_path: Path) -> None:
    """Each run is looked at with the tasks that it names."""
    write(tmp_path / "data", {"other/test-en.tsv": "habari\tpolitics\nsiasa\tsport\n"})
    write(tmp_path / "data", FILES)
    gold = Gold()
    right = []
    for name, pattern in (("one", "news/test-{language}.tsv"), ("two", "other/test-{language}.tsv")):
        own = {"news": {**OWN["news"], "languages": ["en"], "files": {"train": "news/train-{language}.tsv", "test": pattern}}}
        (tmp_path / f"{name}-tasks.yaml").write_text(yaml.safe_dump({"tasks": own}))
        data = {"root": str(tmp_path / "data"), "tasks": str(tmp_path / f"{name}-tasks.yaml")}
        folder = with_scores(described("own", place, tmp_path / name, data=data))
        right.append(scored_tasks(folder, gold)["news"].rows["en"].mean())
    assert right == [1.0, 1.0]


def test_a_checkpoint_is_looked_at_without_the_tasks(place: Path, tmp_path: Path) -> None:
    saved(described("all", place, tmp_path / "run"))
    config = tmp_path / "run/config.yaml"
    config.write_text(config.read_text().replace("tasks.yaml", "gone.yaml"))
    assert "complete" in done("checkpoint", "list", tmp_path / "run")
    assert "whole" in done("checkpoint", "verify", tmp_path / "run")
