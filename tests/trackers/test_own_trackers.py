"""The sinks that docs/how-to/own-sink.md shows for MLflow and Trackio, unchanged: opened by those libraries, all
starts of a run are one run with its numbers. Each where it is installed with xdist: make trackers."""

import re
from pathlib import Path

import pytest
from pages import ROOT, shown

from xdist import plugins
from xdist.run.sinks import Sinks, Start

NAMES = ("train/loss", "eval/xnli/sw")


def logged(name: str, folder: Path) -> None:
    """Two starts of a run, the second as an evaluation makes one, into the sink of that name that the page shows."""
    text = dict(shown(ROOT / "docs/how-to/own-sink.md"))[f"{name}_sink.py"]
    place = folder / f"{name}_sink.py"
    place.write_text(text, encoding="utf-8")
    with plugins.with_plugins([str(place)]):
        for start, values in (
            (Start(folder, "mine", {"seed": 1}, 0), [(1, {"train/loss": 1.0}), (2, {"train/loss": 0.5})]),
            (Start(folder, "mine", {"seed": 1}), [(2, {"eval/xnli/sw": 61.5})]),
        ):
            sinks = Sinks((name,), start)
            for step, numbers in values:
                sinks.scalars(step, numbers)
            sinks.close()


def test_the_page_s_files_are_of_thirty_lines() -> None:
    files = {name: text for name, text in shown(ROOT / "docs/how-to/own-sink.md") if re.match("mlflow|trackio", name)}
    assert len(files) == 2
    assert all(len(text.splitlines()) <= 40 for text in files.values())


def test_mlflow_reads_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow")
    logged("mlflow", tmp_path)
    from mlflow import MlflowClient

    assert not caplog.records
    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").absolute().as_uri())
    experiment = client.get_experiment_by_name("xdist")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    told = {
        name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics
    }
    assert told == {"train/loss": [(1, 1.0), (2, 0.5)], "eval/xnli/sw": [(2, 61.5)]}


def test_trackio_reads_it(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # as the file sets it, and taken back afterwards
    pytest.importorskip("trackio")
    logged("trackio", tmp_path)
    from trackio import Api
    from trackio.sqlite_storage import SQLiteStorage

    assert not caplog.records
    (run,) = Api().runs("xdist")
    assert run.name == "mine"
    told = [
        (line["step"], name, line[name]) for line in SQLiteStorage.get_logs("xdist", "mine") for name in NAMES if name in line
    ]
    assert told == [(1, "train/loss", 1.0), (2, "train/loss", 0.5), (2, "eval/xnli/sw", 61.5)]
