"""All steps as a user types them, on two ranks, with a tiny encoder: train, stop, continue, evaluate, report."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from loaded import Process
from registered import forgetting
from typing_of_commands import Typed

import xdist
from xdist.cli import main
from xdist.files import file_digest, read_json
from xdist.run.folder import RunFolder

PACKAGE = Path(xdist.__file__).parent
PLUGINS = ("task.py", "balanced_accuracy.py", "fading.py")


@dataclass(frozen=True)
class Stopped:
    """How a run stood after a signal: its exit code, what it said, its last logged step, and what lay in its folder. And how
    other starts of it ended while it was running, and its files before and after them."""

    code: int
    errors: str
    step: int
    files: set[str]
    others: list[subprocess.CompletedProcess[str]]
    before: dict[Path, bytes]
    after: dict[Path, bytes]


@pytest.fixture(scope="module")
def stopped(typed: Typed, begun: Callable[..., Process], small: Path) -> Stopped:
    """The intermediate run, sent SIGTERM when it has logged five steps, and has been started again, as it is and changed.
    Meanwhile its ranks are held, as a suspended job is, so that all that changes in the folder is the work of others."""
    process = begun("xdist", "train", small / "intermediate.yaml", "runtime.log_every=1")
    metrics = small / "intermediate/metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (metrics.exists() and metrics.read_text().count("\n") >= 5):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ranks = ranks_of(small / "intermediate.yaml")
    assert len(ranks) == 2
    words = (PACKAGE / "train.py", small / "intermediate.yaml", "runtime.log_every=1")
    same_port = ("--master_port", next(iter(ranks.values())))  # as where both take the default
    try:
        for pid in ranks:
            os.kill(pid, signal.SIGSTOP)
        before = files_below(small / "intermediate")
        others = [
            typed("torchrun", "--nproc-per-node", "2", "--master-port", free_port(), *words),
            typed("deepspeed", "--num_accelerators", "2", *same_port, *words, "train.learning_rate=1e-3"),
        ]
        after = files_below(small / "intermediate")
    finally:
        for pid in ranks:
            os.kill(pid, signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    code, errors = process.wait(timeout=120), process.stderr.read()
    last = json.loads(metrics.read_text().splitlines()[-1])["step"]
    files = {path.name for path in (small / "intermediate").iterdir()}
    return Stopped(code, errors, last, files, others, before, after)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def ranks_of(path: Path) -> dict[int, str]:
    """The processes that work on the run of this description, and the port that each was given."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = dict(pair.split("=", 1) for pair in (entry / "environ").read_text().split("\0") if "=" in pair)
            if "LOCAL_RANK" in variables and str(path) in (entry / "cmdline").read_text().split("\0"):
                found[int(entry.name)] = variables["MASTER_PORT"]
        except OSError:
            continue
    return found


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def intermediate(loaded: Typed, small: Path, stopped: Stopped) -> Path:
    """The folder of the same run, started again and finished."""
    done = loaded("xdist", "train", small / "intermediate.yaml", "runtime.log_every=50")
    assert done.returncode == 0, done.stderr
    return small / "intermediate"


def test_stopped_run_is_saved(stopped: Stopped) -> None:
    assert stopped.code == 75, stopped.errors
    assert "start it again to resume" in stopped.errors
    assert "unfinished" in stopped.files
    assert "model" not in stopped.files


def test_other_starts_of_a_run_at_work_are_refused_in_a_line(stopped: Stopped) -> None:
    assert stopped.before == stopped.after
    torchrun, deepspeed = stopped.others
    expected = (" is running here; wait for it or choose another folder", "train.learning_rate was 0.002, is 0.001")
    for other, line in zip(stopped.others, expected, strict=True):
        (said,) = (line for line in other.stderr.splitlines() if line.startswith("xdist: "))
        assert line in said
        assert f'{PACKAGE / "train.py"}", line' not in other.stderr  # no traceback of ours; torchrun has its own
    assert torchrun.stderr.count("exitcode  : 2 ") == 2  # of both ranks; its own is always 1
    assert deepspeed.returncode == 2


def test_it_goes_on(stopped: Stopped, intermediate: Path) -> None:
    steps = [json.loads(line)["step"] for line in (intermediate / "metrics.jsonl").read_text().splitlines()]
    assert steps[: stopped.step - 1] == list(range(1, stopped.step))
    assert steps == sorted(set(steps))
    assert steps[-1] == 150


def test_train_learns_and_scores_every_language(intermediate: Path) -> None:
    languages = read_json(intermediate / "scores.json")["tasks"]["cldr-topic"]["languages"]
    assert set(languages) == {"en", "de", "sw"}
    assert languages["en"]["accuracy"] > 60  # six labels: chance is 17
    assert (intermediate / "finished").exists()


def test_finished_run_starts_nothing(loaded: Typed, small: Path, intermediate: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in intermediate.rglob("*")}
    again = loaded("xdist", "train", small / "intermediate.yaml")
    assert (again.returncode, again.stdout.startswith("intermediate is finished")) == (0, True)
    assert before == {path: path.stat().st_mtime_ns for path in intermediate.rglob("*")}


def test_another_configuration_is_refused_and_nothing_lost(loaded: Typed, small: Path, intermediate: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in intermediate.rglob("*")}
    other = loaded("xdist", "train", small / "intermediate.yaml", "train.learning_rate=1e-3")
    assert other.returncode == 2
    assert other.stderr.splitlines()[-1].endswith("choose another folder (folder=…) or remove this one")
    assert "train.learning_rate was 0.002, is 0.001" in other.stderr
    assert before == {path: path.stat().st_mtime_ns for path in intermediate.rglob("*")}


def test_workers_way_in_and_heads_carried_over(loaded: Typed, small: Path, intermediate: Path) -> None:
    words = ("deepspeed", "--num_accelerators", "2", "--master_port", "29731", PACKAGE / "train.py", small / "target.yaml")
    done = loaded(*words, "runtime.log_every=2")
    assert done.returncode == 0, done.stderr
    assert "carried over: cldr-topic" in done.stderr
    scores = read_json(small / "target" / "scores.json")["tasks"]
    assert scores["cldr-spans"]["languages"]["en"]["f1"] > 30
    assert set(scores["cldr-names"]["languages"]) == {"de", "sw"}
    assert (scores["place"]["scored_by"], set(scores["place"]["languages"])) == ("balanced-accuracy", {"en", "de", "sw"})
    assert scores["place"]["languages"]["en"]["balanced_accuracy"] > 60
    logged = [json.loads(line) for line in (small / "target" / "metrics.jsonl").read_text().splitlines()]
    assert all("robust/loss_gap" in line for line in logged)
    assert "runtime.log_every" not in done.stderr
    assert len(logged) > 3
    sizes = small / "sizes.txt"  # which a method of another's reads
    assert read_json(small / "target" / "data.json")[str(sizes)] == file_digest(sizes)
    assert all(RunFolder(small / "target").config.read_text().count(f"{name}@") == 1 for name in PLUGINS)


def asked(*words: object) -> Result:
    """What a command says in this process, which afterwards knows as little of others' code as before."""
    with forgetting():
        return CliRunner().invoke(main, [str(word) for word in words], env={"COLUMNS": "160"})


def test_what_trained_with_others_code_is_looked_at_without_it(small: Path, intermediate: Path, tmp_path: Path) -> None:
    target, executed = small / "target", small / "executed"
    executed.unlink()
    other = tmp_path / "other"  # as if trained otherwise, with the same scores
    shutil.copytree(target, other, ignore=shutil.ignore_patterns("checkpoints", "model"))
    config = RunFolder(other).config
    config.write_text(config.read_text().replace("learning_rate: 0.001", "learning_rate: 0.002"))
    score = ["score", target / "predictions", "--gold", small / "benchmark", "--partial"]
    for words, code, says in (
        (["status", target], 0, "finished"),
        (["report", target, "--out", tmp_path / "report"], 0, "place: metric 'balanced-accuracy' is not installed here"),
        (["report", target, "--against", other, "--out", tmp_path / "both"], 0, "report: "),
        (["compare", target, other], 0, "place: metric 'balanced-accuracy' is not installed here"),
        (["compare", target, other, "--task", "place"], 2, "place: metric 'balanced-accuracy' is not installed here"),
        (score, 2, "unknown task 'place': "),
        (["export", target, tmp_path / "no", "--head", "cldr-topic"], 2, "tasks.2.task: task 'place' is not installed here"),
        (["checkpoint", "list", target], 0, ""),
        (["tasks"], 0, "cldr-topic"),
    ):
        done = asked(*words)
        assert (done.exit_code, says in done.output) == (code, True), (words, done.output, done.exc_info)
        assert code == 0 or done.output.count("\n") == 1, done.output
        assert not executed.exists(), words
    left_out = "place is skipped: metric 'balanced-accuracy' is not installed here"
    assert left_out in read_json(tmp_path / "both/report.json")["notes"]
    root, out = ["--data", small / "benchmark"], ["--out", tmp_path / "evaluated"]
    given = [f"--plugin={small / name}" for name in PLUGINS[:2]]
    assert "task 'place' is not installed here" in asked("compare", target, other, given[1]).output
    for words, says in (
        (["compare", target, other], "place (balanced_accuracy, test)"),
        (["report", target, "--against", other, "--out", tmp_path / "both"], "report: "),
        (score, "place (test)"),
        (["export", target, tmp_path / "place", "--head", "place"], "XLMRobertaForSequenceClassification"),
        (["export", target, tmp_path / "exported", "--head", "cldr-topic"], "XLMRobertaForSequenceClassification"),
        (["tasks", "--data", small / "benchmark"], "\nplace "),
        (["evaluate", "--dry-run", "--model", tmp_path / "place", "--task", "place", *root, *out], "place in 3 languages"),
    ):
        done = asked(*words, *given)
        assert (done.exit_code, says in done.output) == (0, True), (words, done.output, done.exc_info)
        assert "not installed here" not in done.output
    assert "place" in {name for row in read_json(tmp_path / "both/report.json")["tasks"] for name in row["tasks"]}
    assert "robust training: fading (sizes " in (tmp_path / "exported/README.md").read_text()
    assert read_json(tmp_path / "place/config.json")["id2label"] == {"0": "yes", "1": "no"}
    assert executed.exists()


def test_its_description_is_checked_with_it(small: Path, intermediate: Path, tmp_path: Path) -> None:
    run, cluster = small / "target.yaml", PACKAGE.parent / "jobs/clusters/slurm.yaml"
    for words, says in (
        (["train", run, "--dry-run", f"folder={tmp_path / 'new'}"], "place train en"),
        (["evaluate", run, "--dry-run"], "place in 3 languages"),
        (["submit", run, "--cluster", cluster, "--dry-run", f"folder={tmp_path / 'new'}"], "#SBATCH"),
        (["plan", run, "--gpu-memory", "40", "--peak", "100", "--json"], "gpu_hours"),
    ):
        done = asked(*words)
        assert (done.exit_code, says in done.output) == (0, True), (words, done.output, done.exc_info)
    others = f"plugins=[{small / 'task.py'}]"
    for more, says in (
        (others, "task 'place': unknown metric 'balanced-accuracy'"),
        ("plugins=[]", "unknown task 'place': "),
        ("train.tasks.2.task=plaec", "unknown task 'plaec': did you mean 'place'?"),
    ):
        done = asked("train", run, "--dry-run", more, "robust={method: none}", f"folder={tmp_path / 'new'}")
        assert (done.exit_code, done.stderr.count("\n"), says in done.stderr) == (2, 1, True), done.output


def test_visible_devices_that_deepspeed_replaced_are_one_line(small: Path) -> None:
    """Where DS_ACCELERATOR=cpu is set, as elsewhere here, it does not matter which GPUs are requested."""
    before = sorted(small.rglob("*"))
    words = ("deepspeed", "--num_accelerators", "2", "--log_level", "error", PACKAGE / "train.py", small / "intermediate.yaml")
    plain = ("env", "-u", "DS_ACCELERATOR", f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}")
    asked = {**os.environ, "CUDA_VISIBLE_DEVICES": "GPU-8932f937"}
    command = [*plain, *map(str, words), "folder=other"]
    done = subprocess.run(command, cwd=small, env=asked, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if "launch.py" not in line] == [
        "xdist: CUDA_VISIBLE_DEVICES=GPU-8932f937: DeepSpeed's launcher put 0,1 instead; "
        "`xdist train`, `xdist evaluate` and torchrun hand it on as it is"
    ]
    assert sorted(small.rglob("*")) == before


def test_more_languages_and_tasks_after_training(loaded: Typed, small: Path, intermediate: Path) -> None:
    more = ("evaluate.tasks=[cldr-topic, cldr-names]", "evaluate.languages=[de]")
    done = loaded("xdist", "evaluate", small / "intermediate.yaml", *more)
    assert done.returncode == 0, done.stderr
    tasks = read_json(intermediate / "scores.json")["tasks"]
    assert set(tasks["cldr-topic"]["languages"]) == {"en", "de", "sw"}
    assert set(tasks["cldr-names"]["languages"]) == {"de"}


def test_report_of_two_runs(loaded: Typed, small: Path, intermediate: Path, tmp_path: Path) -> None:
    done = loaded("xdist", "report", intermediate, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    assert "cldr-topic" in done.stdout
    assert (tmp_path / "report" / "report.html").stat().st_size > 5000
