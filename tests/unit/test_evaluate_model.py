"""xdist evaluate --model: the run that is made of the options, and what is said before anything starts."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from tiny import tiny_benchmark, tiny_model
from tiny_finetuned import tiny_finetuned

from xdist.cli import main
from xdist.config import load_run
from xdist.config.scoring_run import overrides_of, run_of_checkpoint
from xdist.files import read_json, write_json
from xdist.tasks.catalog import task

TAGS = list(task("cldr-spans").labels)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    tiny_benchmark(folder / "benchmark")
    tiny_finetuned(tiny_model(folder / "tagger", folder / "benchmark"), "tagging", TAGS[::-1])
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *words])


@pytest.mark.parametrize(
    "model, name",
    [
        ("models/target/", "target-udpos-panx"),
        ("runs/seed 1/model", "seed-1-model-udpos-panx"),
        ("owner/xlm-r", "xlm-r-udpos-panx"),
        ("~/_ä", "udpos-panx"),
    ],
)
def test_the_run_is_named_by_model_and_tasks(model: str, name: str, tmp_path: Path) -> None:
    sections = run_of_checkpoint(model, ["udpos", "panx"])
    run = load_run(Path(os.devnull), [*overrides_of(sections)])
    assert (run.name, run.folder, run.model.backbone) == (name, Path("runs/evaluate", name), os.path.expanduser(model))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(sections))
    assert load_run(tmp_path / "run.yaml").dump() == run.dump()


def test_every_option_is_a_key_of_the_run() -> None:
    sections = run_of_checkpoint(
        "m", ["udpos"], root=Path("ä ö"), languages=["de"], split="dev", labels=['"', "[x]: '", "ñ"], out=Path("out")
    )
    run = load_run(Path(os.devnull), [*overrides_of(sections)])
    assert run.evaluate
    assert (run.folder, run.data.root, run.evaluate.languages, run.evaluate.split) == (Path("out"), Path("ä ö"), ("de",), "dev")
    assert run.model.labels == ('"', "[x]: '", "ñ")


def test_labels_are_part_of_a_run_where_they_are_given() -> None:
    plain = load_run(Path(os.devnull), [*overrides_of(run_of_checkpoint("m", ["udpos"]))])
    assert "labels" not in plain.dump()["model"]
    given = plain.model_copy(update={"model": plain.model.model_copy(update={"labels": ("a",)})})
    assert given.identity != plain.identity
    assert given.dump()["model"]["labels"] == ["a"]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(place: Path) -> None:
    before = sorted(place.rglob("*"))
    words = ("--model", "tagger", "--task", "cldr-spans", "--task", "cldr-names", "--data", "benchmark", "--languages", "de,sw")
    done = typed(*words, "runtime.ranks=3", "runtime.precision=fp32", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "run tagger-cldr-spans-cldr-names in runs/evaluate/tagger-cldr-spans-cldr-names (now: new)" in done.output
    assert "evaluate on   cldr-spans in 2 languages, cldr-names in 2 languages" in done.output
    assert "/launch/ranks.py 3 " in done.output
    assert sorted(place.rglob("*")) == before


MODEL = ("--model", "tagger", "--data", "benchmark", "--task")


@pytest.mark.parametrize(
    "words, said",
    [
        ((), "give RUN.yaml, or a model: --model FOLDER --task NAME"),
        (("run.yaml", *MODEL, "cldr-spans"), "run.yaml: give either RUN.yaml or --model"),
        (("run.yaml", "--task", "cldr-spans"), "--task: goes with --model; what run.yaml describes has evaluate.tasks=…"),
        (("run.yaml", "--split", "dev"), "--split: goes with --model; what run.yaml describes has evaluate.split=…"),
        (("run.yaml", "--plugin", "mine.py"), "--plugin: goes with --model; what run.yaml describes has plugins=…"),
        (
            (*MODEL, "cldr-spans", "--plugin", "nowhere.py"),
            "(command line): plugins.0: nowhere.py: cannot be read: No such file",
        ),
        (("--model", "tagger"), "tagger: say what to score it on: --task NAME (`xdist tasks` lists them)"),
        ((*MODEL, "cldr-spanz"), "did you mean 'cldr-spans'?"),
        ((*MODEL, "cldr-spans", "--languages", "de,sv"), "unknown language 'sv': did you mean 'sw'?"),
        ((*MODEL, "cldr-spans", "--data", "nowhere"), "data.root: nowhere: no such folder"),
        ((*MODEL, "cldr-spans", "runtime.rank=2"), "runtime.rank=2 (command line): runtime: unknown key 'rank': did you mean"),
        ((*MODEL, "cldr-topic"), "tagger: the head of XLMRobertaForTokenClassification does not fit 'cldr-topic'"),
        (
            (*MODEL, "cldr-spans", "--labels", "O,B-LOC"),
            "model.labels names O, B-LOC; the labels of 'cldr-spans' are O, B-LOC,",
        ),
        ((*MODEL, "cldr-spans", "--model", "./nowhere"), "./nowhere: no such folder"),
        ((*MODEL, "cldr-spans", "--model", "benchmark"), "benchmark: is not a model folder (no config.json)"),
    ],
)
def test_mistakes_are_one_line_at_a_dry_run_and_at_the_start(place: Path, words: tuple[str, ...], said: str) -> None:
    before = sorted(place.rglob("*"))
    lines = []
    for more in ((), ("--dry-run",)):
        done = typed(*words, *more)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
        lines.append(done.stderr)
    assert said in lines[0]
    assert lines[0] == lines[1]
    assert sorted(place.rglob("*")) == before


def test_a_head_that_cannot_be_carried_is_told_by_a_dry_run(place: Path) -> None:
    """Its weights are read as the ranks would."""
    file = place / "tagger/model.safetensors"
    weights = load_file(file)
    save_file({**weights, "classifier.bias": weights["classifier.bias"][:-1].clone()}, file, {"format": "pt"})
    done = typed(*MODEL, "cldr-spans", "--dry-run")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output
    assert "tagger: classifier.bias is (" in done.stderr


def test_the_order_of_labels_that_the_model_does_not_name_is_asked_for(place: Path) -> None:
    config = place / "tagger/config.json"
    write_json(config, {**read_json(config), "id2label": {str(number): f"LABEL_{number}" for number in range(len(TAGS))}})
    said = typed(*MODEL, "cldr-spans", "--dry-run").stderr
    assert "tagger/config.json: id2label names LABEL_0, LABEL_1," in said
    assert said.endswith("say which output is which, in their order: model.labels=[…]\n")
    assert typed(*MODEL, "cldr-spans", "--dry-run", "--labels", ",".join(TAGS[::-1])).exit_code == 0


def test_scores_of_a_model_that_was_written_since_are_not_taken_for_its_own(place: Path) -> None:
    scores = place / "out/scores.json"
    write_json(scores, {"run": "tagger", "tasks": {}})
    (place / "out/config.yaml").write_text(yaml.safe_dump(run_of_checkpoint("tagger", ["cldr-spans"], root=Path("benchmark"))))
    words = (*MODEL, "cldr-spans", "--out", "out", "--dry-run")
    os.utime(scores, (2e9, 2e9))
    assert typed(*words).exit_code == 0
    os.utime(place / "tagger/model.safetensors", (2e9 + 1, 2e9 + 1))
    done = typed(*words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "out/scores.json: is older than the model in tagger; choose another folder (--out)" in done.stderr
