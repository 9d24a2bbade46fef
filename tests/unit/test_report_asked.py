"""A report on several conditions for a reader who never saw its YAML: what was run, what a guess scores, what is missing."""

import json
import math
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from study_folder import described, finished, gold
from ten_tasks import ten_by_six
from test_report import Elements

from xdist.config import load_study
from xdist.config.extra_rows import read_extra_rows
from xdist.errors import UserError
from xdist.evaluation.guesses import guess_scores
from xdist.files import read_json, shipped
from xdist.formats.examples import Choice, Classified, Sentence, Tagged
from xdist.report import study_page
from xdist.report.asked import NumberSeries
from xdist.report.by_number import number_chart, number_curves
from xdist.report.falling import fall
from xdist.report.figures import figures
from xdist.report.findings import Findings, findings
from xdist.report.latex import tables
from xdist.report.page import WIDE, blocks
from xdist.report.study_report import write_study_report
from xdist.run.folder import RunFolder
from xdist.study import Facts, expand
from xdist.study.asked import describe_study_runs
from xdist.study.conditions import conditions_of
from xdist.study.results import study_results
from xdist.study.series import number_series
from xdist.study.state import note_failure, standings
from xdist.tasks.catalog import task


@pytest.fixture(scope="module")
def ten() -> Findings:
    return findings(ten_by_six())


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study one of whose runs failed, with a run of an earlier description next to it, and rows of others."""
    folder = tmp_path_factory.mktemp("study")
    path = described(folder, gold(folder / "gold"), seeds=1)
    text = path.read_text(encoding="utf-8")
    path.write_text(f"# Does robust training\n# help names?\n#   xdist study run a.yaml\n{text}", encoding="utf-8")
    finished(path, lambda values, code: 0.6)
    longer = path.with_name("longer.yaml")
    longer.write_text(path.read_text(encoding="utf-8").replace("steps: 40", "steps: 41"), encoding="utf-8")
    graph = expand(load_study(longer), Facts())
    first = next(iter(expand(load_study(path), Facts()).nodes.values()))
    other = next(node.run.folder for node in graph.nodes.values() if node.run.name == "target-none-none-s1")
    shutil.copytree(first.run.folder, other)
    graph = expand(load_study(path), Facts())
    node = next(node for node in graph.nodes.values() if node.run.name == "target-none-adversarial-s1")
    RunFolder(node.run.folder).mark("failed", "loss is not finite")
    note_failure(graph, node, "loss is not finite")
    results = study_results(graph, standings(graph, Facts()))
    rows = folder / "rows.json"
    rows.write_text(json.dumps({"rows": [{"name": "An LLM", "source": "arXiv 1911.02116", "tasks": {"cldr-topic": 71.25}}]}))
    extra = read_extra_rows(rows, {"cldr-topic": "accuracy"})
    write_study_report(results, folder / "plain")
    write_study_report(replace(results, extra=extra), folder / "report")
    return folder


def test_a_reader_is_told_what_was_run(out: Path) -> None:
    content = read_json(out / "report/report.json")
    asked = content["asked"]
    assert asked["question"] == ["Does robust training help names?"]
    stages = {one["stage"]: one for one in asked["stages"]}
    assert stages["intermediate"]["data"] == "cldr-topic (en, sw, tr)"
    target = stages["target"]
    assert target["encoder"] == "some/encoder or the model of intermediate"
    assert (target["updates"], target["batch"], target["rate"]) == ("40", "32", "2e-05")
    assert target["robust"] == "none or adversarial (radius 0.1)"
    differs = asked["differs"]
    assert set(differs) == {
        "intermediate: none, robust: adversarial",
        "intermediate: multilingual, robust: none",
        "intermediate: multilingual, robust: adversarial",
    }
    assert "target: robust.method adversarial (baseline: none)" in differs["intermediate: none, robust: adversarial"]
    assert "target: robust.radius 0.1 (baseline: not set)" in differs["intermediate: none, robust: adversarial"]
    assert differs["intermediate: multilingual, robust: none"] == ["intermediate: is used (not in the baseline)"]
    page = Elements((out / "report/report.html").read_text(encoding="utf-8")).text
    markdown = (out / "report/report.md").read_text(encoding="utf-8")
    for said in ("Does robust training help names?", "What was run", "some/encoder", "2e-05", "robust.radius 0.1"):
        assert said in page
        assert said in markdown.replace("\\", "")
    assert "none · none" not in page + markdown


def test_missing_runs_make_it_preliminary_and_are_named(out: Path) -> None:
    content = read_json(out / "report/report.json")
    assert content["preliminary"]
    assert content["cautions"][0] == "Preliminary: 1 of 5 runs are missing."
    failed, before = sorted(content["asked"]["unshown"], key=lambda line: "began" in line)
    assert failed == "target-none-adversarial-s1: failed: loss is not finite"
    assert re.fullmatch(r"target-\w{16}: began \(finished\), and is no run of the study as it is described now", before)
    for name in ("report.html", "report.md"):
        text = (out / "report" / name).read_text(encoding="utf-8")
        assert "Preliminary: 1 of 5 runs are missing." in text
        assert "is no run of the study as it is described now" in text.replace("\\", "")


def test_losses_that_still_fall_are_named(out: Path) -> None:
    (line,) = (line for line in read_json(out / "report/report.json")["cautions"] if line.startswith("Losses"))
    assert line.startswith("Losses were still falling at the end of 3 of 4 runs (over their last third: target-")


@pytest.mark.parametrize(
    "loss, share",
    [
        (lambda n: 2.0, None),
        (lambda n: 2.0 + (0.5 if n % 2 else -0.5), None),  # noise
        (lambda n: 2.0 - 0.0001 * n, None),  # little
        (lambda n: 1.0 + 0.01 * n, None),  # it rises
        (lambda n: math.nan, None),
        (lambda n: 5.0 - 0.03 * n + (0.02 if n % 2 else -0.02), 0.03 * 39 / (5 - 0.03 * 100.5)),
    ],
)
def test_a_loss_falls_where_a_line_says_so_beyond_its_noise(loss: object, share: float | None) -> None:
    found = fall([(n, loss(n)) for n in range(1, 121)])  # type: ignore[operator]
    assert found == (None if share is None else pytest.approx(share, rel=0.02))


def test_guesses_are_what_a_guess_scores(out: Path) -> None:
    rows = {one["name"]: one for one in read_json(out / "report/report.json")["beside"]}
    assert rows["guess: random"]["tasks"]["cldr-topic"] == pytest.approx(100 / 6)
    assert 100 / 6 < rows["guess: majority"]["tasks"]["cldr-topic"] < 30
    for name in ("report.html", "report.md", "tables/tasks.tex"):
        assert "guess: majority" in (out / "report" / name).read_text(encoding="utf-8")


def test_guesses_of_each_family() -> None:
    labels = ["contradiction"] * 3 + ["neutral"]
    classified = [Classified(texts=("a", "b"), label=label) for label in labels]
    assert guess_scores(task("xnli"), classified, "de", "accuracy") == {"majority": 75.0, "random": pytest.approx(100 / 3)}
    choices = [Choice(prompt="a", options=("b", "c"), label=int(n > 0)) for n in range(4)]
    assert guess_scores(task("xcopa"), choices, "et", "accuracy") == {"majority": 75.0, "random": 50.0}
    tagged = [Tagged(words=("a", "b"), tags=("NOUN", "VERB")), Tagged(words=("c",), tags=("NOUN",))]
    assert guess_scores(task("udpos"), tagged, "de", "accuracy")["majority"] == pytest.approx(100 * 2 / 3)
    assert guess_scores(task("panx"), [Tagged(words=("a",), tags=("O",))], "de", "accuracy")["majority"] == 100
    sentences = [(side, Sentence(id=str(n), text="x", gold=str(n))) for side in ("foreign", "english") for n in range(5)]
    assert guess_scores(task("tatoeba"), sentences, "de", "accuracy") == {"random": 20.0}
    assert guess_scores(task("xnli"), [Classified(texts=("a", "b"), label=None)], "de", "accuracy") == {}


def test_rows_of_others_are_marked_and_enter_no_test(out: Path) -> None:
    with_rows, without = (read_json(out / name / "report.json") for name in ("report", "plain"))
    (row,) = (one for one in with_rows["beside"] if one["name"] == "An LLM")
    assert row == {"name": "An LLM", "said": "not run here; arXiv 1911.02116", "tasks": {"cldr-topic": 71.25}}
    for key in ("answer", "tasks", "languages", "sentences", "statistics"):
        assert with_rows[key] == without[key]
    for name in ("report.html", "report.md", "tables/tasks.tex"):
        assert "not run here" in (out / "report" / name).read_text(encoding="utf-8")
        assert "An LLM" not in (out / "plain" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "row, message",
    [
        (
            {"tasks": {"xnlii": 1.0}},
            "rows.0.tasks.xnlii: unknown task of the report 'xnlii': did you mean 'xnli'? (valid: xnli)",
        ),
        ({"tasks": {"xnli": "high"}}, "rows.0.tasks.xnli: Input should be a valid number, not the text 'high'"),
        ({"tasks": {"xnli": 80}, "metrics": {"xnli": "f1"}}, "rows.0.metrics.xnli: the report shows accuracy of xnli, not f1"),
        ({"tasks": {}}, "rows.0.tasks: is empty"),
        (
            {"tasks": {"xnli": 80}, "sourc": "x"},
            "rows.0: unknown key 'sourc': did you mean 'source'? (valid: metrics, name, source, tasks)",
        ),
    ],
)
def test_rows_that_are_none_are_one_line(tmp_path: Path, row: dict[str, object], message: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"rows": [{"name": "a", "source": "b", **row}]}))
    with pytest.raises(UserError) as caught:
        read_extra_rows(file, {"xnli": "accuracy"})
    assert str(caught.value) == f"{file}:1: {message}"


def test_tables_with_many_columns_are_cut_by_task(ten: Findings) -> None:
    found = blocks(ten.scores.columns)
    assert len(found) == 10
    assert all(len({column.task for column in block}) == 1 and len(block) == 6 for block in found)
    one = [column for column in ten.scores.columns if column.run == ten.scores.runs[0]]
    assert [len(block) for block in blocks(one)] == [WIDE]
    assert blocks([]) == [[]]


def test_figures_are_drawings_that_stand_alone(ten: Findings) -> None:
    found = figures(ten)
    assert {"differences.svg", "scores-xnli.svg", "size-xnli.svg"} <= set(found)
    for name, text in found.items():
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg", name
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        assert not re.search(r"href|<script|var\(", text), name
        for place in root.iter("{http://www.w3.org/2000/svg}text"):
            assert 0 <= float(place.attrib["x"]) <= width, name
            if place.attrib.get("text-anchor") == "start":  # a letter of this size is 5 wide or more
                assert float(place.attrib["x"]) + 5 * len(place.text or "") <= width, (name, place.text)
            assert 0 <= float(place.attrib["y"]) <= height, name
    assert "intermediate: multilingual, robust: adversarial" in found["differences.svg"]


@pytest.mark.skipif(
    shutil.which("pdflatex") is None and "XDIST_CI" not in os.environ, reason="no pdflatex here (texlive-latex-recommended)"
)
def test_tables_compile_and_fit_an_article(ten: Findings, tmp_path: Path) -> None:
    found = tables(ten)
    lines = [r"\documentclass{article}", r"\usepackage{array,booktabs,longtable}", r"\begin{document}"]
    for name, text in found.items():
        assert "\\begin{longtable}" in text
        (tmp_path / name).write_text(text, encoding="utf-8")
        lines.append(rf"\input{{{name}}}")
    (tmp_path / "a.tex").write_text("\n".join([*lines, r"\end{document}"]), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Overfull" not in done.stdout
    assert set(found) == {"tasks.tex", "groups.tex", "languages.tex"}
    heads = found["tasks.tex"].split(r"\toprule")[1].split(r"\midrule")[0].strip().splitlines()
    assert heads == [
        r" & xnli & xcopa & udpos & panx & xquad \\".strip(),
        r"condition & accuracy & accuracy & accuracy & accuracy & accuracy \\",
    ]


def test_conditions_that_differ_in_one_number_are_a_series() -> None:
    radius, steps = "target: robust.radius", "target: train.steps"
    values = {
        "plain": {steps: 10, radius: None},
        "small": {steps: 10, radius: 0.1},
        "large": {steps: 10, radius: 1},
        "longer": {steps: 20, radius: 0.1},
        "random": {steps: 10, radius: 0.1, "target: robust.method": "random"},
        "random-large": {steps: 10, radius: 0.2, "target: robust.method": "random"},
        "elsewhere": {steps: 10, radius: 0.5},
    }
    against = {**dict.fromkeys(values, "plain"), "plain": None, "elsewhere": "longer"}
    assert [(one.key, one.against, dict(one.conditions)) for one in number_series(values, against)] == [
        (steps, "plain", {10: "small", 20: "longer"}),
        (radius, "plain", {0.1: "small", 1: "large"}),
        (radius, "plain", {0.1: "random", 0.2: "random-large"}),
    ]


def test_a_study_of_radii_draws_its_differences_by_the_radius(ten: Findings) -> None:
    graph = expand(load_study(shipped("jobs") / "studies" / "answer-robust.yaml"), Facts())
    asked = describe_study_runs(graph, conditions_of(graph)[0], {})
    (found,) = asked.series
    assert (found.key, found.against) == ("target: robust.radius", "robust: plain")
    assert list(found.conditions.items()) == [(radius, f"robust: adversarial-{radius}") for radius in (0.02, 0.05, 0.1)]

    first, second = (one for one in ten.answer.rows[0].differences[:2])
    series = NumberSeries("target: robust.radius", first.against, {0.05: first.condition, 0.2: second.condition})
    drawn = replace(ten, results=replace(ten.results, asked=replace(asked, series=(series,))))
    (curve,) = number_curves(drawn.results.asked, drawn.answer)
    assert list(curve.groups) == [row.name for row in drawn.answer.rows if row.headline]
    chart = number_chart(curve)
    assert [tick.text for tick in chart.x_ticks] == ["0.05", "0.2"]
    for line, points in zip(chart.lines, curve.groups.values(), strict=True):
        low, high = (tick.at for tick in (chart.y_ticks[0], chart.y_ticks[-1]))
        assert all(high <= mark.high <= mark.y <= mark.low <= low for mark in line.marks)  # upward is less in SVG
        assert (line.marks[0].y < chart.zero) == (points[0.05].interval.difference > 0)
    drawing = figures(drawn)["by-number-1.svg"]
    assert ET.fromstring(drawing).tag.endswith("svg")
    page = study_page.render(drawn, datetime(2026, 1, 1))
    assert "Differences by a number" in page
    assert "difference from “" in page
    assert "Differences by a number" not in study_page.render(ten, datetime(2026, 1, 1))
