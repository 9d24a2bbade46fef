"""Test sets whose gold is blanked or comes later: predicted, reported, and scored by the same predictions once there is
gold."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from blanked import blank
from click.testing import CliRunner
from predicted import predict
from resolved_of import request_of, scored_of
from tiny import tiny_benchmark, tiny_model
from tiny_families import tiny_families
from tiny_retrieval import bucc

from xdist.cli import main
from xdist.config import Run, load_run
from xdist.data.look import find_without_gold
from xdist.data.subset import Subset
from xdist.errors import UserError
from xdist.evaluation.made_of import inputs_digest
from xdist.evaluation.scores import Scores, subsets_without_gold, without_gold_line
from xdist.evaluation.scoring import Scoring
from xdist.evaluation.to_do import MixtureError, plan_work
from xdist.files import Digests, read_json, write_json
from xdist.formats.gold import labelled
from xdist.metrics import metric
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import task
from xdist.tasks.check import check_split

TASKS = ("xquad", "xcopa", "udpos", "xnli", "tatoeba")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    tiny_benchmark(folder)
    (folder / "cldr-names").rename(folder / "tatoeba")
    (folder / "labels/cldr-names").rename(folder / "labels/tatoeba")
    return tiny_families(folder)


@pytest.fixture(scope="module")
def encoder(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a head for each task, as far as its description says so."""
    folder = tiny_model(tmp_path_factory.mktemp("model") / "encoder", originals)
    heads = {one.head: {"family": one.family, "task": one.name, "labels": one.labels} for one in map(task, TASKS)}
    write_json(folder / "heads.json", heads)
    return folder


@pytest.fixture
def described(originals: Path, encoder: Path, tmp_path: Path) -> Callable[..., Run]:
    """A run that evaluates every family with an encoder as it is; words are overrides."""
    root = shutil.copytree(originals, tmp_path / "data")
    backbone = shutil.copytree(encoder, tmp_path / "encoder")
    run = {
        "name": "gold",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(backbone)},
        "data": {"root": str(root)},
        "evaluate": {"tasks": list(TASKS)},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(run, sort_keys=False))
    return lambda *overrides: load_run(path, overrides)


def times(run: Run) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in RunFolder(run.folder).predictions.rglob("test-*")}


def names(subsets: tuple[Subset, ...]) -> list[str]:
    return [str(subset) for subset in subsets]


def test_gold_that_comes_later_is_scored_by_the_predictions_that_are_there(
    described: Callable[..., Run], originals: Path
) -> None:
    run = described()
    changed = blank(run.data.root)
    every = [str(subset) for subset in scored_of(run)]
    assert len(every) > len(TASKS)
    assert predict(run, originals) == every
    assert not plan_work(request_of(run))
    assert [str(subset) for subset in subsets_without_gold(request_of(run))] == every
    assert without_gold_line(subsets_without_gold(request_of(run))).startswith("no gold: predicted, not scored: xquad (")
    before = times(run)
    for path in changed:  # one after another: some languages have gold before others
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(originals / path.relative_to(run.data.root), path)
        assert not plan_work(request_of(run)).predict, path
    assert names(plan_work(request_of(run)).score) == every
    assert predict(run, originals) == []
    assert times(run) == before
    assert not plan_work(request_of(run))
    assert subsets_without_gold(request_of(run)) == []
    for name, entry in Scores(RunFolder(run.folder).scores, "").tasks.items():
        assert entry["mean"][metric(task(name).metric).headline] == 100, name


def test_a_file_whose_texts_changed_is_predicted_again(described: Callable[..., Run], originals: Path) -> None:
    run = described("evaluate.tasks=[xnli, udpos]")
    blank(run.data.root)
    predict(run, originals)
    path = run.data.root / "xnli/test-sw.tsv"
    path.write_text(path.read_text().replace("\t", " and\t", 1))
    assert names(plan_work(request_of(run)).predict) == ["xnli test sw"]
    assert plan_work(request_of(run)).score == ()
    scoring = Scoring(request_of(run), "fp32")
    scoring.make_room(plan_work(request_of(run)).predict)  # a start that is killed from here on leaves nothing half true
    assert sorted(Scores(scoring.folder.scores, "").tasks["xnli"]["languages"]) == ["de", "en"]
    assert predict(run, originals) == ["xnli test sw"]
    assert not plan_work(request_of(run))


def test_predictions_that_were_changed_or_removed_are_made_again(described: Callable[..., Run], originals: Path) -> None:
    run = described("evaluate.tasks=[xnli]")
    blank(run.data.root)
    predict(run, originals)
    shutil.copyfile(originals / "xnli/test-sw.tsv", run.data.root / "xnli/test-sw.tsv")
    where = RunFolder(run.folder).predictions / "xnli/test-sw.tsv"
    assert names(plan_work(request_of(run)).score) == ["xnli test sw"]
    kept = where.read_text()
    where.write_text(kept.replace("neutral", "entailment"))
    assert names(plan_work(request_of(run)).predict) == ["xnli test sw"]
    where.unlink()
    assert names(plan_work(request_of(run)).predict) == ["xnli test sw"]
    where.write_text(kept)
    assert names(plan_work(request_of(run)).score) == ["xnli test sw"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("data.max_length=64", r"data\.max_length: was 128 when 'xnli' was predicted, is 64"),
        ("evaluate.smoothing={draws: 2}", r"evaluate\.smoothing: was null when 'xnli' was predicted, is \{radius: .*draws: 2"),
        ("runtime.precision=bf16", r"runtime\.precision: was fp32 when 'xnli' was predicted, is bf16"),
        ("evaluate.layer=3", r"evaluate\.layer: was null when 'tatoeba' was predicted, is 3"),
    ],
)
def test_another_option_is_refused_until_predictions_are_removed(
    described: Callable[..., Run], originals: Path, option: str, message: str
) -> None:
    run = described("evaluate.tasks=[xnli, tatoeba]")
    blank(run.data.root)
    predict(run, originals)
    before = times(run)
    other = described("evaluate.tasks=[xnli, tatoeba]", option)
    with pytest.raises(MixtureError, match=message) as error:
        plan_work(request_of(other))
    assert str(error.value).startswith(f"{option} (command line): ")
    assert str(error.value).endswith(
        f"; choose another folder (folder=…), or remove {run.folder}/predictions and scores.json to predict again"
    )
    assert times(run) == before
    shutil.rmtree(RunFolder(run.folder).predictions)
    assert len(plan_work(request_of(other)).predict) == 5


def test_how_words_became_text_is_named_and_never_mixed(described: Callable[..., Run], originals: Path) -> None:
    run = described("evaluate.tasks=[udpos, xnli]", "data.words=text")
    blank(run.data.root)
    predict(run, originals)
    scores = Scores(RunFolder(run.folder).scores, "")
    assert (
        scores.tasks["udpos"]["made_of"]["options"]["data.words"] == "joined"
    )  # an official file does not say where blanks are
    assert "data.words" not in scores.tasks["xnli"]["made_of"]["options"]
    assert not plan_work(request_of(described("evaluate.tasks=[udpos, xnli]"))).predict
    with pytest.raises(MixtureError, match=r"data\.words: was joined when 'udpos' was predicted, is separate"):
        plan_work(request_of(described("evaluate.tasks=[udpos]", "data.words=separate")))


def test_another_model_is_refused_by_its_folder(described: Callable[..., Run], originals: Path) -> None:
    run = described("evaluate.tasks=[xnli]")
    blank(run.data.root)
    predict(run, originals)
    encoder = Path(run.model.backbone)
    (encoder / "model.safetensors").write_text("other weights")
    for tasks in ("[xnli]", "[udpos]"):  # neither for the given task nor for one next to it
        with pytest.raises(MixtureError, match=rf"^{encoder}: is not the model that made {run.folder}/predictions; choose"):
            plan_work(request_of(described(f"evaluate.tasks={tasks}")))


def test_a_machine_of_another_precision_scores_but_does_not_mix(described: Callable[..., Run], originals: Path) -> None:
    run = described("evaluate.tasks=[xnli]")
    blank(run.data.root)
    predict(run, originals)
    for code in ("sw", "de"):
        shutil.copyfile(originals / f"xnli/test-{code}.tsv", run.data.root / f"xnli/test-{code}.tsv")
    assert len(plan_work(request_of(run), precision="bf16").score) == 2  # what runs there predicts nothing
    path = run.data.root / "xnli/test-sw.tsv"
    path.write_text(path.read_text().replace("\t", " and\t", 1))
    with pytest.raises(MixtureError, match=r"runtime\.precision: was fp32 when 'xnli' was predicted, is bf16"):
        plan_work(request_of(run), precision="bf16")
    Scoring(request_of(run), "bf16").rescore(plan_work(request_of(run)).score)
    assert Scores(RunFolder(run.folder).scores, "").options("xnli")["runtime.precision"] == "fp32"


def test_scores_of_an_earlier_version_are_taken_as_they_are(described: Callable[..., Run], originals: Path) -> None:
    run = described("evaluate.tasks=[xnli]")
    blank(run.data.root)
    predict(run, originals)
    path = RunFolder(run.folder).scores
    values = read_json(path)
    del values["tasks"]["xnli"]["made_of"]
    values["tasks"]["xnli"]["languages"]["de"] = {"accuracy": 50.0, "count": 20}
    write_json(path, values)
    assert (names(plan_work(request_of(run)).untold), bool(plan_work(request_of(run)))) == (
        ["xnli test sw", "xnli test de", "xnli test en"],
        False,
    )
    for code in ("sw", "de"):
        shutil.copyfile(originals / f"xnli/test-{code}.tsv", run.data.root / f"xnli/test-{code}.tsv")
    assert names(plan_work(request_of(run)).predict) == ["xnli test sw"]  # which was not scored, and has gold now
    assert names(plan_work(request_of(run)).untold) == ["xnli test de", "xnli test en"]
    with pytest.raises(MixtureError, match=r"evaluate\.smoothing: was null"):
        plan_work(request_of(described("evaluate.tasks=[xnli]", "evaluate.smoothing={draws: 2}")))


def test_another_metric_scores_the_predictions_that_are_there(described: Callable[..., Run], originals: Path) -> None:
    run = described("evaluate.tasks=[xnli]")
    blank(run.data.root)
    predict(run, originals)
    path = RunFolder(run.folder).scores
    values = read_json(path)
    values["tasks"]["xnli"]["scored_by"] = "another"
    write_json(path, values)
    assert names(plan_work(request_of(run)).score) == [str(subset) for subset in scored_of(run)]
    assert predict(run, originals) == []
    assert Scores(path, "").tasks["xnli"]["scored_by"] == task("xnli").metric
    assert not plan_work(request_of(run))


def test_mined_pairs_depend_on_the_gold_of_development_alone(tmp_path: Path) -> None:
    bucc(tmp_path, "de")

    def found(split: str) -> str:
        subset = Subset(task("bucc2018"), split, "de")
        return inputs_digest(tmp_path, subset, subset.task.examples(tmp_path, split, "de"), Digests())

    before = found("test"), found("dev")
    assert check_split(task("bucc2018"), tmp_path, "test", "de").gold
    for name in ("labels/bucc2018/test-de.tsv", "bucc2018/de-en.dev.gold"):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines()[1:]))
        after = found("test"), found("dev")
        assert [one != other for one, other in zip(before, after, strict=True)] == [name.startswith("bucc")] * 2
    (tmp_path / "labels/bucc2018/test-de.tsv").unlink()
    assert not check_split(task("bucc2018"), tmp_path, "test", "de").gold
    (tmp_path / "labels/bucc2018/test-de.tsv").write_text("")  # a download that failed
    with pytest.raises(UserError, match=r"test-de\.tsv: holds no example$"):
        check_split(task("bucc2018"), tmp_path, "test", "de")


EMPTY = {
    "xnli/test-sw.tsv": "",
    "xcopa/test-sw.jsonl": "",
    "udpos/test-de.tsv": "",
    "xquad/xquad.de.json": '{"data": []}',
    "tatoeba/sw-en.sw": "",
    "tatoeba/sw-en.en": "",
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_test_file_is_refused(described: Callable[..., Run], name: str) -> None:
    run = described()
    path = run.data.root / name
    path.write_text(EMPTY[name])
    if name.startswith("tatoeba"):
        (run.data.root / "labels/tatoeba/test-sw.tsv").unlink()
    with pytest.raises(UserError, match=rf"^{path}: holds no example"):
        find_without_gold(run.data.root, (), scored_of(run))
    done = CliRunner().invoke(main, ["evaluate", str(run.folder.parent / "run.yaml"), "--dry-run"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert f"{path}: holds no example" in done.output


MIXED = {
    "xnli/test-sw.tsv": (lambda lines: [lines[0], lines[1].rsplit("\t", 1)[0], *lines[2:]], "test-sw.tsv:2: no gold here"),
    "udpos/test-de.tsv": (lambda lines: [lines[0].split("\t")[0], *lines[1:]], "test-de.tsv:2: a tag here, no tag above"),
    "labels/tatoeba/test-sw.tsv": (lambda lines: lines[:-1], "no row from 0 to 58"),
}


@pytest.mark.parametrize("name", MIXED)
def test_gold_in_a_part_of_a_file_is_refused(described: Callable[..., Run], name: str) -> None:
    run = described()
    change, message = MIXED[name]
    path = run.data.root / name
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(UserError) as error:
        find_without_gold(run.data.root, (), scored_of(run))
    assert message in str(error.value)


def test_a_pair_of_which_one_language_has_gold_is_predicted_without(described: Callable[..., Run], originals: Path) -> None:
    run = described("evaluate.tasks=[xnli-pairs]")
    blank(run.data.root)
    shutil.copyfile(originals / "xnli/test-sw.tsv", run.data.root / "xnli/test-sw.tsv")
    subsets = {subset.language: subset for subset in scored_of(run)}
    assert {code for code, subset in subsets.items() if subset not in find_without_gold(run.data.root, (), scored_of(run))} == {
        "sw-sw"
    }
    assert [code for code in subsets if labelled(subsets[code].task.examples(run.data.root, "test", code))] == ["sw-sw"]


NOT_PARALLEL = {
    "rows": (lambda lines: lines[:-1], r"test-sw\.tsv.*: the (first|second) ends before row 20: the files are not parallel"),
    "labels": (
        lambda lines: [f"{lines[0].rsplit(chr(9), 1)[0]}\tentailment", *lines[1:]],
        r"test-sw\.tsv.*: row 1: labels '(neutral|entailment)' and '(neutral|entailment)': the files are not parallel",
    ),
}


@pytest.mark.parametrize("what", NOT_PARALLEL)
def test_files_of_a_mixed_pair_that_are_not_parallel_are_refused(described: Callable[..., Run], what: str) -> None:
    """Also where one of them was read for a task of its own."""
    change, message = NOT_PARALLEL[what]
    run = described("evaluate.tasks=[xnli, xnli-pairs]")
    path = run.data.root / "xnli/test-sw.tsv"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(UserError, match=message):
        find_without_gold(run.data.root, (), scored_of(run))


def test_the_check_tells_what_has_no_gold(described: Callable[..., Run]) -> None:
    run = described()
    blank(run.data.root)
    done = CliRunner().invoke(main, ["evaluate", str(run.folder.parent / "run.yaml"), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "no gold: predicted, not scored: xquad (de, th, en), xcopa (sw, et), udpos (de, en), xnli (" in done.output
    assert not run.folder.exists()
    done = CliRunner().invoke(main, ["tasks", "check", str(run.data.root), "--task", "xnli"], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert done.output.count("no gold: predicted, not scored") == 3
    train = next(line for line in done.output.splitlines() if " train " in line)
    assert "no gold" not in train


@pytest.mark.parametrize("split", ["train", "dev"])
def test_what_is_trained_on_or_chosen_by_needs_gold(tmp_path: Path, split: str) -> None:
    """Reported at the check as at the start, with file and line."""
    for name in ("train", "dev", "test"):
        lines = ["Kenya\ta", "Peru" if name == split else "Peru\tb"]
        (tmp_path / f"{name}-sw.tsv").write_text("\n".join(lines) + "\n")
    described = {
        "family": "classification",
        "languages": ["sw"],
        "files": {name: f"{name}-{{language}}.tsv" for name in ("train", "dev", "test")},
        "labels": ["a", "b"],
        "texts": 1,
    }
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump({"tasks": {"t": described}}))
    train = {"tasks": [{"task": "t", "languages": ["sw"]}], "steps": 2, "select": {"every": 1, "languages": ["sw"]}}
    run = {
        "name": "x",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": "x"},
        "data": {"root": str(tmp_path), "tasks": str(tmp_path / "tasks.yaml")},
        "train": train,
        "evaluate": {"tasks": ["t"]},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    done = CliRunner().invoke(main, ["train", str(path), "--dry-run"])
    assert done.exit_code == 2
    told = "gold is missing or blanked: expected 1 text column and a label, found no label: 'Peru'"
    assert done.output == f"xdist: {tmp_path}/{split}-sw.tsv:2: {told}\n"


def test_a_labels_file_that_names_no_mention_is_no_blanked_one(tmp_path: Path) -> None:
    folder = tmp_path / "mewslix"
    mention = {"example_id": "m1", "mention_span": {"start": 0, "end": 5, "text": "Kenya"}, "entity_id": ""}
    context = {"text": "Kenya wins.", "sentence_spans": [{"start": 0, "end": 11}]}
    for name, text in (
        ("wikinews_mentions/test-de.jsonl", json.dumps({"context": context, "mentions": [mention]})),
        ("wikinews_labels/test-de.json", "{}"),
    ):
        path: Any = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.raises(UserError, match=r"test-de\.json: no entity for example 'm1'"):
        list(task("mewslix").examples(tmp_path, "test", "de"))
