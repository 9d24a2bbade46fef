"""A benchmark as a user types it: trained on two ranks, scored in every language that has files, and nothing done twice."""

import json
import random
import re
from pathlib import Path

from typing_of_commands import Typed

from xdist.demo.tiny import tiny_encoder
from xdist.tasks.catalog import task

LANGUAGES = ("eng_Latn", "yor_Latn", "hau_Latn", "ace_Arab")


def sib200(root: Path) -> list[str]:
    """SIB-200 as published, in invented words; English complete, of the others the test set."""
    texts = []
    for code in LANGUAGES:
        for split, size in (("train", 140), ("dev", 28), ("test", 42)):
            if code != "eng_Latn" and split != "test":
                continue
            draw = random.Random(split)
            rows = ["index_id\tcategory\ttext"]
            for number in range(size):
                topic = task("sib200").labels[number % 7]
                texts.append(f"{draw.choice(('the', 'a', 'this'))} {topic[:5]} {topic[2:7]} {draw.randint(0, 9)}")
                rows.append(f"{number}\t{topic}\t{texts[-1]}")
            path = root / f"sib200/{code}/{split}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return texts


def test_one_command_trains_scores_and_reports(loaded: Typed, tmp_path: Path) -> None:
    tiny_encoder(tmp_path / "encoder", sib200(tmp_path / "download"), vocabulary=300)
    rates = ("train.learning_rate=2e-3", "train.select.every=15", "train.epochs=12")
    words = ("xdist", "benchmark", "encoder", "--suite", "sib200", "--out", "out", "--ranks", "2", *rates)
    done = loaded(*words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (tmp_path / "out/scores.jsonl").read_text() == done.stdout
    by_language = {line["language"]: line for line in lines if "language" in line}
    assert {code: line["trained"] for code, line in by_language.items()} == {code: code == "eng_Latn" for code in LANGUAGES}
    assert min(line["score"] for line in by_language.values()) > 60  # the words are English: it has learnt
    assert {line["mean"]: line["languages"] for line in lines if "mean" in line}["not trained on"] == 3
    (missing,) = [line for line in lines if "remark" in line]
    assert len(missing["languages"]) == 205 - 4
    for code in missing["languages"]:
        assert code in done.stderr  # by name, not by number
    assert (tmp_path / "out/report/report.html").is_file()

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").rglob("*") if path.is_file()}
    again = loaded(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "epoch" not in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").rglob("*") if path.is_file()}
    assert (tmp_path / "out/scores.jsonl").read_text() == done.stdout

    status = loaded("xdist", "study", "status", "out/study.yaml", cwd=tmp_path)
    assert "1 finished" in " ".join(status.stdout.split())
    report = loaded("xdist", "report", "out/study.yaml", "--out", "mine", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    assert "mean, not trained on" in report.stdout
    (trained,) = (tmp_path / "out/runs").glob("target-*/model")
    without = ("--suite", "africa", "--out", "africa", "--no-train", "--json", "--at-once", "2")
    scored = loaded(*words[:2], trained, *without, cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    assert re.search(r"^\S+: INFO ", scored.stderr, re.M)  # its run was a command, whose lines have its name
    found = {line["language"]: line for line in map(json.loads, scored.stdout.splitlines()) if "language" in line}
    assert set(found) == {"eng_Latn", "yor_Latn", "hau_Latn"}
    assert {code: line["score"] for code, line in found.items()} == {code: by_language[code]["score"] for code in found}
    assert [code for code, line in found.items() if line["trained"]] == ["eng_Latn"]
