"""`xdist demo` for real, once: its results show transfer, its files are where it says."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typing_of_commands import Typed, of_libraries

from xdist.files import read_json
from xdist.languages import LANGUAGES


@pytest.fixture(scope="module")
def place(typed: Typed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `xdist demo` ran."""
    place = tmp_path_factory.mktemp("demo")
    done = typed("xdist", "demo", cwd=place, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "report: runs/demo/report-multilingual-adversarial/report.html" in done.stdout
    assert of_libraries(done.stdout + done.stderr) == []
    return place


def test_demo_shows_transfer(place: Path) -> None:
    runs = place / "runs/demo"
    topic = read_json(runs / "intermediate-multilingual/scores.json")["tasks"]["cldr-topic"]["languages"]
    assert set(topic) == set(LANGUAGES)
    unseen = [topic[code]["accuracy"] for code in ("fr", "pt", "nl", "af", "jv", "ht")]  # not among the ten trained on
    assert sum(unseen) / len(unseen) > 45  # six labels: chance is 17
    tasks = read_json(runs / "target-multilingual-adversarial/scores.json")["tasks"]
    assert set(tasks["cldr-spans"]["languages"]) == set(LANGUAGES)
    assert set(tasks["cldr-names"]["languages"]) == set(LANGUAGES) - {"en"}
    assert tasks["cldr-spans"]["languages"]["de"]["f1"] > 25
    assert tasks["cldr-names"]["mean"]["accuracy"] > 20  # of 50 candidates: chance is 2


def test_demo_leaves_predictions_events_and_a_page(place: Path) -> None:
    target = place / "runs/demo/target-multilingual-adversarial"
    assert len(list((target / "predictions/cldr-spans").glob("test-*.tsv"))) == 50
    events = EventAccumulator(str(target / "tensorboard"))
    events.Reload()
    names = set(events.Tags()["scalars"])
    assert {"train/loss", "robust/loss_gap", "eval/cldr-spans/sw", "eval/cldr-names/yo"} <= names
    page = (place / "runs/demo/report-multilingual-adversarial/report.html").read_text(encoding="utf-8")
    assert "Haitian Creole" in page
    assert "French ones, which CLDR falls back on" in page


def test_second_demo_starts_nothing(loaded: Typed, place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (place / "runs").rglob("*")}
    done = loaded("xdist", "demo", cwd=place)
    assert done.returncode == 0
    assert "nothing was started" in done.stdout
    assert "report: runs/demo/report-multilingual-adversarial/report.html" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in (place / "runs").rglob("*")}
