"""Figures that others have published, in addition to those of a study."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from study_folder import CODES, described, finished, gold

from xdist.cli import main
from xdist.files import read_json

NONE = {"intermediate": "none", "robust": "none"}
ADVERSARIAL = {"intermediate": "none", "robust": "adversarial"}


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


def study(folder: Path, targets: list[dict[str, Any]]) -> Path:
    path = described(folder, gold(folder / "gold"))
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, "targets": targets}, sort_keys=False))
    return path


def target(value: float, spread: float | None = 1.0, **more: Any) -> dict[str, Any]:
    return {"condition": NONE, "task": "cldr-topic", "value": value, "spread": spread, "source": "a paper", **more}


def test_a_report_says_whether_figures_were_met(tmp_path: Path) -> None:
    """Every answer of plain training is right in 50 of 100, of adversarial training in 70."""
    against = {"condition": ADVERSARIAL, "against": NONE}
    path = study(
        tmp_path,
        [
            target(50.0, 3.0),
            target(90.0),
            target(50.0, 3.0, languages=["swh_Latn", "deu"]),
            target(50.0, 3.0, languages="all"),
            target(50.0, languages=["sw", "qu"]),
            target(20.0, None, **against),
            target(2.1, None, **against),
        ],
    )
    finished(path, lambda values, code: 0.7 if values["robust"] == "adversarial" else 0.5)
    done = typed("report", path)
    assert done.exit_code == 0, done.output
    found = read_json(tmp_path / "out/report/report.json")["published"]
    assert [one["within_seed_spread"] for one in found] == [True, False, True, True, None, True, False]
    assert [one["languages"] for one in found] == [
        len(CODES) - 1,
        len(CODES) - 1,
        2,
        len(CODES),
        0,
        len(CODES) - 1,
        len(CODES) - 1,
    ]
    assert found[0]["seeds"] == 2
    assert found[0]["ours"] == pytest.approx(50, abs=4)
    assert found[5]["ours"] == pytest.approx(20, abs=5)
    for form in ("report.md", "report.html"):
        assert "Published figures" in (tmp_path / "out/report" / form).read_text(encoding="utf-8")
    assert "not known yet" in (tmp_path / "out/report/report.md").read_text(encoding="utf-8")
    json.dumps(found)


@pytest.mark.parametrize(
    "wrong, said",
    [
        (target(1.0, task="cldr-topics"), "targets.0.task: unknown task of the study 'cldr-topics'"),
        (target(1.0, condition={"robust": "none"}), "targets.0.condition: fits 2 conditions, not one: "),
        (target(1.0, condition={"robust": "nine"}), "targets.0.condition.robust: unknown value 'nine'"),
        (target(1.0, languages=["sw", "dee"]), "targets.0.languages: task 'cldr-topic': unknown language 'dee'"),
        ({"condition": NONE, "task": "cldr-topic", "source": "a paper"}, "'value' is required"),
    ],
)
def test_a_figure_of_nothing_is_told_in_one_line(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    path = study(tmp_path, [wrong])
    found = typed("study", "run", path, "--dry-run")
    assert found.exit_code == 2, found.output
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"xdist: {path}:")
    assert said in line
