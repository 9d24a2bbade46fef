"""What a study is to find out is written down before its first run, and the report says whether that was kept to."""

import json
import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pages import json_keys, keys_of
from study_folder import described, finished, gold

from xdist.cli import main
from xdist.config import load_study
from xdist.config.study import leading_comment
from xdist.files import read_json
from xdist.report.answer import RARE, RICH
from xdist.study import Facts, expand
from xdist.study.freeze import check_frozen


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = described(tmp_path, gold(tmp_path / "gold"), seeds=1)
    text = path.read_text(encoding="utf-8")
    path.write_text(f"# Does it help?\n#   xdist study run\n{text}all: {{model.pretraining: cc100}}\n", encoding="utf-8")
    return path


def typed(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def said(study: Path) -> str:
    return check_frozen(expand(load_study(study), Facts())).said


def test_what_was_frozen_is_told_by_the_report(study: Path) -> None:
    typed("study", "freeze", study)
    file = study.parent / "out/frozen.json"
    content = read_json(file)
    conditions = [
        f"intermediate: {one}, robust: {other}"
        for one, other in (("none", "adversarial"), ("multilingual", "none"), ("multilingual", "adversarial"))
    ]
    assert [(one["group"], one["condition"]) for one in content["tests"]] == [
        (group, name) for group in (RARE, RICH) for name in conditions
    ]
    assert len(content["hypotheses"]) == 6
    assert "Holm for all of them together" in content["correction"]
    assert content["described"]["runs"]["target-none-adversarial-s1"]["robust"]["radius"] == 0.1
    told = json.loads(typed("study", "freeze", study, "--json"))  # once more is no harm
    assert keys_of(told) <= json_keys("study freeze")
    assert told["digest"] == content["digest"]
    assert read_json(file) == content
    finished(study, lambda values, code: 0.5)
    study.write_text(study.read_text(encoding="utf-8").replace("Does it help?", "It does."), encoding="utf-8")
    assert said(study) == (
        f"Frozen before the first run: yes, {content['written'][:16].replace('T', ' ')} UTC, digest {content['digest']}."
    )
    typed("report", study)
    content = read_json(study.parent / "out/report/report.json")
    assert content["frozen"] == said(study)
    assert content["asked"]["question"] == ["Does it help?"]
    page = (study.parent / "out/report/report.html").read_text(encoding="utf-8")
    assert "Frozen before the first run: yes" in page


def test_hypotheses_of_the_study_are_what_is_frozen(study: Path) -> None:
    values = {**yaml.safe_load(study.read_text(encoding="utf-8")), "hypotheses": ["Small languages gain."]}
    study.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    assert "Small languages gain." in typed("study", "freeze", study)
    assert read_json(study.parent / "out/frozen.json")["hypotheses"] == ["Small languages gain."]


def test_places_and_what_is_not_the_question_change_nothing(study: Path) -> None:
    typed("study", "freeze", study)
    out = typed("study", "freeze", study, f"all.data.cache={study.parent / 'elsewhere'}", "all.runtime.log_every=3")
    assert "frozen since" in out


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda v: v["seeds"].append(2), "seeds was [1], is [1, 2]"),
        (lambda v: v["stages"]["target"].update(set={"train.steps": 41}), "train.steps was 40, is 41"),
        (lambda v: v.update(baseline={"intermediate": "multilingual", "robust": "none"}), "conditions."),
        (lambda v: v.update(hypotheses=["Nothing happens."]), "hypotheses was missing, is ['Nothing happens.']"),
    ],
)
def test_a_study_that_was_changed_since_is_no_frozen_one(study: Path, change: object, why: str) -> None:
    typed("study", "freeze", study)
    finished(study, lambda values, code: 0.5)
    values = yaml.safe_load(study.read_text(encoding="utf-8"))
    change(values)  # type: ignore[operator]
    study.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    if "steps" not in why:  # other runs, of which none is finished
        assert said(study).startswith("Frozen before the first run: no; the study was changed since ")
        assert why in said(study)
    out = typed("study", "freeze", study, code=2)
    assert "is frozen already, since" in out
    assert why in out
    assert out.count("\n") == 1


def test_after_the_first_run_it_is_too_late(study: Path) -> None:
    graph = finished(study, lambda values, code: 0.5)
    assert said(study) == "Frozen before the first run: no."
    out = typed("study", "freeze", study, code=2)
    first = sorted(node.run.folder.name for node in graph.nodes.values())[0]
    assert out == f"xdist: {study.parent / 'out'}: {first} has started; a study is frozen before its first run\n"


def test_a_run_that_is_older_than_the_freeze_is_told(study: Path) -> None:
    typed("study", "freeze", study)
    graph = finished(study, lambda values, code: 0.5)
    folder = next(iter(graph.nodes.values())).run.folder
    os.utime(folder / "config.yaml", (1e9, 1e9))
    assert said(study).startswith(f"Frozen before the first run: no; {folder.name} began before ")


@pytest.mark.parametrize("text", ["{", "[]", '{"digest": 3}'])
def test_a_file_that_is_none_is_told(study: Path, text: str) -> None:
    finished(study, lambda values, code: 0.5)
    (study.parent / "out/frozen.json").write_text(text)
    assert said(study).startswith("Frozen before the first run: no; ")
    assert "frozen.json" in said(study)


def test_a_plan_that_was_changed_by_hand_is_told(study: Path) -> None:
    typed("study", "freeze", study)
    finished(study, lambda values, code: 0.5)
    file = study.parent / "out/frozen.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"radius": 0.1', '"radius": 0.2', 1), encoding="utf-8")
    assert "was changed by hand" in said(study)


def test_the_comment_at_the_head_of_a_study_is_its_question(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("# Does it help\n# names?\n#   xdist study run a.yaml\n# All is fixed.\nname: a\n# not this\n")
    assert leading_comment(file) == ("Does it help names?", "All is fixed.")
    file.write_text("name: a\n")
    assert leading_comment(file) == ()
