"""Reports of one to two hundred languages, and of encoders that have read other text than XLM-R."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from many_languages import BASE, many_codes, many_scores
from rich.console import Console

from xdist.languages import CC100, by_size
from xdist.languages.pretraining import shipped_list
from xdist.metrics.accuracy import ACCURACY
from xdist.metrics.counts import CountRows
from xdist.metrics.pooled import replicate
from xdist.report import write_report
from xdist.report.answer import RARE, RICH
from xdist.report.comparison import compare
from xdist.report.dots import FEWEST, REST, dot_plots
from xdist.report.naming import family_of
from xdist.report.reading import read_scores
from xdist.report.results import Condition, Results, TaskResult, as_scores
from xdist.report.scores import HEAD_ROW, MANY, TAIL_ROW, ScoreTable
from xdist.report.study_report import write_study_report
from xdist.report.terminal import LOWEST, comparison_table, print_scores


def printed(scores: ScoreTable) -> str:
    out = StringIO()
    print_scores(scores, Console(file=out, width=100, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize("number", [102, 204])
def test_head_tail_and_unseen_are_means_of_their_languages(tmp_path: Path, number: int) -> None:
    (column,) = read_scores([many_scores(tmp_path / "run", number)]).columns
    groups = {code: column.read.group(code) for code in column.cells}
    for row, parts in ((TAIL_ROW, ("unseen", "low")), (HEAD_ROW, ("mid", "high")), ("unseen", ("unseen",))):
        scores = [column.cells[code].score for code, group in groups.items() if group in parts]
        mean = column.summary[row]
        assert mean
        assert (mean.languages, mean.score) == (len(scores), pytest.approx(sum(scores) / len(scores)))


def test_of_few_languages_head_and_tail_are_not_told(tmp_path: Path) -> None:
    scores = read_scores([many_scores(tmp_path / "run", MANY - 1)])
    assert not {TAIL_ROW, HEAD_ROW} & set(scores.rows)
    assert dot_plots(scores) == []


def test_every_language_has_a_dot_in_its_family_and_its_script(tmp_path: Path) -> None:
    scores = read_scores([many_scores(tmp_path / "run", 204)])
    families, scripts = dot_plots(scores)
    for plot in (families, scripts):
        assert sum(len(row.dots) for row in plot.rows) == 204
        assert all(0 <= dot.at <= 100 for row in plot.rows for dot in row.dots)
        own = [row for row in plot.rows if row.name != REST]
        assert [row.mean for row in own] == sorted((row.mean for row in own), reverse=True)
        assert all(len(row.dots) >= FEWEST for row in own)
    assert {row.name for row in families.rows} - {REST} <= {family_of(code) for code in scores.languages}
    assert "Arabic" in {row.name for row in scripts.rows}


def test_a_terminal_gets_the_means_and_a_short_list(tmp_path: Path) -> None:
    scores = read_scores([many_scores(tmp_path / "run", 204)])
    lines = printed(scores).splitlines()
    assert len(lines) < 35
    assert sum("_" in line for line in lines) <= LOWEST
    assert any(line.startswith("mean, tail") for line in lines)
    assert f"the {LOWEST} languages with the lowest scores of 204; the report has all of them" in lines


def test_languages_stand_by_the_text_that_their_encoder_has_read(tmp_path: Path) -> None:
    read = shipped_list("mmbert")
    scores = read_scores([many_scores(tmp_path / "run", 204, pretraining={"name": "mmbert"})])
    assert scores.languages == tuple(by_size(scores.languages, read))
    assert scores.columns[0].read is read
    assert scores.unit == "million tokens"
    assert scores.groups("ace_Arab") == ("unknown",)
    content = json.loads(write_report([tmp_path / "run"], tmp_path / "out").json.read_text())
    assert content["pretraining"][0]["name"] == content["columns"][0]["pretraining"] == "mmbert"
    english = next(one for one in content["languages"] if one["code"] == "eng_Latn")
    assert (english["group"], english["family"], english["script"]) == ("high", "Indo-European: Germanic", "Latin")


@pytest.mark.parametrize("name", ["none", "wikipedia", "mmbert", "glot500"])
def test_a_report_never_says_of_another_encoder_what_xlmr_has_read(tmp_path: Path, name: str) -> None:
    run = many_scores(tmp_path / "run", 102, pretraining={"name": name})
    paths = write_report([run], tmp_path / "out")
    for text in (paths.html.read_text(), paths.markdown.read_text(), printed(read_scores([run]))):
        said = text.split("Provenance")[0]
        assert "CC-100" not in said
        assert "XLM-R" not in said
        assert shipped_list(name).said.replace("'", "&#39;" if text.startswith("<!") else "'") in " ".join(said.split())


def test_of_an_encoder_that_nobody_knows_all_groups_are_unknown(tmp_path: Path) -> None:
    scores = read_scores([many_scores(tmp_path / "run", 102, pretraining={"name": "none"})])
    assert {scores.groups(code) for code in scores.languages} == {("unknown",)}
    assert scores.rows == ["unknown", "not trained on", "all languages"]
    assert {scores.size(code) for code in scores.languages} == {"?"}


def test_two_encoders_have_groups_of_their_own(tmp_path: Path) -> None:
    runs = [many_scores(tmp_path / "a", 102, "a"), many_scores(tmp_path / "b", 102, "b", pretraining={"name": "mmbert"})]
    scores = read_scores(runs)
    assert scores.groups("yor_Latn") == ("unseen", "low")
    assert scores.size("yor_Latn") == "0/147.5"
    a, b = scores.columns
    assert a.summary["unseen"] != b.summary["unseen"]
    assert [line.split(":")[0] for line in scores.said] == ["a", "b"]
    page = write_report(runs, tmp_path / "out").html.read_text()
    assert 'data-group="unseen low"' in page
    assert "under 5 GiB; under 1,000 million tokens" in page


def test_text_that_was_read_since_is_told(tmp_path: Path) -> None:
    scores = read_scores([many_scores(tmp_path / "run", 102, read_since=["yo", "ht"])])
    assert scores.groups("yor_Latn") == ("unseen",)
    told = "The encoder of sib200 was then trained on running text in yo, ht, which these groups do not count."
    assert scores.said[1:] == [told]
    assert told in printed(scores)
    assert told in write_report([tmp_path / "run"], tmp_path / "out").html.read_text()


def test_a_list_of_ones_own_travels_in_the_scores(tmp_path: Path) -> None:
    own = {"name": "mine", "title": "Mine", "source": "", "unit": "books", "low": 2, "mid": 5, "by_script": True}
    own |= {"sizes": {"en": 9, "yo": 1}, "unsure": []}
    scores = read_scores([many_scores(tmp_path / "run", 102, pretraining=own)])
    assert [scores.groups(code) for code in ("eng_Latn", "yor_Latn", "deu_Latn")] == [("high",), ("low",), ("unseen",)]
    assert scores.said == ["Resource groups follow Mine, which the encoder was pre-trained on."]


def test_a_spreadsheet_has_a_row_for_every_language(tmp_path: Path) -> None:
    runs = [many_scores(tmp_path / "a", 102, "a"), many_scores(tmp_path / "b", 60, "b", pretraining={"name": "mmbert"})]
    write_report(runs, tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out/languages.csv").open(encoding="utf-8", newline="")))
    scores = read_scores(runs)
    assert [row["code"] for row in rows] == list(scores.languages)
    for row in rows:
        for column in scores.columns:
            said = row[f"sib200 / {column.run} (accuracy)"]
            cell = column.cells.get(row["code"])
            assert said == (f"{cell.score:.4f}" if cell else "")
    assert {row["unknown %"] for row in rows} == {"1.000"}
    assert {row["group"] for row in rows} >= {"unseen/low", "unseen/unknown"}


def test_a_record_that_is_none_is_told_by_its_file(tmp_path: Path) -> None:
    run = many_scores(tmp_path / "run", 102, pretraining={"name": "mine", "sizes": 3})
    with pytest.raises(Exception, match=r"run/scores\.json: pretraining: is no list of what an encoder has read"):
        read_scores([run])


def rows_of(number: int, better: float = 0.0) -> dict[str, CountRows]:
    rng = np.random.default_rng(int(100 * better))
    right = {code: BASE[CC100.group(code)] / 100 + better for code in many_codes(number)}
    return {code: np.stack([rng.random(204) < share, np.ones(204)], axis=-1).astype(float) for code, share in right.items()}


@pytest.mark.parametrize("name", ["cc100", "wikipedia", "none"])
def test_the_answer_of_a_study_speaks_of_what_its_encoder_has_read(tmp_path: Path, name: str) -> None:
    read = shipped_list(name)
    rows: dict[Any, Any] = {
        (condition, seed): rows_of(102, 0.1 * (condition == "new")) for condition in ("base", "new") for seed in (1, 2)
    }
    scores = {system: {code: {"accuracy": 50.0, "count": 204} for code in of} for system, of in rows.items()}
    about = (
        "sib200",
        "classification",
        ACCURACY,
        "test",
        ("eng_Latn",),
        scores,
        replicate(rows, ACCURACY, "t", draws=50),
    )
    task = TaskResult(*about, (), {"base": read, "new": read})
    conditions = (Condition("base", None, {}, (1, 2), ()), Condition("new", "base", {}, (1, 2), ()))
    written = write_study_report(Results("many", conditions, (task,), ()), tmp_path / "out")
    said = {
        "cc100": ["of which the encoder read nothing or under 5 GiB", "of which the encoder read 5 GiB or more"],
        "wikipedia": ["that the encoder has not read", "that the encoder has read, how much is not known"],
        "none": ["since what the encoder has read of each is not known"],
    }[name]
    sentences = written.found.sentences
    assert len(sentences) == len(said)
    for sentence, part in zip(sentences, said, strict=True):
        assert part in sentence
        assert "“new” is better than “base” by" in sentence
    groups = {row.name for row in written.found.answer.rows if row.headline}
    assert groups == {"cc100": {RARE, RICH}, "wikipedia": {"unseen", "seen"}, "none": {"unknown"}}[name]
    page, table = written.html.read_text(), (tmp_path / "out/tables/languages.tex").read_text()
    assert page.count('class="forest dots"') == 2
    assert "XLM-R" not in page
    assert ("CC-100" in page) == (name == "cc100")
    assert table.count("\\begin{longtable}") == 1
    assert len(list(csv.reader((tmp_path / "out/languages.csv").open()))) == 103


def test_two_conditions_of_other_encoders_are_told(tmp_path: Path) -> None:
    rows: dict[Any, Any] = {(condition, 1): rows_of(70) for condition in ("base", "new")}
    scores = {system: {code: {"accuracy": 50.0, "count": 204} for code in of} for system, of in rows.items()}
    about = ("sib200", "classification", ACCURACY, "test", (), scores, replicate(rows, ACCURACY, "t", draws=20))
    task = TaskResult(*about, (), {"base": shipped_list("cc100"), "new": shipped_list("mmbert")})
    conditions = (Condition("base", None, {}, (1,), ()), Condition("new", "base", {}, (1,), ()))
    results = Results("many", conditions, (task,), ())
    assert "new: its encoder has read mmBERT's text; groups of differences are those of CC-100" in results.missing
    assert [column.read.name for column in as_scores(results).columns] == ["cc100", "mmbert"]


def test_a_comparison_of_many_languages_is_short_in_a_terminal(tmp_path: Path) -> None:
    found = compare([rows_of(102, 0.1)], [rows_of(102)], ACCURACY, read=shipped_list("glot500"))
    lines = "\n".join(line.plain for line in comparison_table("sib200", found).lines(120)).splitlines()
    assert len(lines) < 30
    assert f"the {LOWEST} of 102 languages that differ most" in lines
    assert lines[-1].startswith("Resource groups follow Glot500-c")
