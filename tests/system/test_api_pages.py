"""The pages on the API: every cell of the notebook and every example of docs/api.md, each unchanged."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from elsewhere import Scored
from pages import ROOT, blocks

from xdist.run.folder import RunFolder

NOTEBOOK = ROOT / "docs/notebooks/api.ipynb"
TARGET, BASELINE = Path("runs/demo/target-multilingual-adversarial"), Path("runs/demo/target-english-none")


def executed(sources: list[str], place: Path) -> dict[str, Any]:
    """The names that these texts leave, executed in order in one process, in the folder `place`."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for number, source in enumerate(sources):
            exec(compile(source, f"example {number}", "exec"), names)
    return names


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Where its cells ran, and what they left."""
    place = tmp_path_factory.mktemp("notebook")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return place, executed(["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"], place)


def test_the_notebook_trains_scores_and_reports(notebook: tuple[Path, dict[str, Any]]) -> None:
    place, names = notebook
    done, losses = names["done"], names["losses"]
    assert (done.state, done.started) == ("finished", True)
    assert names["scores"]["tasks"]["cldr-spans"]["languages"]["en"]["f1"] > 90
    assert names["scores"]["tasks"]["cldr-spans"]["mean"] == done.scores["tasks"]["cldr-spans"]["mean"]
    assert losses[-1] < losses[0] / 5
    assert (place / names["report"].html).is_file()
    assert (place / "runs/notebook/mine/model.safetensors").is_file()


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)


@pytest.fixture
def demo(notebook: tuple[Path, dict[str, Any]], elsewhere: Scored) -> Path:
    """The notebook's run under the names that `xdist demo` gives, and a baseline that is worse in one language; next to them a
    model from elsewhere that is scored."""
    place, made = elsewhere.place, notebook[0] / "runs/notebook"
    shutil.copytree(made, place / "runs/notebook")
    for name in ("benchmark", "encoder"):
        shutil.copytree(made / name, place / "runs/demo" / name)
    for folder in (TARGET, BASELINE):
        shutil.copytree(made / "run", place / folder)
    description = yaml.safe_load((made / "run.yaml").read_text())
    description |= {"folder": str(TARGET), "data": {"root": "runs/demo/benchmark"}}
    (place / "jobs/runs/demo").mkdir(parents=True)
    (place / "jobs/runs/demo/target.yaml").write_text(yaml.safe_dump(description))
    config = RunFolder(place / BASELINE).config
    config.write_text(config.read_text().replace("method: adversarial", "method: none"))
    predicted = place / BASELINE / "predictions/cldr-spans/test-de.tsv"
    predicted.write_text("".join("O\n" if line.strip() else "\n" for line in predicted.read_text().splitlines()))
    return place


def test_the_examples_of_the_page(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = executed(list(blocks(ROOT / "docs/api.md", "python")), demo)
    assert not names["done"].started  # all that is to be trained and scored exists
    assert names["done"].folder == Path("runs/evaluate/tagger-udpos")
    rows = names["spans"].comparison.languages
    assert (rows["sw"].a, rows["de"].b) == (rows["sw"].b, 0)
    assert rows["de"].a > 50
    assert (demo / "report/report.html").is_file()
    said = capsys.readouterr().out
    assert "unknown key 'stepz': did you mean 'steps'?" in said
    assert names["loss"].shape == ()
