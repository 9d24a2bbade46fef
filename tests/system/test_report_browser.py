"""The report in a real headless Chromium: legible on desktop, phone and paper; silent; used by keyboard."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import CHROMIUM, Page
from many_languages import many_scores
from study_folder import described, finished, gold
from ten_tasks import ten_by_six

from xdist.languages import LANGUAGES
from xdist.report import write_report
from xdist.report.study_report import write_study_report
from xdist.study import Facts
from xdist.study.results import study_results
from xdist.study.state import standings

pytestmark = pytest.mark.skipif(CHROMIUM is None and "XDIST_CI" not in os.environ, reason="no chromium on the PATH")
XQUAD = ("hi", "tr", "ar", "el", "es", "zh", "de", "th", "vi", "ru", "en")
# The contrast of text with its background as WCAG 2 defines it; a canvas turns any CSS colour into 8-bit sRGB.
CONTRAST = """
(selector) => {
  const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const luminance = (colour) => {
    context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((byte) => byte / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [...document.querySelectorAll(selector)].map((element) => {
    let behind = element;
    while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    const ground = luminance(getComputedStyle(behind).backgroundColor);
    const text = luminance(getComputedStyle(element).color);
    return {
      score: Number(element.dataset.value), ground,
      contrast: (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05),
    };
  });
}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


def report(folder: Path, num_runs: int) -> Path:
    """A report of runs with two tasks: one in 50 languages whose scores cover 0 … 100, one in 11 with few examples and
    scores about the place where text changes its colour."""
    for number in range(num_runs):
        run = folder / f"run{number}"
        run.mkdir(parents=True)
        scores = {code: min(100.0, index * 2.05) for index, code in enumerate(LANGUAGES)}
        tasks = {
            "cldr-topic": ("classification", "accuracy", scores, 500),
            "xquad": ("qa", "f1", {code: 71 + index / 10 for index, code in enumerate(XQUAD)}, 60),
        }
        content = {
            task: {
                "family": family,
                "metric": metric,
                "split": "test",
                "trained_on": ["en"],
                "languages": {code: {metric: score, "count": count} for code, score in values.items()},
                "mean": {metric: 50.0},
            }
            for task, (family, metric, values, count) in tasks.items()
        }
        (run / "scores.json").write_text(json.dumps({"run": f"multilingual / adversarial {number}", "tasks": content}))
        (run / "config.yaml").write_text("model:\n  backbone: " + "a-long-name-" * 20 + "\n")
        (run / "environment.json").write_text(json.dumps({"versions": {"torch": "2.13.0"}, "commit": "f" * 40}))
        steps = ({"step": step, "train/loss": 2 / step, "train/tokens_per_second": 800} for step in range(1, 400))
        (run / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    runs = [folder / f"run{number}" for number in range(num_runs)]
    return write_report(runs, folder / "out", ["The numbers are made up."]).html


@pytest.mark.parametrize("num_runs", [1, 3])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_page_is_silent_fits_its_window_and_is_legible(
    page: Page, tmp_path: Path, width: int, height: int, dark: bool, num_runs: int
) -> None:
    page.open(report(tmp_path, num_runs), width, height, dark)
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000
    noise = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in page.events if event["method"] in noise] == []
    asked = [event["params"]["request"]["url"] for event in page.events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / "out/report.html").as_uri()]
    assert page.value("document.documentElement.scrollWidth") <= page.value("document.documentElement.clientWidth")
    if width == 390:  # the table is wider than a phone: its own box scrolls, and the names of the languages stay
        assert page.value("box = document.querySelector('#map').parentElement; box.scrollLeft = 1e6; box.scrollLeft") > 0
        assert page.value("document.querySelector('#map tbody th').getBoundingClientRect().left") >= 0
    for selector in (".heat", ".heat .n", ".meaning", ".metric", ".code", ".lead", ".legend dd", ".said", ".facts dt"):
        measured = page.value(f"({CONTRAST})({json.dumps(selector)})")
        assert measured
        assert min(entry["contrast"] for entry in measured) >= 4.5, selector
    for task in ("cldr-topic", "xquad"):  # each on its own scale
        found = page.value(f"({CONTRAST})('#map .heat[data-task={task}]')")
        grounds = [cell["ground"] for cell in sorted(found, key=lambda cell: cell["score"], reverse=not dark)]
        assert grounds == sorted(grounds)  # lightness alone orders the scores, so the map reads without seeing hues
        assert len(set(grounds)) > 5


@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_page_of_a_study_is_silent_fits_and_filters(page: Page, tmp_path: Path, width: int, height: int) -> None:
    path = described(tmp_path, gold(tmp_path / "gold"), ("cldr-topic", "pawsx-pairs"))
    graph = finished(path, lambda values, code: 0.6)
    results = study_results(graph, standings(graph, Facts()))
    page.open(write_study_report(results, tmp_path / "out").html, width, height)
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000
    noise = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in page.events if event["method"] in noise] == []
    assert page.value("document.documentElement.scrollWidth") <= page.value("document.documentElement.clientWidth")
    for selector in (".heat", ".range", ".code", ".said", "p.answer", ".forest td"):
        measured = page.value(f"({CONTRAST})({json.dumps(selector)})")
        assert min(entry["contrast"] for entry in measured) >= 4.5, selector
    first = page.value("document.querySelector('.forest circle').getBoundingClientRect().toJSON()")
    axis = page.value("document.querySelector('.forest .interval').getBoundingClientRect().toJSON()")
    assert axis["width"] > 100
    assert axis["left"] < first["left"] < axis["right"]
    # A condition and a family are chosen; the head of the task spans what is left.
    choose = "(id, value) => { const e = document.getElementById(id); e.value = value; e.dispatchEvent(new Event('change')); }"
    page.value(f"({choose})('run', '1')")
    shown = "[...document.querySelectorAll('#map .heat')].filter((cell) => cell.offsetParent).map((cell) => cell.dataset.run)"
    assert set(page.value(shown)) == {"1"}
    assert page.value("document.querySelector('#map [data-runs]').colSpan") == 1
    page.value(f"({choose})('family', 'Atlantic-Congo')")
    names = "[...document.querySelectorAll('#map tbody tr:not([hidden]) .code')].map((name) => name.textContent)"
    assert page.value(names) == ["yo", "sw"]
    assert page.value("document.getElementById('status').textContent") == "2 of 12 languages"
    page.value("document.querySelector('#tasks ~ .scroll th button').click()")
    assert (
        page.value("document.querySelector('#tasks ~ .scroll tbody th').textContent")
        == "intermediate: multilingual, robust: adversarial"
    )


@pytest.mark.parametrize("number", [102, 204])
@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_page_of_many_languages_fits_and_sorts(page: Page, tmp_path: Path, width: int, height: int, number: int) -> None:
    runs = [many_scores(tmp_path / "a", number, "a"), many_scores(tmp_path / "b", number, "b", pretraining={"name": "mmbert"})]
    page.open(write_report(runs[: 1 if number == 102 else 2], tmp_path / "out").html, width, height)
    noise = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in page.events if event["method"] in noise] == []
    assert page.value("document.documentElement.scrollWidth") <= page.value("document.documentElement.clientWidth")
    assert page.value("[...document.querySelectorAll('.dots')].map((e) => e.querySelectorAll('circle').length)") == [number] * 2
    # Every dot and every mean is inside its plot, which leaves room for the names at its left.
    inside = """
      [...document.querySelectorAll('.dots .interval')].every((plot) => {
        const box = plot.getBoundingClientRect();
        return box.width > 120 && [...plot.querySelectorAll('circle, .mean')].every((mark) => {
          const place = mark.getBoundingClientRect();
          return place.left >= box.left - 1 && place.right <= box.right + 1;
        });
      })
    """
    assert page.value(inside)
    shown = "(name) => [...document.querySelectorAll(name)].some((e) => e.offsetParent)"
    assert page.value(f"({shown})('#map .kin')")  # a phone shows group, size and score first, and the rest by scrolling
    assert page.value("document.querySelector('#map td.heat').getBoundingClientRect().left") < width
    for selector in (".legend dd", ".said", ".code", ".dots tbody th"):
        measured = page.value(f"({CONTRAST})({json.dumps(selector)})")
        assert min(entry["contrast"] for entry in measured) >= 4.5, selector
    column = """
      (title) => {
        const heads = [...document.querySelectorAll('#map th[data-sort]')];
        const head = heads.find((one) => one.textContent.trim() === title);
        head.querySelector('button').click();
        return [...document.querySelectorAll('#map tbody tr')].map((row) => row.cells[Number(head.dataset.at)].textContent);
      }
    """
    for title in ("Family", "Script"):
        found = page.value(f"({column})({json.dumps(title)})")
        assert found == sorted(found)
        assert len(set(found)) > 5
    changed = [float(text.replace("<", "").strip("()")) for text in page.value(f"({column})('changed %')")]
    assert changed == sorted(changed, reverse=True)


# Of every table: whether its box scrolls to its last column, and what of the box the column that stays leaves to the others.
REACHED = """
[...document.querySelectorAll('.scroll')].filter((box) => box.offsetParent).map((box) => {
  const heads = [...box.querySelectorAll('thead th, thead td')], last = heads.at(-1);
  box.scrollLeft = 1e6;
  const end = Math.max(...heads.map((head) => head.getBoundingClientRect().right));
  const stub = box.querySelector('.stub').getBoundingClientRect();
  const right = box.getBoundingClientRect().right;
  box.scrollLeft = 0;
  return {
    name: box.getAttribute('aria-labelledby'), over: box.scrollWidth - box.clientWidth, past: end - right,
    stub: stub.width / box.clientWidth, none: heads.filter((head) => head.getBoundingClientRect().width === 0).length,
  };
})
"""


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study_report(ten_by_six(), tmp_path_factory.mktemp("ten")).html


@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_ten_tasks_in_six_conditions_are_readable(page: Page, tmp_path: Path, ten: Path, width: int, height: int) -> None:
    page.open(ten, width, height)
    page.screenshot(tmp_path / "page.png")
    assert page.value("document.documentElement.scrollWidth") <= page.value("document.documentElement.clientWidth")
    for table in page.value(REACHED):
        assert table["past"] <= 1, table
        assert table["none"] == 0, table
        assert table["stub"] < 0.5, table
        if width == 1280:  # nothing but the differences of ten tasks needs scrolling, and those by little
            assert table["over"] <= (120 if table["name"].startswith("differences") else 0), table
    scales = page.value("[...document.querySelectorAll('.ramp')].map((one) => one.textContent.trim())")
    assert len(scales) == 10  # a scale for each task
    assert len(set(scales)) > 1
    for selector in (".caution", ".question", ".differs dd", ".beside .meaning"):
        measured = page.value(f"({CONTRAST})({json.dumps(selector)})")
        assert min(entry["contrast"] for entry in measured) >= 4.5, selector
    names = page.value("[...document.querySelectorAll('#map thead .name')].map((name) => name.textContent)")
    assert names[1].startswith("intermediate: none, robust: adversarial")
    choose = "(id, value) => { const e = document.getElementById(id); e.value = value; e.dispatchEvent(new Event('change')); }"
    page.value(f"({choose})('run', '1')")  # in every table
    shown = "[...document.querySelectorAll('.languages .heat')].filter((cell) => cell.offsetParent).map((c) => c.dataset.run)"
    assert set(page.value(shown)) == {"1"}


def test_ten_tasks_in_six_conditions_are_printed_without_empty_sheets(page: Page, ten: Path) -> None:
    page.open(ten, 700, 1000)
    page("Emulation.setEmulatedMedia", media="print")
    assert page.value("document.documentElement.scrollWidth") <= 700
    counts = page.printed()
    assert min(counts) > 30, counts
    height = page.value("document.documentElement.scrollHeight")
    assert len(counts) <= height / 900 + 4  # no more than what is on them needs


def test_keyboard_sorts_and_filters(page: Page, tmp_path: Path) -> None:
    page.open(report(tmp_path, 1), 1280, 900)
    names = "[...document.querySelectorAll('#map tbody tr:not([hidden]) .code')].map((name) => name.textContent)"
    assert page.value(names) == list(LANGUAGES)
    page.value("document.querySelectorAll('#map th button')[3].focus()")
    page.press("Enter", 13)
    assert page.value(names) == list(LANGUAGES)[::-1]
    assert page.value("[...document.querySelectorAll('[aria-sort]')].map((head) => head.ariaSort)") == ["descending"]
    page.press("Tab", 9)  # to the next column, where most languages have no score: they stay last either way
    for _ in range(2):
        page.press("Enter", 13)
    assert page.value(names)[:2] == ["hi", "tr"]
    page.value("document.querySelector('#controls [data-group=unseen]').focus()")
    page.press("Enter", 13)
    assert sorted(page.value(names)) == ["ht", "qu", "wo", "yo"]
    assert page.value("document.getElementById('status').textContent") == "4 of 50 languages"
    assert page.value("document.activeElement.ariaPressed") == "true"
    page.value("document.querySelector('#controls [data-group=\"\"]').click()")
    page.value("document.querySelectorAll('#map th button')[2].click()")
    assert page.value(names) == list(LANGUAGES)


def test_screen_readers_are_told_of_tables_headers_and_marks(page: Page, tmp_path: Path) -> None:
    page.open(report(tmp_path, 1), 1280, 900)
    nodes = [node for node in page("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
    tables = [name for role, name in named if role == "table"]
    assert tables == [
        "Mean score by resource group of multilingual / adversarial 0",
        "Score of every language of multilingual / adversarial 0",
    ]
    assert sum(role == "rowheader" for role, _ in named) == 6 + 50
    assert ("rowheader", "Haitian Creole ht") in named
    assert sum("trained on" in name for role, name in named if role == "gridcell" or role == "cell") == 2
    assert any(role == "image" and name.startswith("Training loss against steps.") for role, name in named)


def test_page_is_complete_without_its_script(page: Page, tmp_path: Path) -> None:
    file = report(tmp_path, 1)
    page("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(file, 390, 844)
        assert page.value("document.querySelectorAll('#map tbody tr:not([hidden])').length") == 50
        assert page.value("document.querySelectorAll('#map button').length") == 0
        assert page.value("getComputedStyle(document.getElementById('controls')).display") == "none"
    finally:
        page("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("many", [False, True], ids=["fifty", "many"])
def test_paper_is_white_and_wide_enough(page: Page, tmp_path: Path, many: bool) -> None:
    runs = [many_scores(tmp_path / "a", 204, "a"), many_scores(tmp_path / "b", 204, "b", pretraining={"name": "mmbert"})]
    html = write_report(runs, tmp_path / "many").html if many else report(tmp_path, 1)
    page.open(html, 700, 1000, dark=True)  # 700 pixels: A4 between its margins
    page("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(252, 251, 248)"
    assert page.value("document.documentElement.scrollWidth") <= 700
    assert page.value("getComputedStyle(document.getElementById('controls')).display") == "none"
    assert base64.b64decode(page("Page.printToPDF", preferCSSPageSize=True)["data"]).startswith(b"%PDF")
