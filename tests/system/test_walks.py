"""What a student types who trains a first model, and a reviewer who checks somebody's numbers: every command as it is shown."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny import tiny_benchmark, tiny_model
from typing_of_commands import of_libraries

from xdist.files import read_json


class Walk:
    """Types commands in a folder, as on a machine where nothing is set, and remembers what they said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    def __call__(self, line: str, code: int = 0) -> str:
        words = shlex.split(line)
        environment = {name: value for name, value in os.environ.items() if name != "DS_ACCELERATOR"}
        command = [str(Path(sys.executable).with_name("xdist")), *words[1:]]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=environment, timeout=400, check=False
        )
        assert done.returncode == code, (line, done.stdout, done.stderr)
        self.said += [*done.stdout.splitlines(), *done.stderr.splitlines()]
        return done.stdout


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("walk")
    tiny_model(folder / "encoder", tiny_benchmark(folder / "benchmark"))
    return Walk(folder)


def test_a_student_trains_scores_and_compares_a_first_model(walk: Walk) -> None:
    assert re.search(
        r"^cldr-topic +classification +accuracy +50 +\d+ of \d+$", walk("xdist tasks --data benchmark"), re.MULTILINE
    )
    described = walk("xdist tasks show cldr-topic --data benchmark").partition("\n---\n")[2]
    assert yaml.safe_load(described)["data"]["root"] == "benchmark"
    (walk.folder / "first.yaml").write_text(described)
    more = "model.backbone=encoder train.epochs=null train.steps=12 evaluate.languages=[de,sw,en]"
    assert "evaluate on   cldr-topic in 3 languages" in walk(f"xdist train first.yaml --dry-run {more}")
    end = walk(f"xdist train first.yaml {more}").splitlines()
    assert end[1].split() == ["mean", "over", "cldr-topic"]
    groups = [line.split("  ")[0] for line in end[4 : end.index("", 4)]]
    assert groups == ["unknown", "not trained on", "all languages"]  # nobody knows what a tiny encoder has read
    assert "folder: runs/cldr-topic" in end
    offered = [line.removeprefix("next:   ").partition("  #")[0] for line in end if line.startswith("next:")]
    assert [command.split()[1] for command in offered] == ["report", "compare", "export"]
    walk(f"xdist train first.yaml {more} robust.method=adversarial name=robust folder=runs/robust")
    for command in offered:
        walk(command.replace("OTHER_RUN", "runs/robust").replace("NAME", "first"))
    assert (walk.folder / "runs/cldr-topic/report/report.html").is_file()
    status = [line.split() for line in walk("xdist status").splitlines()]
    assert [row[:3] for row in status[2:]] == [["cldr-topic", "finished", "12/12"], ["robust", "finished", "12/12"]]


def test_a_reviewer_checks_the_numbers(walk: Walk) -> None:
    """After the student."""
    compared = walk("xdist compare runs/robust runs/cldr-topic")
    assert re.search(r"A \| B differ in: .*robust\.method adversarial \| none", compared)
    assert "One seed a side: about these two models, not about training." in compared
    assert "uncorrected" in compared
    scored = json.loads(walk("xdist score runs/robust/predictions --gold benchmark --partial --json"))
    told = read_json(walk.folder / "runs/robust/scores.json")["tasks"]["cldr-topic"]
    assert scored["tasks"]["cldr-topic"]["mean"] == told["mean"]
    assert "whole" in walk("xdist checkpoint verify runs/robust")
    again = "model.backbone=encoder train.epochs=null train.steps=12 evaluate.languages=[de,sw,en]"
    assert "cldr-topic is finished: runs/cldr-topic/scores.json" in walk(f"xdist train first.yaml {again}")
    found = json.loads(walk("xdist evaluate --model models/first --task cldr-topic --data benchmark --languages de,sw --json"))
    one, other = (
        of["tasks"]["cldr-topic"]["languages"]
        for of in (found["scores"], read_json(walk.folder / "runs/cldr-topic/scores.json"))
    )
    assert one == {code: other[code] for code in ("de", "sw")}
    assert "learning_rate" in walk("xdist keys train.learning_rate")
    assert "did you mean 'cldr-topic'?" in "".join([walk("xdist tasks show cldr-topics", 2), *walk.said[-1:]])


def test_no_line_of_a_library_reached_them(walk: Walk) -> None:
    assert len(walk.said) > 100
    assert of_libraries("\n".join(walk.said)) == []
