"""xdist tune as a user types it: trained on ranks, judged on English dev alone, the best written, nothing done twice."""

from pathlib import Path

from typing_of_commands import Typed

from xdist.files import read_json


def test_a_run_is_tuned_and_the_best_is_a_run(loaded: Typed, small: Path, tmp_path: Path) -> None:
    shorter = [f"folder={tmp_path / 'run'}", "runtime.ranks=1", "runtime.deepspeed=zero0"]
    shorter += ["train.tasks=[{task: cldr-topic}, {task: cldr-topic, languages: [sw], rows: 10}]"]
    words = ["xdist", "tune", small / "intermediate.yaml", *shorter, "--rates", "1e-5,5e-3", "--steps", "6"]
    words += ["--out", tmp_path / "best.yaml"]
    done = loaded(*words, "--at-once", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    told = done.stdout.splitlines()
    assert told[0] == "on cldr-topic dev en:"
    assert told[1].endswith(", the best")
    assert told[-1] == f"xdist train {tmp_path / 'best.yaml'}"
    facts = read_json(tmp_path / "run-tune/tune.json")
    first, second = facts["trials"]
    assert {first["learning_rate"], second["learning_rate"]} == {1e-5, 5e-3}
    assert first["score"] >= second["score"]
    assert facts["best"] == {"learning_rate": first["learning_rate"], "steps": 6}
    assert first["updates"] == second["updates"] == 6
    for rate in ("1e-5", "5e-3"):
        assert f"\ntrial-{rate}-6-s1: INFO " in done.stderr  # each was a command, whose lines have its name
    for trial in (tmp_path / "run-tune/runs").iterdir():
        log = (trial / "xdist.log").read_text(encoding="utf-8")
        assert "cldr-topic/sw: 10 of 120 examples, chosen by seed 1 (" in log
        assert "unusual setting: 6 updates teach a new head little" in log
        assert read_json(trial / "scores.json")["tasks"]["cldr-topic"]["trained_on"] == ["sw", "en"]
    predicted = list((tmp_path / "run-tune").rglob("predictions/*/*"))
    assert {path.name.rpartition(".")[0] for path in predicted} == {"dev-en"}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run-tune/runs/**/*") if path.is_file()}
    again = loaded(*words)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("run-tune/runs/**/*") if path.is_file()} == before
    checked = loaded("xdist", "train", tmp_path / "best.yaml", "--dry-run")
    assert checked.returncode == 0, checked.stderr
    assert f"run intermediate-tuned in {tmp_path / 'run-tuned'} " in checked.stdout
