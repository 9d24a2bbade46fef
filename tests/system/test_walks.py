"""What a student types who trains a first model, and a reviewer who checks the numbers of others: every command as it is
shown."""

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len
from tiny import tiny_benchmark, tiny_model
from typing_of_commands import of_libraries

from xdist.files import read_json
from xdist.run.signature import signatures

ROOT = Path(__file__).resolve().parents[2]


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
    assert groups == ["unknown", "not trained on", "all languages"]  # what a tiny encoder has read is not known
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
    signed = dict(part.split(":", 1) for part in scored["tasks"]["cldr-topic"]["signature"].split("|"))
    of_run = dict(part.split(":", 1) for part in signatures(walk.folder / "runs/robust")["cldr-topic"].split("|"))
    assert of_run.keys() - signed.keys() == {"model", "options", "seed"}  # which is not known of predictions alone
    assert signed == {key: of_run[key] for key in signed}
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


STUDY = """# Does noise help? Two ways to train.
#   xdist study run study.yaml
name: noise
folder: runs/noise
stages: {target: {run: first.yaml}}
axes: {robust: {none: {target: {robust: {method: none}}}, random: {target: {robust: {method: random, radius: 0.05}}}}}
all: {model.backbone: encoder, train.epochs: null, train.steps: 12}
"""
TABLES = (
    "tasks --data benchmark",
    "tasks show cldr-topic --data benchmark",
    "status",
    "compare runs/robust runs/cldr-topic",
    "report runs/robust runs/cldr-topic --out runs/both",
    "report runs/robust --against runs/cldr-topic --out runs/compared",
    "checkpoint list runs/robust",
    "study plan study.yaml",
    "study freeze study.yaml",
    "study status study.yaml",
    "init",
    "keys train.learning_rate",
)
# In one process, at a terminal: what is typed there, one after another, each behind its own line.
TYPED = """
import shlex, sys
from xdist.cli import main
for line in sys.argv[1:]:
    print("$ " + line, flush=True)
    main(shlex.split(line), prog_name="xdist", standalone_mode=False)
"""


def test_tables_fit_a_terminal_of_80_columns(walk: Walk) -> None:
    """After the student: a real terminal, where tables break into lines instead of cutting names."""
    (walk.folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", TYPED, *TABLES],
        stdout=terminal,
        stderr=terminal,
        stdin=terminal,
        cwd=walk.folder,
        env=environment,
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # the end of a terminal whose program has gone
        while chunk := os.read(reader, 1 << 16):
            shown += chunk
    os.close(reader)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode().replace("\r\n", "\n"))
    assert process.wait(timeout=60) == 0, text
    parts = dict(zip(TABLES, re.split(r"^\$ .*\n", text, flags=re.MULTILINE)[1:], strict=True))
    for line, said in parts.items():
        assert said.strip(), line
        assert "…" not in said, (line, said)
        wide = [one for one in said.splitlines() if cell_len(one) > 80 and "/" not in one]  # a path is never broken
        assert wide == [], line
    assert "cldr-topic" in parts["status"]
    assert "robust.method adversarial | none" in " ".join(parts["compare runs/robust runs/cldr-topic"].split())
    assert "“robust: random” differs from “robust: none”" in " ".join(parts["study freeze study.yaml"].split())
    assert "waiting" in parts["study status study.yaml"]
    frozen = read_json(walk.folder / "runs/noise/frozen.json")
    assert frozen["question"] == ["Does noise help? Two ways to train."]
    compared = (walk.folder / "runs/compared/report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "robust: robust.method adversarial (baseline: none)" in compared
    assert (walk.folder / "runs/compared/figures/scores-cldr-topic.svg").is_file()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout: there is nothing to clone")
def test_a_clean_clone_verifies_what_they_put_into_an_appendix(walk: Walk, tmp_path: Path) -> None:
    """After both."""
    assert walk("xdist bundle runs/cldr-topic runs/robust --out appendix.tar.gz").startswith("appendix.tar.gz: 2 runs, ")
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), tmp_path / "clone"], check=True)
    command = [sys.executable, "-m", "xdist.cli", "bundle", "--verify", walk.folder / "appendix.tar.gz", "--data"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "clone")}
    done = subprocess.run(
        [*command, walk.folder / "benchmark"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{2 * 3} scores were reproduced"


def test_no_line_of_a_library_reached_them(walk: Walk) -> None:
    assert len(walk.said) > 100
    assert of_libraries("\n".join(walk.said)) == []
