"""The report of a study, from folders as a study leaves them: sentences that claim no more than the numbers, and every file."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from study_folder import CODES, described, finished, gold
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_report import HOSTILE, Elements

from xdist.cli import main
from xdist.config import load_study
from xdist.files import read_json
from xdist.languages import CC100
from xdist.metrics.significance import Interval
from xdist.report.answer import RARE, RICH, Difference
from xdist.report.kinship import rank_correlation
from xdist.report.latex import escaped
from xdist.report.results import as_scores
from xdist.report.sentences import sentence
from xdist.run.folder import RunFolder
from xdist.study import Facts, expand
from xdist.study.conditions import conditions_of
from xdist.study.loose import run_results
from xdist.study.results import study_results
from xdist.study.state import note_failure, standings

SMALL_LANGUAGES = ("ht", "yo", "jv", "sw", "eu")


def right(values: Mapping[str, str], code: str) -> float:
    """Multilingual intermediate training helps much where XLM-R has read little; adversarial training never."""
    return 0.75 if values["intermediate"] == "multilingual" and code in SMALL_LANGUAGES else 0.5


def right_in_pairs(values: Mapping[str, str], code: str) -> float:
    return 0.9 if values["robust"] == "adversarial" and len(set(code.split("-"))) == 2 else 0.5


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four conditions and three seeds, one of whose runs has failed."""
    folder = tmp_path_factory.mktemp("study")
    path = described(folder, gold(folder / "gold"), seeds=3)
    graph = finished(path, right)
    node = next(node for node in graph.nodes.values() if node.run.name == "target-none-adversarial-s3")
    RunFolder(node.run.folder).mark("failed", "loss is not finite")
    note_failure(graph, node, "loss is not finite")
    return path


@pytest.fixture(scope="module")
def report(study: Path) -> Path:
    done = CliRunner().invoke(main, ["report", str(study), "--title", HOSTILE, "--tensorboard"])
    assert done.exit_code == 0, done.output
    return study.parent / "out/report"


def difference(value: float, low: float, high: float, p: float, condition: str = "A", against: str = "B") -> Difference:
    return Difference(condition, against, Interval(value, low, high, p), p, 5, 1, 3)


@pytest.mark.parametrize(
    "differences, one_seed, said",
    [
        (
            [difference(0.4, -1.2, 2.0, 0.6)],
            False,
            "On X, no difference between “A” and “B” could be shown (+0.4 points, 95 % interval -1.2 to +2.0).",
        ),
        (
            [difference(3.14, 1.0, 5.2, 0.01), difference(-2, -3, -1, 0.001, "C"), difference(0, -4, 6, 1, "D")],
            False,
            "On X, “A” is better than “B” by 3.1 points (95 % interval +1.0 to +5.2); “C” is worse by 2.0 points (95 % "
            "interval -3.0 to -1.0); and no difference between “D” and “B” could be shown (+0.0 points, "
            "95 % interval -4.0 to +6.0).",
        ),
        (  # the interval excludes zero, the corrected p-value does not say so
            [difference(3, 0.5, 5.5, 0.09), difference(1, -1, 3, 0.9, "C")],
            False,
            "On X, for any of the 2 conditions no difference from “B” could be shown (95 % intervals within -1.0 to +5.5, "
            "one of which excludes zero, too little for 7 comparisons).",
        ),
        (
            [difference(3, 0.5, 5.5, 0.09), difference(1, 0.1, 3, 0.9, "C"), difference(5, 1, 9, 0.001, "D")],
            False,
            "On X, “D” is better than “B” by 5.0 points (95 % interval +1.0 to +9.0); and for the other 2 conditions no "
            "difference from “B” could be shown (95 % intervals within +0.1 to +5.5, 2 of which exclude zero, too little for "
            "7 comparisons).",
        ),
        (
            [difference(3, 0.5, 5.5, 0.09)],
            False,
            "On X, no difference between “A” and “B” could be shown (+3.0 points, 95 % interval +0.5 to +5.5, which excludes "
            "zero, too little for 7 comparisons).",
        ),
        (  # and the other way round
            [difference(3, -0.1, 5.5, 0.04)],
            True,
            "On X, no difference between “A” and “B” could be shown (+3.0 points, 95 % interval -0.1 to +5.5) (of one seed a "
            "side, so this is about these models, not about how they were trained).",
        ),
        (
            [difference(n, n - 0.5, n + 0.5, 0.001, f"A{n}", f"B{n}") for n in range(2, 7)],
            False,
            "On X, “A6” is better than “B6” by 6.0 points (95 % interval +5.5 to +6.5); “A5” is better than “B5” by 5.0 points "
            "(95 % interval +4.5 to +5.5); “A4” is better than “B4” by 4.0 points (95 % interval +3.5 to +4.5); and "
            "2 more are better and 0 more are worse by less.",
        ),
        (  # a classifier that gives every example the same answer
            [difference(0, 0, 0, 1), difference(0, -1e-15, 1e-15, 1, "C")],
            False,
            "On X, for any of the 2 conditions no difference from “B” could be shown (95 % intervals within +0.0 to +0.0, "
            "among them an interval of no width: such models are right about the same examples, as those are that give every "
            "example one answer).",
        ),
        ([], False, "On X nothing can be concluded: no condition has scores there together with its baseline."),
    ],
)
def test_a_sentence_says_what_the_numbers_say(differences: list[Difference], one_seed: bool, said: str) -> None:
    assert sentence("X", differences, 7, one_seed) == said


def test_a_sentence_on_one_language_speaks_for_no_other() -> None:
    one = Difference("a", "b", Interval(3, 1, 5, 0.01), 0.01, 1, 2, 3)
    assert "(there is one, so this speaks for no other)" in sentence("x", [one], 1, False)
    assert "there is one" not in sentence("x", [one, replace(one, languages=2)], 1, False)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0.1, 9), st.floats(0, 1)), min_size=1, max_size=6))
def test_a_sentence_claims_nothing_that_is_not_shown(numbers: list[tuple[float, float, float]]) -> None:
    found = [difference(value, value - half, value + half, p, f"c{n}") for n, (value, half, p) in enumerate(numbers)]
    said = sentence("X", found, 6, False)
    for one in found:
        claimed = f"“{one.condition}” is better" in said, f"“{one.condition}” is worse" in said
        low, high = one.interval.low > 0 and one.p < 0.05, one.interval.high < 0 and one.p < 0.05
        assert claimed <= (low, high)
    if not any(one.shown for one in found):
        assert "no difference" in said
        assert "better" not in said
        assert "worse" not in said


def test_the_answer_is_the_one_that_was_put_in(report: Path) -> None:
    content = read_json(report / "report.json")
    first, second = content["sentences"]
    assert "“intermediate: multilingual, robust: none” is better" in first
    assert "“intermediate: multilingual, robust: adversarial” is better" in first
    assert (
        "no difference between “intermediate: none, robust: adversarial” and “intermediate: none, robust: none” could be shown"
        in first
    )
    assert "no difference" in second
    assert "better" not in second
    rows = {row["group"]: {one["condition"]: one for one in row["differences"]} for row in content["answer"]}
    assert list(rows) == [RARE, RICH, "unseen", "low", "mid", "high", "trained on in no stage", "trained on in another stage"]
    one = rows[RARE]["intermediate: multilingual, robust: none"]
    assert one["shown"]
    assert one["languages"] == len(SMALL_LANGUAGES)
    scores = {(each["condition"], each["seed"]): each["languages"] for each in content["scores"]}
    sides = [
        np.mean([scores[name, seed][code]["accuracy"] for seed in (1, 2, 3) for code in SMALL_LANGUAGES])
        for name in ("intermediate: multilingual, robust: none", "intermediate: none, robust: none")
    ]
    assert one["difference"] == pytest.approx(sides[0] - sides[1])
    assert one["low"] < one["difference"] < one["high"]
    assert not any(each["shown"] for each in rows[RICH].values())
    # English was trained on by the task; Swahili and Turkish by the intermediate stage.
    assert (
        rows["high"]["intermediate: multilingual, robust: none"]["languages"]
        == sum(CC100.group(c) == "high" for c in CODES) - 1
    )
    assert rows["trained on in no stage"]["intermediate: multilingual, robust: none"]["languages"] == len(CODES) - 3
    assert rows["trained on in another stage"]["intermediate: multilingual, robust: none"]["languages"] == 2
    # The failed seed is left out on both sides.
    assert rows[RARE]["intermediate: none, robust: adversarial"]["seeds"] == 2
    assert "intermediate: none, robust: adversarial: no scores of cldr-topic with seed 3" in content["notes"]


def test_tasks_have_means_and_spreads_and_no_best_without_a_difference(report: Path) -> None:
    content = read_json(report / "report.json")
    tasks = {row["condition"]: row for row in content["tasks"]}
    runs = [each for each in content["scores"] if each["condition"] == "intermediate: none, robust: none"]
    means = [np.mean([numbers["accuracy"] for numbers in run["languages"].values()]) for run in runs]
    found = tasks["intermediate: none, robust: none"]["tasks"]["cldr-topic"]
    assert (found["mean"], found["spread"], found["seeds"]) == (
        pytest.approx(np.mean(means)),
        pytest.approx(np.std(means, ddof=1)),
        3,
    )
    # Two conditions are equally good except for chance: neither is best.
    assert not any(row["tasks"]["cldr-topic"]["best"] for row in content["tasks"])
    assert content["tasks"][0]["xtreme_r"] is None
    (cost,) = [row for row in content["cost"] if row["stage"] == "intermediate"]
    assert (cost["runs"], cost["finished"], cost["hours"]) == (3, 3, pytest.approx(3 * 5 * 9 / 3600))


def test_page_is_one_file_whose_tables_have_captions(report: Path) -> None:
    page = Elements((report / "report.html").read_text(encoding="utf-8"))
    assert len(page.all("caption")) == len(page.all("table")) >= 8
    assert all(head.get("scope") in ("col", "colgroup", "row", "rowgroup") for head in page.all("th"))
    addresses = [a[key] for _, a in page.found for key in ("src", "href", "srcset", "action", "data") if key in a]
    assert addresses == ["data:,"]
    assert len(page.all("script")) == 1
    for said in (HOSTILE, "The answer", "Holm", "Atlantic-Congo", "Haitian Creole", "loss is not finite", "GPU-hours", "±"):
        assert said in page.text
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.found if "aria-labelledby" in a} <= set(ids)


def test_markdown_and_latex_have_even_tables(report: Path) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    assert "<script" not in text
    for block in text.split("\n\n"):
        if block.startswith("| "):
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1
    assert "target-none-adversarial-s3: failed. loss is not finite" in text
    for name in ("tasks.tex", "groups.tex", "languages.tex"):
        lines = (report / "tables" / name).read_text(encoding="utf-8").splitlines()
        rows = [line for line in lines if line.endswith(r"\\") and not line.startswith((r"\caption", r"\multicolumn"))]
        assert len(rows) > 3
        assert len({line.replace(r"\&", "").count("&") for line in rows}) == 1
        assert [line for line in lines if line in (r"\toprule", r"\bottomrule")] == [r"\toprule", r"\bottomrule"]
    assert escaped("a_b & 50% {x} \\y") == r"a\_b \& 50\% \{x\} \textbackslash{}y"


def test_tensorboard_has_figures_and_hyperparameters(report: Path) -> None:
    events = EventAccumulator(str(report / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["images"]) == {"differences", "scores"}
    one = EventAccumulator(str(report / "tensorboard/intermediate=multilingual+robust=none-s2"))
    one.Reload()
    assert one.Tags()["scalars"] == ["score/cldr-topic"]
    assert "_hparams_/session_start_info" in one.summary_metadata


def test_runs_against_a_baseline_are_the_study_again(study: Path, report: Path, tmp_path: Path) -> None:
    graph = expand(load_study(study), Facts())
    folders = {node.run.name: str(node.run.folder) for node in graph.nodes.values()}
    better = [folders[f"target-multilingual-none-s{seed}"] for seed in (1, 2, 3)]
    others = [folders[f"target-none-none-s{seed}"] for seed in (2, 3)]
    words = ["report", *better, *others, "--against", folders["target-none-none-s1"], "--out", str(tmp_path / "x")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "“target-multilingual-none” is better than “target-none-none”" in done.output
    first = read_json(tmp_path / "x/report.json")["answer"][0]["differences"][0]
    there = {each["condition"]: each for each in read_json(report / "report.json")["answer"][0]["differences"]}
    assert first["difference"] == pytest.approx(there["intermediate: multilingual, robust: none"]["difference"])
    # Fewer conditions say how far seeds spread.
    assert first["low"] == pytest.approx(there["intermediate: multilingual, robust: none"]["low"], rel=0.1)
    assert first["high"] == pytest.approx(there["intermediate: multilingual, robust: none"]["high"], rel=0.1)


def test_pairs_of_languages_have_a_matrix_and_sentences_of_their_own(tmp_path: Path) -> None:
    path = described(tmp_path, gold(tmp_path / "gold"), ("pawsx-pairs",))
    finished(path, right_in_pairs)
    done = CliRunner().invoke(main, ["report", str(path)])
    assert done.exit_code == 0, done.output
    said = next(line for line in done.output.splitlines() if line.startswith("On pairs of two languages, "))
    assert "“intermediate: none, robust: adversarial” is better" in said
    assert "no difference between “intermediate: multilingual, robust: none” and “intermediate: none, robust: none”" in said
    assert "On pairs of one language, for any of the 3 conditions no difference" in done.output
    content = read_json(tmp_path / "out/report/report.json")
    matrix = next(one for one in content["pairs"] if one["condition"] == "intermediate: none, robust: adversarial")
    assert np.shape(matrix["matrix"]) == (3, 3)
    assert matrix["means"]["off_diagonal"]["mean"] > matrix["means"]["diagonal"]["mean"] + 20
    page = Elements((tmp_path / "out/report/report.html").read_text(encoding="utf-8"))
    assert "Generalized transfer" in page.text
    assert "Every language" not in page.text


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["--against", "intermediate: multilingual, robust: nome"],
            "robust: nome': did you mean 'intermediate: multilingual, robust: none'?",
        ),
        (["stages.targt.set=x"], "unknown key"),
        (["seeds=[7]"], "typed: no run that is finished has scores yet; there is nothing to report on"),
    ],
)
def test_mistakes_are_one_line(study: Path, words: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["report", str(study), *words])
    assert done.exit_code == 2
    assert message in done.output or "stages.targt" in done.output
    assert done.output.count("\n") == 1


def test_run_folders_that_cannot_be_compared_are_named(study: Path, tmp_path: Path) -> None:
    runs = sorted(str(path.parent) for path in study.parent.glob("out/runs/*/scores.json"))
    for words, message in (
        ([runs[0], "--against", str(tmp_path)], "is not a run folder (no config.yaml)"),
        ([runs[0], "--tensorboard"], "--tensorboard needs something to compare"),
        ([str(next(study.parent.glob("out/runs/intermediate-*"))), "--against", runs[0]], "is no run folder with scores"),
    ):
        done = CliRunner().invoke(main, ["report", *words])
        assert (done.exit_code, message in done.output) == (2, True), done.output


def test_an_axis_adds_tasks_or_makes_conditions(study: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(study.read_text(encoding="utf-8"))
    names = {"evaluate": {"tasks": ["cldr-names"]}, "train": {"tasks": [{"task": "cldr-topic"}], "steps": 3}}
    values["axes"]["target"] = {"topic": {}, "names": {"target": names}}
    values["axes"]["size"] = {"base": {}, "large": {"all": {}}} and {
        "base": {},
        "large": {"target": {"train.learning_rate": 1e-5}},
    }
    path = tmp_path / "study.yaml"

    def found(**change: object) -> tuple[list[tuple[str, str | None]], tuple[str, ...]]:
        path.write_text(yaml.safe_dump({**values, **change}, sort_keys=False), encoding="utf-8")
        conditions, _, notes = conditions_of(expand(load_study(path), Facts()))
        return [(one.name, one.against) for one in conditions], notes

    conditions, notes = found()
    assert len(conditions) == 4 * 2  # the target only adds tasks
    assert (
        "intermediate: multilingual, robust: adversarial, size: large",
        "intermediate: none, robust: none, size: large",
    ) in conditions
    of_size = "intermediate: none, robust: none, size: {}".format
    assert [name for name, against in conditions if against is None] == [of_size("base"), of_size("large")]
    assert notes == ()
    conditions, notes = found(baseline={})
    assert [name for name, against in conditions if against is None] == ["intermediate: none, robust: none, size: base"]
    assert "The study names no baseline" in notes[0]
    conditions, notes = found(exclude=[{"intermediate": "none", "robust": "none"}])
    assert all(against is None for _, against in conditions)
    assert "the study leaves that out" in notes[0]
    del values["axes"]["target"]
    values["axes"]["size"]["large"] = {"target": {"runtime.precision": "bf16"}}
    _, notes = found(include=[{"intermediate": "none", "robust": "none"}])
    assert notes == ("size: base and size: large are the same runs: they differ in nothing that decides what is trained.",)


def test_runs_that_differ_in_length_or_scoring_are_no_seeds_of_one_condition(study: Path, tmp_path: Path) -> None:
    graph = expand(load_study(study), Facts())
    folders = {node.run.name: node.run.folder for node in graph.nodes.values()}
    places = [folders["target-none-none-s1"]]
    for seed in (2, 3):
        places.append(tmp_path / f"target-none-none-s{seed}")
        shutil.copytree(folders[f"target-none-none-s{seed}"], places[-1])
    config, scores = RunFolder(places[1]).config, RunFolder(places[2]).scores
    config.write_text(config.read_text(encoding="utf-8").replace("max_length: null", "max_length: 32"), encoding="utf-8")
    values = read_json(scores)
    values["tasks"]["cldr-topic"]["smoothing"] = {"draws": 4}
    scores.write_text(json.dumps(values), encoding="utf-8")
    results = run_results(places[1:], places[0], "three")
    assert [(one.against, one.seeds) for one in results.conditions] == [
        (None, (1,)),
        ("target-none-none", (2,)),
        ("target-none-none", (3,)),
    ]


def test_runs_of_one_name_are_told_apart_by_their_folders(study: Path, tmp_path: Path) -> None:
    nodes = {node.run.name: node for node in expand(load_study(study), Facts()).nodes.values()}
    for name in ("plain", "robust"):
        node = nodes[f"target-none-{'none' if name == 'plain' else 'adversarial'}-s1"]
        shutil.copytree(node.run.folder, tmp_path / name)
        config = RunFolder(tmp_path / name).config
        config.write_text(
            config.read_text(encoding="utf-8").replace(f"name: {node.run.name}", "name: target"), encoding="utf-8"
        )
    results = run_results([tmp_path / "robust"], tmp_path / "plain", "two")
    assert [(one.name, one.against) for one in results.conditions] == [("plain", None), ("robust", "plain")]
    assert results.asked
    assert results.asked.differs == {
        "robust": ("robust.method adversarial (baseline: none)", "robust.radius 0.1 (baseline: not set)")
    }


def test_seeds_without_a_common_language_have_no_column(study: Path) -> None:
    results = study_results(graph := expand(load_study(study), Facts()), standings(graph, Facts()))
    (task,) = results.tasks
    scores = dict(task.scores)
    for seed, code in ((1, "sw"), (2, "ta"), (3, "sw")):
        scores["intermediate: none, robust: none", seed] = {code: scores["intermediate: none, robust: none", seed][code]}
    columns = as_scores(replace(results, tasks=(replace(task, scores=scores),))).columns
    assert [column.run for column in columns] == [
        one.name for one in results.conditions if one.name != "intermediate: none, robust: none"
    ]


def test_a_task_of_which_a_condition_has_no_score_is_told(study: Path) -> None:
    results = study_results(graph := expand(load_study(study), Facts()), standings(graph, Facts()))
    (task,) = results.tasks
    other = replace(
        task,
        name="other",
        scores={key: run for key, run in task.scores.items() if key[0] == "intermediate: none, robust: none"},
    )
    missing = replace(results, tasks=(task, other)).missing
    assert "intermediate: multilingual, robust: none: no scores of other" in missing
    assert not [line for line in missing if line.startswith("intermediate: none, robust: none:")]


def test_figures_do_not_take_the_place_of_a_runs_log(study: Path) -> None:
    runs = sorted(str(path.parent) for path in study.parent.glob("out/runs/*/scores.json"))
    log = Path(runs[0]) / "tensorboard/events"
    log.parent.mkdir()
    log.touch()
    done = CliRunner().invoke(main, ["report", runs[1], "--against", runs[0], "--out", runs[0], "--tensorboard"])
    assert (done.exit_code, "is a run folder" in done.output) == (2, True), done.output
    assert log.exists()


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1)
    # Ties share the mean of their ranks: 1, 2.5, 2.5, 4 against 4, 1, 3, 2.
    assert rank_correlation([1, 2, 2, 3], [4, 1, 3, 2]) == pytest.approx(-3 / (4.5 * 5) ** 0.5)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


def test_json_is_json(report: Path) -> None:
    json.loads((report / "report.json").read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))


def without_gold(study: Path, *codes: str, task: str = "cldr-topic") -> None:
    """The study as it is where the test sets of these languages (or all) have no gold: files, predictions, scores."""
    for file in (study.parent / "gold" / task.removesuffix("-pairs")).glob("test-*.tsv"):
        if file.stem[5:] in codes or not codes:
            lines = file.read_text(encoding="utf-8").splitlines()
            file.write_text("".join(line.rsplit("\t", 1)[0] + "\n" for line in lines), encoding="utf-8")
    for path in study.parent.glob("out/runs/*/scores.json"):
        values = read_json(path)
        entry = values["tasks"][task]
        for code, numbers in entry["languages"].items():
            if not codes or set(codes) & set(code.split("-")):
                entry["languages"][code] = {"count": numbers["count"]}
        scored = [numbers["accuracy"] for numbers in entry["languages"].values() if "accuracy" in numbers]
        entry["mean"] = {"accuracy": sum(scored) / len(scored)} if scored else {}
        path.write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def two_tasks(tmp_path: Path) -> Path:
    path = described(tmp_path, gold(tmp_path / "gold"), ("cldr-topic", "pawsx-pairs"), seeds=1)
    finished(path, right)
    return path


def test_a_language_without_gold_is_a_dash_and_means_say_over_how_many_they_are(two_tasks: Path) -> None:
    without_gold(two_tasks, "sw")
    without_gold(two_tasks, "de", task="pawsx-pairs")
    done = CliRunner().invoke(main, ["report", str(two_tasks), "--tensorboard"])
    assert done.exit_code == 0, done.output
    assert "over 4 of 5 languages, those that both have scores of" in done.output
    out = two_tasks.parent / "out/report"
    content = read_json(out / "report.json")
    assert "cldr-topic: no gold: predicted, not scored: sw" in content["notes"]
    assert content["no_gold"] == {"cldr-topic": ["sw"], "pawsx-pairs": ["de-de", "de-en", "de-zh", "en-de", "zh-de"]}
    rows = {row["group"]: row["differences"][0] for row in content["answer"]}
    assert (rows[RARE]["languages"], rows[RARE]["over"], rows[RICH]["over"]) == (4, "4 of 5 languages", "")
    assert rows["pairs of two languages"]["over"] == "2 of 6 pairs"
    first = content["tasks"][0]
    assert (first["tasks"]["cldr-topic"]["over"], first["tasks"]["pawsx-pairs"]["over"]) == (
        "11 of 12 languages",
        "4 of 9 pairs",
    )
    assert first["mean"]["over"] == "0 of 2 whole"
    assert content["pairs"][0]["means"]["diagonal"]["over"] == "2 of 3 pairs"
    page = Elements((out / "report.html").read_text(encoding="utf-8"))
    for said in ("accuracy, 11 of 12 languages", "cldr-topic: no gold: predicted, not scored: sw", "2 of 3 pairs", "Swahili"):
        assert said in page.text, said
    text = (out / "report.md").read_text(encoding="utf-8")
    assert next(line for line in text.splitlines() if line.startswith("| Swahili")).endswith("| low | 1.6 | – | – | – | – |")
    assert "(11 of 12 languages)" in text
    tables = {path.name: path.read_text(encoding="utf-8") for path in (out / "tables").iterdir()}
    assert r"{\scriptsize (11 of 12 languages)}" in tables["tasks.tex"]
    assert "4 of 5 languages" in tables["groups.tex"]
    assert next(line for line in tables["languages.tex"].splitlines() if line.startswith("Swahili")).count("--") == 4
    assert "no gold: predicted, not scored: sw" in tables["languages.tex"].split(r"\bottomrule")[1]


@pytest.mark.parametrize("blank", ["cldr-topic", "pawsx-pairs"])
def test_a_task_without_gold_keeps_its_column_and_the_mean_says_over_how_many_tasks_it_is(two_tasks: Path, blank: str) -> None:
    without_gold(two_tasks, task=blank)
    done = CliRunner().invoke(main, ["report", str(two_tasks), "--tensorboard"])
    assert done.exit_code == 0, done.output
    out = two_tasks.parent / "out/report"
    content = read_json(out / "report.json")
    assert any(note.startswith(f"{blank}: no gold: predicted, not scored: ") for note in content["notes"])
    assert not any("no scores of" in note for note in content["notes"])
    for row in content["tasks"]:
        assert list(row["tasks"]) == [name for name in ("cldr-topic", "pawsx-pairs") if name != blank]
        assert row["mean"]["over"] == "1 of 2 tasks"
    line = (out / "report.md").read_text(encoding="utf-8").split("## Tasks and their average")[1].splitlines()[4]
    assert "| – |" in line
    assert "(1 of 2 tasks)" in line
    assert r"{\scriptsize (1 of 2 tasks)}" in (out / "tables/tasks.tex").read_text(encoding="utf-8")
    assert "1 of 2 tasks" in Elements((out / "report.html").read_text(encoding="utf-8")).text


def test_a_study_without_any_gold_is_reported(two_tasks: Path) -> None:
    without_gold(two_tasks)
    without_gold(two_tasks, task="pawsx-pairs")
    done = CliRunner().invoke(main, ["report", str(two_tasks), "--tensorboard"])
    assert done.exit_code == 0, done.output
    assert "nothing can be concluded" in done.output
    text = (two_tasks.parent / "out/report/report.md").read_text(encoding="utf-8")
    assert "- cldr-topic: no gold: predicted, not scored: ht, yo" in text
    assert "| intermediate: none, robust: none | – | – | – |" in text


def test_one_run_that_has_gold_beside_one_that_has_none(two_tasks: Path, tmp_path: Path) -> None:
    """Gold that came between two evaluations: only what both have is compared."""
    first, second = sorted(two_tasks.parent.glob("out/runs/target-*"))[:2]
    values = read_json(first / "scores.json")
    values["tasks"]["cldr-topic"]["languages"]["sw"] = {"count": 120}
    (first / "scores.json").write_text(json.dumps(values), encoding="utf-8")
    done = CliRunner().invoke(main, ["compare", str(first), str(second), "--task", "cldr-topic"], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    assert "all languages (11 of 12 languages)" in done.output
    assert next(line for line in done.output.splitlines() if line.startswith("Swahili")).split()[2:] == ["–"] * 6
    assert "no gold: predicted, not scored: sw" in done.output
    done = CliRunner().invoke(main, ["report", str(first), str(second), "--against", str(first), "--out", str(tmp_path / "x")])
    assert done.exit_code == 0, done.output
    without_gold(two_tasks)
    done = CliRunner().invoke(main, ["compare", str(first), str(second)], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    assert "pawsx-pairs (accuracy, test)" in done.output
