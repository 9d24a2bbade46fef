"""The script for the first minutes on a GPU runs, in small sizes on a CPU, so that it is complete when there is one."""

import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks/device_check.py"
sys.path.insert(0, str(ROOT / "benchmarks"))

import device_check  # noqa: E402
from device import wheels  # noqa: E402

GROUPS = {"kernels", "encoders", "courses", "methods", "keeping", "shell", "speed", "beside", "rest"}
# What a CPU has nothing of, and precisions that not every version knows.
NOT_HERE = ("CUDA only", "for GPUs", "a CPU's memory", "no runtime.precision=", "knows no windows")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("device") / "out"
    line = [sys.executable, str(SCRIPT), "--tiny", "--out", str(out)]
    return out, subprocess.run(line, capture_output=True, text=True, timeout=400, check=False)


def test_every_group_runs_and_nothing_fails(tiny: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = tiny
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line for line in lines if line["ok"] is False] == []
    assert done.returncode == 0, done.stderr[-2000:]
    assert {line["group"] for line in lines} - {"script", "tiny"} == GROUPS
    assert {line["group"] for line in lines if line["ok"]} >= GROUPS
    skipped = [line["reason"] for line in lines if line["ok"] is None and line["group"] != "script"]
    assert [reason for reason in skipped if not any(known in reason for known in NOT_HERE)] == []


def test_it_says_on_stdout_what_it_wrote_and_ends_with_one_object(
    tiny: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = tiny
    *lines, last = done.stdout.splitlines()
    assert lines == (out / "results.jsonl").read_text().splitlines()
    summary = json.loads(last)
    assert summary["device"] == "cpu"
    assert summary["failed"] == []
    assert summary["passed"] + summary["skipped"] == len(lines)


def test_results_that_are_there_are_not_written_over(tiny: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, _ = tiny
    line = [sys.executable, str(SCRIPT), "--tiny", "--out", str(out)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"device_check: {out}: holds results already; choose another --out\n"


@pytest.mark.parametrize(
    "words, ends", [("import time; time.sleep(60)", "was ended at its limit"), ("raise SystemExit(3)", "ended with 3")]
)
def test_a_process_is_ended_at_its_limit_with_what_it_started(tmp_path: Path, words: str, ends: str) -> None:
    began, mark = time.monotonic(), tmp_path / "mark"
    other = f"import time; time.sleep(3); open({str(mark)!r}, 'w')"
    started = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {other!r}]); {words}"
    assert ends in device_check.limited([sys.executable, "-c", started], 1.0)
    assert time.monotonic() - began < 3
    time.sleep(3.2)
    assert not mark.exists()


def test_what_is_missing_is_unpacked_from_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("not_here_at_all-1.0-py3-none-any.whl", "pydantic-9.9-py3-none-any.whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(f"{name.split('-')[0]}/__init__.py", "")
    monkeypatch.setattr(wheels, "NEEDED", (*wheels.NEEDED, "not-here-at-all", "nor-this"))
    variables, said = wheels.unpacked(str(tmp_path), tmp_path / "site")
    assert said["taken"] == ["not_here_at_all-1.0-py3-none-any.whl"]
    assert said["missing"] == ["nor-this"]
    assert variables["PYTHONPATH"].split(":")[0] == str(tmp_path / "site")
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["not_here_at_all"]
