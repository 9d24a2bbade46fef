"""A run folder with anything in it: reported in a line, and no other run is hidden by it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from test_compare import make_run
from tiny import tiny_benchmark
from tiny_families import tiny_families

from xdist.cli import main
from xdist.config import load_run
from xdist.errors import UserError
from xdist.launch.status import status
from xdist.run.folder import RunFolder
from xdist.run.lock import RunLock

Spoil = Callable[[Path], object]
DEEP = "[" * 100_000


def text(content: str | bytes) -> Spoil:
    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)


SHAPES = ["", "nul", "[]", '"text"', "{", '{"run": 1}', DEEP, "9" * 5000, b"\xff\xfe", b"\0" * 40, '{"run": "a", "tasks": [1]}']
SPOILS: dict[str, list[Spoil]] = {
    "scores.json": [*map(text, SHAPES), pipe, folder],
    "config.yaml": [*map(text, ["", "[", "- a", "name: 3", b"\xff", "name: x\nfolder: [1]\n", "name: &a [*a]"]), pipe, folder],
    "metrics.jsonl": [text(f"{line}\n") for line in ("x", "{}", '{"step": true}', '{"step": 1e9}', "7", DEEP)] + [pipe, folder],
    "environment.json": [text("x"), text(b"\xff"), text(DEEP), pipe, folder],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gold")
    tiny_benchmark(place)
    return tiny_families(place)


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two run folders, `good` and `bad`, that differ by their encoder."""
    place = tmp_path_factory.mktemp("runs")
    for name, wrong in (("good", 0.1), ("bad", 0.5)):
        config = make_run(place / name, root, wrong, 1) / "config.yaml"
        values = yaml.safe_load(config.read_text())
        config.write_text(yaml.safe_dump({**values, "model": {"backbone": f"encoder/{name}"}}))
    return place


@pytest.fixture
def bad(runs: Path) -> Path:
    """The one to damage, intact again afterwards."""
    place, kept = runs / "bad", runs.with_name(f"{runs.name}-kept")
    if not kept.exists():
        shutil.copytree(place, kept)
    shutil.rmtree(place)
    shutil.copytree(kept, place)
    return place


def said(*words: object, code: int = 0) -> list[str]:
    """What goes to standard error."""
    done = CliRunner().invoke(main, list(map(str, words)), env={"COLUMNS": "200"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    return [line for line in done.stderr.splitlines() if line]


EACH = [(name, number) for name, spoils in SPOILS.items() for number in range(len(spoils))]


@pytest.mark.parametrize("name, number", EACH)
def test_one_bad_folder_hides_no_other(bad: Path, tmp_path: Path, name: str, number: int) -> None:
    good, place = bad.with_name("good"), bad / name
    SPOILS[name][number](place)
    done = CliRunner().invoke(main, ["status", str(bad.parent)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "good" in done.stdout
    if name in ("config.yaml", "metrics.jsonl"):
        assert str(place) in done.output.replace("\n", "")
    assert said("status", good) == []
    lines = said("report", good, bad, "--out", tmp_path / "both")
    if name != "config.yaml":  # whose text alone is shown
        assert len(lines) == 1
    assert all(line.startswith(f"xdist: skipped: {place}") for line in lines)
    against = said("report", good, bad, "--against", good, "--out", tmp_path / "compared", code=2)
    assert len(against) == 1


def test_the_others_are_compared(bad: Path, root: Path, tmp_path: Path) -> None:
    third = make_run(tmp_path / "third", root, 0.3, 1)
    (bad / "scores.json").write_text("{")
    good = bad.with_name("good")
    assert said("report", third, bad, "--against", good, "--out", tmp_path / "out") == [
        f"xdist: skipped: {bad / 'scores.json'}:1: not JSON: Expecting property name enclosed in double quotes at column 2"
    ]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["name"] for one in report["conditions"]] == ["good", "third"]
    assert report["answer"]


def test_predictions_that_are_cut_leave_the_run_out_of_that_task(bad: Path, root: Path, tmp_path: Path) -> None:
    third = make_run(tmp_path / "third", root, 0.3, 1)
    (bad / "predictions/xnli/test-de.tsv").write_text("neutral\n")
    good = bad.with_name("good")
    (line,) = said("report", third, bad, "--against", good, "--out", tmp_path / "out")
    assert "predictions/xnli/test-de.tsv:2: the end after 1 predictions" in line
    tasks = {row["condition"]: set(row["tasks"]) for row in json.loads((tmp_path / "out" / "report.json").read_text())["tasks"]}
    assert tasks["third"] - tasks["bad"] == {"xnli"}


def test_runs_without_a_common_task_are_not_compared(bad: Path, tmp_path: Path) -> None:
    good = bad.with_name("good")
    values = json.loads((bad / "scores.json").read_text())
    of_good = json.loads((good / "scores.json").read_text())
    (bad / "scores.json").write_text(json.dumps({**values, "tasks": {"xnli": values["tasks"]["xnli"]}}))
    del of_good["tasks"]["xnli"]
    kept = (good / "scores.json").read_text()
    try:
        (good / "scores.json").write_text(json.dumps(of_good))
        for words in (("report", bad, "--against", good, "--out", tmp_path / "out"), ("compare", bad, good)):
            assert said(*words, code=2) == [f"xdist: {bad} and {good}: no task was scored in both"]
    finally:
        (good / "scores.json").write_text(kept)


@pytest.mark.parametrize(
    "name, content, word",
    [
        ("data.json", "[]", "Input should be a valid dictionary"),
        ("data.json", '{"cldr-topic train en": 3}', "cldr-topic train en"),
        ("deepspeed.json", "{", "not JSON"),
        ("config.yaml", None, "is no file"),
        (".lock", None, ".lock is no file"),
    ],
)
def test_a_start_says_what_is_damaged(tmp_path: Path, name: str, content: str | None, word: str) -> None:
    values = {
        "name": "one",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": "encoder"},
        "data": {"root": "benchmark"},
        "train": {"tasks": [{"task": "xnli"}], "steps": 5},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    run, place = load_run(tmp_path / "run.yaml"), RunFolder(tmp_path / "run")
    place.open(run, None, {})
    (place.checkpoints / "step-00000001").mkdir(parents=True)
    spoil = pipe if content is None else text(content)
    spoil(place.path / name)

    def start() -> None:
        place.announce(run)
        place.check_data({})
        assert place.begun_in is None

    with pytest.raises(UserError, match=word) as caught:
        start()
    assert "\n" not in str(caught.value)
    if name != "config.yaml":
        assert status(place.path).run == "one"


@pytest.mark.parametrize("content", ["[1]", '"x"', DEEP, '{"what": 1}', "{"])
def test_a_lock_that_anybody_wrote_is_nobodys(tmp_path: Path, content: str) -> None:
    (tmp_path / ".lock").write_text(content)
    lock = RunLock(tmp_path)
    assert not lock.left_behind()
    assert lock.holder() == ""
    lock.take("xdist train")
    assert "xdist train" in RunLock(tmp_path).holder()
    lock.release()


def test_status_tells_damage_beside_the_state(bad: Path) -> None:
    (bad / "job").mkdir()
    (bad / "job" / "restarts").write_text("many")
    (bad / "job" / "job.json").write_text('{"kind": "slurm"}')
    (bad / "failed").write_text("first\nsecond \x1b[31m")
    found = status(bad)
    assert found.state == "failed"
    assert found.reason.startswith("first\\nsecond \\x1b[31m; ")
    assert f"{bad / 'job/job.json'}: 'job': Field required" in found.reason
    assert f"{bad / 'job/restarts'}: is no number" in found.reason
    assert "\n" not in found.reason
