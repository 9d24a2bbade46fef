"""The report, from synthetic run folders: tables, means, marks, files, and what it says of input that is not right."""

import json
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from xdist.errors import UserError
from xdist.languages import CC100, GROUPS, LANGUAGES, language
from xdist.report import write_report
from xdist.report.curves import charts, ticks
from xdist.report.markdown import escaped, readme_table
from xdist.report.page import scale
from xdist.report.reading import read_scores
from xdist.report.record import Record, read_metrics
from xdist.report.scores import ALL, ZERO_SHOT, ScoreTable
from xdist.report.terminal import print_scores

HOSTILE = "<script>alert('x')</script> | `*_[a](b) &amp;"


def task(codes: list[str], metric: str = "accuracy", count: int = 500, shift: float = 0, **more: Any) -> dict[str, Any]:
    """Scores rise with the pre-training size of the language, by one point a language."""
    order = list(LANGUAGES)
    languages = {code: {metric: 20 + shift + (order.index(code) if code in order else 0), "count": count} for code in codes}
    mean = sum(numbers[metric] for numbers in languages.values()) / len(codes)
    values = {"family": "classification", "metric": metric, "split": "test", "trained_on": ["en", "de"]}
    return {**values, "languages": languages, "mean": {metric: mean}, **more}


def make_run(folder: Path, name: str = "demo", tasks: dict[str, Any] | None = None) -> Path:
    """A run folder with three tasks: all fifty languages, all but English, and the eleven of XQuAD with two metrics."""
    if tasks is None:
        xquad = task(["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"], "f1")
        for numbers in [*xquad["languages"].values(), xquad["mean"]]:
            numbers["exact_match"] = numbers["f1"] - 10
        names = task([code for code in LANGUAGES if code != "en"], count=60, trained_on=[], family="retrieval")
        tasks = {"cldr-topic": task(list(LANGUAGES)), "cldr-names": names, "xquad": xquad}
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps({"run": name, "tasks": tasks}))
    (folder / "config.yaml").write_text(f"name: demo\nnote: {HOSTILE}\n")
    (folder / "environment.json").write_text(json.dumps({"versions": {"torch": "2.13.0"}, "commit": "0f3c2ab"}))
    steps = [{"step": step, "train/loss": 2 / step, "robust/loss_gap": 0.1, "train/lr": 1e-4} for step in range(1, 50)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    return folder


def printed(scores: ScoreTable, width: int = 100) -> str:
    out = StringIO()
    print_scores(scores, Console(file=out, width=width, color_system=None, force_terminal=True))
    return out.getvalue()


class Elements(HTMLParser):
    """All elements as (tag, attributes); fails where one is closed that is not open."""

    VOID = ("meta", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_languages_stand_in_order_of_pretraining_text_and_columns_by_task(tmp_path: Path) -> None:
    scores = read_scores([make_run(tmp_path / "a", "a"), make_run(tmp_path / "b", "b")])
    assert scores.languages == tuple(LANGUAGES)
    expected = [("cldr-topic", "a"), ("cldr-topic", "b"), ("cldr-names", "a"), ("cldr-names", "b")]
    assert [(column.task, column.run) for column in scores.columns][:4] == expected
    assert scores.columns[0].cells["de"].trained
    assert not scores.columns[0].cells["fr"].trained
    assert scores.columns[2].all_small
    assert not scores.columns[0].cells["de"].small


def test_means_are_over_the_languages_that_have_a_score(tmp_path: Path) -> None:
    topic, names, xquad = (column.summary for column in read_scores([make_run(tmp_path / "a")]).columns)
    for group in GROUPS:
        places = [place for place, code in enumerate(LANGUAGES) if CC100.group(code) == group]
        mean = topic[group]
        assert mean is not None
        assert (mean.score, mean.languages) == (20 + sum(places) / len(places), len(places))
    assert [summary["unseen"] and summary["unseen"].languages for summary in (topic, names, xquad)] == [4, 4, None]
    counts = [[mean.languages for row in (ZERO_SHOT, ALL) if (mean := summary[row])] for summary in (topic, names, xquad)]
    assert counts == [[48, 50], [49, 49], [9, 11]]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_one_scale_encloses_every_score(values: list[float]) -> None:
    languages = {code: {"accuracy": value, "count": 1} for code, value in zip(LANGUAGES, values, strict=False)}
    content = {"run": "a", "tasks": {"t": {**task(["en"]), "languages": languages}}}
    with TemporaryDirectory() as folder:
        (Path(folder) / "scores.json").write_text(json.dumps(content))
        columns = read_scores([Path(folder)]).columns
        found = scale(cell.score for column in columns for cell in column.cells.values())
    assert found.low <= min(values) <= max(values) <= found.high
    assert [found.place(value) for value in sorted(values)] == sorted(found.place(value) for value in values)


BROKEN = {
    "tasks.t.languages: missing; is 'langauges' meant?": lambda c: c["tasks"]["t"].update(
        langauges=c["tasks"]["t"].pop("languages")
    ),
    "tasks.t.metric: missing": lambda c: c["tasks"]["t"].pop("metric"),
    "tasks.t.languages.de.accuracy: missing; is 'acuracy' meant?": lambda c: c["tasks"]["t"]["languages"].update(
        de={"acuracy": 1, "count": 3}
    ),
    'tasks.t.languages.de.accuracy: expected a number, found "71"': lambda c: c["tasks"]["t"]["languages"].update(
        de={"accuracy": "71", "count": 3}
    ),
    "tasks.t.languages.de.accuracy: not a finite number": lambda c: c["tasks"]["t"]["languages"].update(
        de={"accuracy": float("nan"), "count": 3}
    ),
    "tasks.t.languages.de.count: expected an integer, found 1.5": lambda c: c["tasks"]["t"]["languages"].update(
        de={"accuracy": 1, "count": 1.5}
    ),
    "tasks.t.mean.accuracy: missing": lambda c: c["tasks"]["t"].update(mean={}),
    "tasks.t: expected a mapping, found 3": lambda c: c["tasks"].update(t=3),
    "tasks: no task was scored": lambda c: c.update(tasks={}),
    "run: missing": lambda c: c.pop("run"),
}


@pytest.mark.parametrize("message", BROKEN)
def test_wrong_scores_are_named_by_file_and_key(tmp_path: Path, message: str) -> None:
    content = {"run": "a", "tasks": {"t": task(["de", "en"])}}
    BROKEN[message](content)
    (tmp_path / "scores.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as error:
        read_scores([tmp_path])
    assert str(error.value).startswith(f"{tmp_path / 'scores.json'}: {message}")
    assert "\n" not in str(error.value)


def test_files_that_do_not_read_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"nowhere/scores\.json: no such file"):
        read_scores([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="a second run named 'demo'"):
        read_scores([run, make_run(tmp_path / "again")])
    with pytest.raises(UserError, match="name at least one run folder"):
        read_scores([])
    (run / "scores.json").write_text('{"run": "demo",\n "tasks": }')
    with pytest.raises(UserError, match=r"scores\.json:2: not JSON"):
        read_scores([run])


def test_nothing_is_overwritten_when_a_file_of_a_run_does_not_read(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "run"), tmp_path / "out"
    paths = write_report([run], out)
    before = paths.html.read_bytes()
    (run / "metrics.jsonl").write_text('{"step": 1}\n{"loss": 1}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:2: expected a mapping with an integer 'step'"):
        write_report([run], out)
    assert paths.html.read_bytes() == before
    assert sorted(path.name for path in out.iterdir()) == ["languages.csv", "report.html", "report.json", "report.md"]


def test_metrics_of_a_killed_and_resumed_run(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "a": 9}\n{"step": 2, "a": 9}\n{"step": 2, "a": 5, "b": NaN, "c": "text"}\n{"step": 3, "a"')
    metrics = read_metrics(file)
    assert metrics["a"] == [(1, 9.0), (2, 5.0)]
    assert list(metrics) == ["a", "b"]
    assert read_metrics(tmp_path / "absent") == {}


@pytest.mark.parametrize("width", [80, 100, 200])
def test_terminal_tables_fit_and_need_no_colour(tmp_path: Path, width: int) -> None:
    runs = [make_run(tmp_path / str(number), f"multilingual / adversarial {number}") for number in range(4)]
    text = printed(read_scores(runs), width)
    assert max(len(line) for line in text.splitlines()) <= min(width, 100)
    lines = [line.split() for line in text.splitlines()]
    for code in LANGUAGES:
        name = language(code).name.split()
        assert any(line[: len(name) + 2] == [*name, code, CC100.group(code)] for line in lines)


def test_terminal_table_shows_scores_marks_and_means(tmp_path: Path) -> None:
    lines = printed(read_scores([make_run(tmp_path / "run")])).splitlines()
    german = next(line for line in lines if line.startswith("German"))
    assert german.split() == ["German", "de", "high", "66.6", "61.0†", "61.0", "61.0†"]
    assert next(line for line in lines if line.startswith("mean, unseen")).split()[2:] == ["21.5", "21.5", "–"]
    assert "cldr-names*" in lines[0]
    few = {"t": task(["de", "en"], count=500)}
    few["t"]["languages"]["de"]["count"] = 199
    assert "61.0†*" in printed(read_scores([make_run(tmp_path / "few", tasks=few)]))


@pytest.mark.parametrize("num_runs", [1, 3])
def test_page_is_one_file_of_real_tables(tmp_path: Path, num_runs: int) -> None:
    runs = [make_run(tmp_path / str(number), f"run{number}") for number in range(num_runs)]
    page = Elements(write_report(runs, tmp_path / "out", ["It says little."], "A title").html.read_text())
    assert len(page.all("caption")) == len(page.all("table")) == 2
    assert all(head.get("scope") in ("col", "colgroup", "row") for head in page.all("th"))
    assert sum(head["scope"] == "row" for head in page.all("th")) == 50 + 6
    columns = 3 * num_runs
    assert sum("heat" in (cell.get("class") or "") for cell in page.all("td")) == num_runs * (50 + 49 + 11 + 6 + 6 + 4)
    assert len(page.all("td")) == 50 * (2 + columns) + 6 * columns
    addresses = [a[key] for _, a in page.found for key in ("src", "href", "srcset", "action", "data") if key in a]
    assert addresses == ["data:,"]
    assert "http" not in page.text.replace("http-equiv", "")
    for said in (
        "A title",
        "It says little.",
        "GiB",
        "unseen",
        "0f3c2ab",
        "2.13.0",
        "Training loss",
        "trained on en, de",
    ):
        assert said in page.text


def test_names_with_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    tasks = {HOSTILE: task(["de", "en", HOSTILE], split=HOSTILE, family=HOSTILE, trained_on=[HOSTILE])}
    run = make_run(tmp_path / "run", HOSTILE, tasks)
    paths = write_report([run, make_run(tmp_path / "b", "b")], tmp_path / "out", [HOSTILE], HOSTILE)
    page = Elements(paths.html.read_text())
    assert len(page.all("script")) == 1
    assert page.text.count(HOSTILE) > 6
    # Outside the configuration, which is in a fence, no angle bracket and no bare column separator is left.
    text = paths.markdown.read_text().split("## Provenance")[0]
    assert "<script" not in text
    assert len({line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ")}) == 2
    assert json.loads(paths.json.read_text())["title"] == HOSTILE
    assert "alert('x')" in printed(read_scores([run]))


def test_what_is_no_language_comes_first_and_in_no_group_mean(tmp_path: Path) -> None:
    scores = read_scores([make_run(tmp_path / "run", tasks={"t": task(["en", "en-sw", "fao_Latn", "ht"])})])
    assert scores.languages == ("en-sw", "fao_Latn", "ht", "en")
    summary = scores.columns[0].summary
    assert sum(mean.languages for group in GROUPS if (mean := summary[group])) == 3
    assert "size not listed" in write_report([tmp_path / "run"], tmp_path / "out").html.read_text()
    assert "other" in printed(scores)


def test_markdown_and_json_carry_the_same_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    paths = write_report([run], tmp_path / "out", ["It says little."])
    assert "- It says little." in paths.markdown.read_text()
    table = readme_table(read_scores([run])).splitlines()
    assert table[0] == "| mean over | cldr-topic (accuracy) | cldr-names (accuracy) | xquad (f1) |"
    assert table[2] == "| unseen | 21.5 (4) | 21.5 (4) | – |"
    assert {line.count("|") for line in table} == {5}
    content = json.loads(paths.json.read_text())
    topic = content["columns"][0]
    assert topic["languages"]["de"] == {"accuracy": 61.0, "count": 500, "trained": True, "small": False}
    assert topic["means"]["unseen"] == {"score": 21.5, "languages": 4}
    assert content["languages"][0]["code"] == "ht"
    assert content["runs"][0]["environment"]["commit"] == "0f3c2ab"


def test_a_run_that_only_evaluates_has_no_curves(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for name in ("metrics.jsonl", "config.yaml", "environment.json"):
        (run / name).unlink()
    text = write_report([run], tmp_path / "out").html.read_text()
    assert "<svg" not in text
    assert "No config.yaml" in text


def test_curves_show_means_of_long_runs_and_gaps_where_the_loss_was_not_finite() -> None:
    points = [(step, float("nan") if step == 3 else 1.0 / step) for step in range(1, 6)]
    (chart,) = charts([Record("a", "", {}, {"train/loss": points, "train/lr": points})])
    assert chart.lines[0].path.count("M") == 2
    assert chart.lines[0].said == "1.000 at step 1, 0.200 at step 5; lowest 0.200, highest 1.000"
    long = [(step, 1.0 * (step % 2)) for step in range(1, 3001)]
    (chart,) = charts([Record("a", "", {}, {"train/loss": long})])
    assert chart.window == 20
    assert chart.lines[0].path.count("L") == 149
    assert charts([Record("a", "", {}, {"train/loss": [(1, 1.0)]})]) == []


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
@example(0.0, 5e-324)
@example(1e6, 1e6 + 1e-9)
@example(0.0, 0.0)
def test_ticks_are_few_equal_steps_that_enclose(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    marks = ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack
    assert 2 <= len(marks) <= 6
    assert marks == sorted(set(marks))


def test_escaped_text_stays_on_one_line() -> None:
    assert escaped("a|b\n<c> *d*") == "a\\|b &lt;c&gt; \\*d\\*"


def blanked(entry: dict[str, Any], *codes: str) -> dict[str, Any]:
    """The entry of a task whose test sets in these languages have no gold: predicted, not scored."""
    languages = {
        code: {"count": numbers["count"]} if code in codes else numbers for code, numbers in entry["languages"].items()
    }
    scored = [numbers["accuracy"] for numbers in languages.values() if "accuracy" in numbers]
    return {**entry, "languages": languages, "mean": {"accuracy": sum(scored) / len(scored)} if scored else {}}


def test_languages_without_gold_stand_as_dashes_and_means_say_over_how_many_they_are(tmp_path: Path) -> None:
    tasks = {
        "news": task(["sw", "de"]),
        "part": blanked(task(["sw", "yo", "de"]), "sw"),
        "none": blanked(task(["sw", "ht"]), "sw", "ht"),
    }
    run = make_run(tmp_path / "run", tasks=tasks)
    scores = read_scores([run])
    news, part, none = scores.columns
    assert scores.languages == ("ht", "yo", "sw", "de")
    assert (part.blank, none.blank, none.mean) == (("sw",), ("sw", "ht"), None)
    assert [(mean.languages, mean.of, mean.over) for mean in part.summary.values() if mean] == [
        (1, 1, ""),
        (1, 1, ""),
        (1, 2, "1 of 2 languages"),
        (2, 3, "2 of 3 languages"),
    ]
    assert not any(none.summary.values())
    assert scores.remarks == [
        "part: no gold: predicted, not scored: sw; means over: not trained on 1 of 2 languages, all languages 2 of 3 languages",
        "none: no gold: predicted, not scored: sw, ht",
    ]
    paths = write_report([run], tmp_path / "out")
    text = paths.markdown.read_text()
    sizes = [news.cells["de"].score, part.cells["de"].score]
    assert f"| German (de) | high | 66.6 | {sizes[0]:.1f}† | {sizes[1]:.1f}† | – |" in text
    assert next(line for line in text.splitlines() if line.startswith("| Swahili")).endswith("| – | – |")
    assert f"{part.mean:.1f} (2 of 3 languages) | – |" in text
    assert all(f"- {escaped(remark)}" in text for remark in scores.remarks)
    page = Elements(paths.html.read_text())
    assert "2 of 3 languages" in page.text
    assert all(remark in page.text for remark in scores.remarks)
    assert [a for a in page.all("td") if a.get("title") == "no gold: predicted, not scored"]
    content = json.loads(paths.json.read_text())
    assert content["notes"] == scores.remarks
    assert [column["no_gold"] for column in content["columns"]] == [[], ["sw"], ["sw", "ht"]]
    assert content["columns"][1]["languages"]["sw"] is None
    assert content["columns"][1]["means"][ALL] == {"score": part.mean, "languages": 2, "of": 3}
    assert content["columns"][2]["means"][ALL] is None
    seen = printed(scores)
    assert "2 of 3 languages" in " ".join(seen.split())
    assert next(line for line in seen.splitlines() if line.startswith("Haitian")).split()[-1] == "–"


def test_a_run_that_has_no_gold_at_all_is_reported(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tasks={"none": blanked(task(["sw", "ht"]), "sw", "ht")})
    page = Elements(write_report([run], tmp_path / "out").html.read_text())
    assert "none: no gold: predicted, not scored: sw, ht" in page.text
    assert "–" in printed(read_scores([run]))
