"""A task, its metric and a family in files of another's are as ours in the runs that name them, and not elsewhere."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from batch_of import batch_of
from click.testing import CliRunner, Result
from pages import ROOT, shown
from registered import forgetting
from resolved_of import prepared_of, trained_of
from tiny import tiny_benchmark, tiny_model, tiny_places
from tiny_study import graph_of, named

from xdist import plugins
from xdist.cli import main
from xdist.config import load_run
from xdist.data.encoding import ShardJob, make_shard, units
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.files import digest
from xdist.model.lineage import read_lineage
from xdist.study import Facts
from xdist.tasks.catalog import TASKS, known_tasks, task
from xdist.tasks.family import family_of

THIRD = ROOT / "tests/third_party"
REVIEWS = """
from functools import partial
from xdist.formats import classification
from xdist.tasks.catalog import Task, register as add, splits
read = partial(classification.read, labels=("poor", "fair", "good"), texts=1)
about = {"read": read, "labels": read.keywords["labels"], "files": splits("reviews/{split}-{language}.tsv")}
add(Task(name="reviews", family="ordered", metric="accuracy", languages=("en",), **about))
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of another's and a run that names them; nothing of them is known before and afterwards."""
    tiny_benchmark(tmp_path / "benchmark")
    tiny_places(tmp_path / "benchmark")
    for name in ("task.py", "balanced_accuracy.py", "fading.py"):
        (tmp_path / name).write_text((THIRD / name).read_text())
    (tmp_path / "ordered.py").write_text(dict(shown(ROOT / "docs/how-to/own-task.md"))["ordered.py"] + REVIEWS)
    run = {
        "name": "mine",
        "folder": "run",
        "plugins": ["task.py", "balanced_accuracy.py", "fading.py"],
        "model": {"backbone": "encoder"},
        "data": {"root": "benchmark", "cache": "prepared"},
        "train": {"tasks": [{"task": "place"}], "steps": 3},
        "evaluate": {"tasks": ["place"]},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with forgetting():
        yield tmp_path


def typed(*words: object) -> Result:
    """In this process, which afterwards knows what it knew before."""
    with forgetting():
        return CliRunner().invoke(main, [str(word) for word in words])


def refusal(*words: object) -> str:
    done = typed(*words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), (done.output, done.exc_info)
    return done.stderr


def change(name: str) -> None:
    Path(name).write_text(f"{Path(name).read_text()}\n# changed\n")


def offer(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> None:
    """Install a distribution of that module, which is in the folder."""
    (folder / f"{name}-1.0.dist-info").mkdir()
    (folder / f"{name}-1.0.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / f"{name}-1.0.dist-info/entry_points.txt").write_text(f"[xdist.plugins]\nany = {name}\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("name, most", [("task.py", 20), ("balanced_accuracy.py", 25), ("fading.py", 60)])
def test_the_files_are_short(name: str, most: int) -> None:
    assert len((THIRD / name).read_text().splitlines()) <= most


def test_it_is_listed_and_checked_where_it_is_given() -> None:
    assert "place" not in typed("tasks").output
    assert "\nplace  " in typed("tasks", "--plugin", "task.py", "--data", "benchmark").output
    found = typed("tasks", "check", "benchmark", "--plugin", "task.py", "--plugin", "balanced_accuracy.py", "--task", "place")
    (row,) = [line.split() for line in found.output.splitlines() if "train" in line and " en " in line]
    assert row[:6] == ["place", "train", "en", "120", "?", "yes"]
    path = Path("benchmark/place/dev-sw.txt")
    path.write_text(f"{path.read_text()}perhaps: here\n")
    says = f"{path}:21: expected 'yes: …' or 'no: …', found 'perhaps: here'"
    assert says in typed("tasks", "check", "benchmark", "--plugin", "task.py").stderr
    assert "unknown task 'place': " in refusal("tasks", "check", "benchmark", "--task", "place")
    assert "nowhere.py: cannot be read" in refusal("tasks", "--plugin", "nowhere.py")


@pytest.mark.parametrize(
    "override, says",
    [
        ("plugins=[]", "train.tasks.0.task: unknown task 'place': did you mean 'lareqa'? (valid: "),
        ("plugins=[balanced_accuracy.py]", "train.tasks.0.task: unknown task 'place': "),
        (
            "plugins=[task.py]",
            "train.tasks.0.task: task 'place': unknown metric 'balanced-accuracy': did you mean 'bitext-accuracy'?",
        ),
        ("train.tasks.0.task=plaice", "train.tasks.0.task: unknown task 'plaice': did you mean 'place'?"),
        ("train.tasks.0.languages=[fr]", "train.tasks.0.languages.0: task 'place': unknown language 'fr'"),
    ],
)
def test_mistakes_are_one_line(override: str, says: str) -> None:
    for command in ("train", "evaluate"):
        told = refusal(command, "run.yaml", "--dry-run", override)
        assert says in told


def test_it_belongs_to_the_runs_that_name_it() -> None:
    mine = load_run(Path("run.yaml"))
    other = load_run(Path("run.yaml"), ["plugins=[]"])
    assert task("place", None, mine.plugins).name == "place"
    assert "place" in known_tasks(None, mine.plugins)
    assert "place" not in known_tasks(None, other.plugins)
    with pytest.raises(UserError, match="unknown task 'place'"):
        trained_of(other)


def test_a_model_tells_what_it_was_trained_on_without_its_code(place: Path) -> None:
    """Where only the run around it says so, as version 0.1.0 left it."""
    shared = ["train.share=family"]
    with forgetting():
        run = load_run(Path("run.yaml"), shared)
        (known_head,) = {subset.task.head for subset in trained_of(run)}
    (place / "run/model").mkdir(parents=True)
    (place / "run/config.yaml").write_text(yaml.safe_dump(run.dump()))

    def heads() -> list[str]:
        (stage,) = read_lineage("run/model")
        return [entry.head for entry in stage.tasks]

    assert heads() == ["place"]
    assert not TASKS.has("place")
    with forgetting(), plugins.with_plugins(["task.py"]):
        assert heads() == [known_head]
    change("task.py")
    assert heads() == ["place"]


def test_two_of_one_name_are_refused(place: Path) -> None:
    Path("xnli.py").write_text(Path("task.py").read_text().replace('name="place"', 'name="xnli"'))
    told = refusal("train", "run.yaml", "--dry-run", "plugins=[xnli.py]")
    assert "plugins.0: xnli.py:20: task 'xnli' is already registered, in " in told
    described = {"family": "masked-lm", "languages": ["sw"], "files": {"train": "x.txt"}}
    (place / "tasks.yaml").write_text(yaml.safe_dump({"tasks": {"place": described}}))
    told = refusal("train", "run.yaml", "--dry-run", f"data.tasks={place / 'tasks.yaml'}")
    assert "tasks.yaml:2: tasks.place: a task 'place' is in the catalog already; choose another name" in told
    assert task("place", place / "tasks.yaml", ()).family == "masked-lm"  # of a run that does not name the other one


def test_a_prepared_set_is_of_the_code_that_brought_the_task(place: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model(place / "encoder", place / "benchmark")))

    def folders() -> list[str]:
        with forgetting():
            run = load_run(Path("run.yaml"), ["train.tasks=[{task: place}, {task: cldr-topic}]", "evaluate=null"])
            return [path.name for path in prepared_of(run, tokenizer).folders.values()]

    before = folders()
    assert folders() == before
    change("balanced_accuracy.py")
    assert folders() == before
    change("task.py")
    after = folders()
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True]
    assert all(one.plugins == () for one in known_tasks().values())


@pytest.mark.parametrize(
    "name, form", [("cldr-topic", "d96acc68ab771bc6"), ("udpos", "e6ddd47399679c43"), ("mewslix-pairs", "aea84c6746946649")]
)
def test_sets_of_ours_are_those_that_version_0_1_0_prepared(name: str, form: str) -> None:
    assert digest(task(name).form) == form


def test_a_process_that_was_not_forked_prepares_it(place: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model(place / "encoder", place / "benchmark")))
    with forgetting():
        run = load_run(Path("run.yaml"))
        (subset,) = trained_of(run)
        made = ShardJob(
            subset.task.name, None, subset.task.plugins, "train", 32, "fail", place, next(units(subset, run.data.root))
        )
        sent = pickle.dumps(made)
    assert not TASKS.has("place")
    assert make_shard(pickle.loads(sent), tokenizer)["rows"] == 120


def test_a_study_does_its_runs_anew_when_the_code_of_a_task_changes(
    place: Path, described: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of one that a distribution offers, which no run names."""
    described["all"] = {"data.root": str(place / "benchmark")}
    described["axes"] = {"task": {"ours": {}, "theirs": {"target": {"train.tasks": [{"task": "place"}]}}}}

    def keys() -> dict[str, str]:
        with forgetting():
            return named(graph_of(place, described))

    (place / "site").mkdir()
    Path("site/of_places.py").write_text(Path("task.py").read_text().replace("balanced-accuracy", "accuracy"))
    offer(monkeypatch, place / "site", "of_places")
    before = keys()
    assert keys() == before
    change("site/of_places.py")
    after = keys()
    assert {name for name in before if before[name] != after[name]} == {name for name in before if "theirs" in name}


def test_a_family_of_somebody_elses(place: Path) -> None:
    run = load_run(Path("run.yaml"), ["plugins=[ordered.py]"])
    entry = task("reviews", None, run.plugins)
    assert entry.plugins == (f"{Path('ordered.py').resolve()}@{run.plugin_digests[0]}",)
    family = family_of(entry)
    batch = batch_of([[[0, 30, 2]], [[0, 42, 2]]], labels=[0, 2], head="reviews")
    outputs = torch.tensor([[0.0, 0.0, 0.0], [-20.0, 20.0, -20.0]])
    usual = torch.nn.functional.cross_entropy(outputs, batch.targets["label"], reduction="none")
    assert (family.losses(outputs, batch) - usual).tolist() == pytest.approx([1.0, 1.0])
    assert type(family) is type(family_of(entry))
    path = submission.predictions_path(place, entry, "test", "en")
    submission.write_predictions(path, entry, ["good", "poor"])
    assert submission.read_predictions(path, entry, [None, None]) == ["good", "poor"]
    Path("ordered.py").write_text(Path("ordered.py").read_text().replace('family="ordered"', 'family="odrered"'))
    with pytest.raises(UserError, match=r"^task 'reviews': unknown family 'odrered': did you mean 'ordered'\?"):
        task("reviews", None, [plugins.pinned("ordered.py")])


def test_an_entry_says_of_its_family_whether_there_is_a_head_to_train() -> None:
    for entry in TASKS.ours().values():
        trained = any(True for _ in family_of(entry).head(8, 0.0).parameters())
        assert entry.needs_head == trained, entry.name


@pytest.mark.parametrize("head", [True, False])
def test_without_a_head_any_encoder_is_scored(place: Path, head: bool) -> None:
    tiny_model(place / "encoder", place / "benchmark")
    text = Path("ordered.py").read_text()
    Path("ordered.py").write_text(text.replace('predicts="classification"', f'predicts="classification", head={head}'))
    (place / "benchmark/reviews").mkdir()
    (place / "benchmark/reviews/test-en.tsv").write_text("not bad\tgood\n")
    done = typed("evaluate", "run.yaml", "--dry-run", "plugins=[ordered.py]", "train=null", "evaluate.tasks=[reviews]")
    assert (done.exit_code, "holds no head 'reviews'" in done.stderr) == ((2, True) if head else (0, False))


def test_its_rows_are_of_the_code_of_both_the_task_and_the_family(place: Path) -> None:
    """Which may come from two files."""
    whole = Path("ordered.py").read_text()
    Path("ordered.py").write_text(whole.replace(REVIEWS, ""))
    Path("reviews.py").write_text(REVIEWS)
    (place / "benchmark/reviews").mkdir()
    (place / "benchmark/reviews/train-en.tsv").write_text("not bad\tgood\n")

    def facts() -> str:
        with forgetting():
            run = load_run(Path("run.yaml"), ["plugins=[reviews.py, ordered.py]"])
            return Facts().subset(run.data, Subset(task("reviews", None, run.plugins), "train", "en"))

    before = facts()
    change("reviews.py")
    second = facts()
    change("ordered.py")
    assert len({before, second, facts()}) == 3


def test_a_run_of_a_study_has_it_only_where_it_names_it(place: Path, described: dict[str, Any]) -> None:
    described["all"] = {"data.root": str(place / "benchmark")}
    theirs = {"train.tasks": [{"task": "place"}]}
    axis = {"named": {"target": {**theirs, "plugins": ["task.py", "balanced_accuracy.py"]}}, "not": {"target": theirs}}
    described["axes"] = {"task": axis}
    with pytest.raises(UserError, match=r"axes\.task\.not\.target\.train\.tasks\.0\.task: unknown task 'place': "):
        graph_of(place, described)
    axis.pop("not")
    assert any("named" in name for name in named(graph_of(place, described)))
