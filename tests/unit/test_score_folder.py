"""Submission files of every family written, read back and scored; what is wrong is named with file, line and count."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from generated_mewslix import generate
from tiny import tiny_benchmark
from tiny_families import LANGUAGES, tiny_families

from xdist.cli import main
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.official import average_scores, score_folder
from xdist.files import write_json
from xdist.metrics.spans import parse_0_0_12, spans
from xdist.tasks.catalog import Task, task

TASKS = ("xquad", "xcopa", "udpos", "xnli", "cldr-names")


def gold_of(entry: Task, examples: list[Any]) -> Any:
    """The gold of a split as if it had been predicted."""
    match entry.family:
        case "span-qa":
            return {example.id: example.answers[0].text for example in examples}
        case "multiple-choice" | "classification":
            return [example.label for example in examples]
        case "tagging":
            return [list(example.tags) for example in examples]
    return [int(sentence.gold) for side, sentence in examples if side == "english"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gold")
    tiny_benchmark(folder)
    return tiny_families(folder)


@pytest.fixture(scope="module")
def perfect(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gold as predictions, in the languages that have gold."""
    folder = tmp_path_factory.mktemp("perfect") / "predictions"
    for name in TASKS:
        entry = task(name)
        for code in entry.languages:
            if all(path.is_file() for path in entry.paths(root, "test", code)):
                examples = list(entry.examples(root, "test", code))
                submission.write_predictions(
                    submission.predictions_path(folder, entry, "test", code), entry, gold_of(entry, examples)
                )
    return folder


@pytest.fixture
def folder(perfect: Path, tmp_path: Path) -> Path:
    shutil.copytree(perfect, tmp_path / "predictions")
    return tmp_path / "predictions"


def test_layouts(perfect: Path) -> None:
    assert (perfect / "xcopa/test-et.jsonl").read_text().splitlines()[:2] == ['{"label": 0}', '{"label": 1}']
    assert set(json.loads((perfect / "xquad/test-th.json").read_text())) == {f"x{n}-{k}" for n in range(6) for k in range(2)}
    assert (perfect / "xnli/test-sw.tsv").read_text().splitlines()[0] in task("xnli").labels
    tags = (perfect / "udpos/test-de.tsv").read_text()
    assert tags.endswith("\n")
    assert not tags.endswith("\n\n")
    assert tags.count("\n\n") == 11
    assert (perfect / "cldr-names/test-de.tsv").read_text().splitlines()[0].isdigit()


def test_gold_scores_a_hundred(perfect: Path, root: Path) -> None:
    scores = score_folder(perfect, root, partial=True)
    assert {name: entry["mean"][entry["metric"]] for name, entry in scores["tasks"].items()} == dict.fromkeys(TASKS, 100.0)
    assert set(scores["tasks"]["xquad"]["languages"]) == set(LANGUAGES["xquad"])
    assert scores["tasks"]["xquad"]["languages"]["th"]["count"] == 12
    assert str(average_scores(scores)) == "0 of 10"  # no task has all its languages


def test_scores_are_the_official_ones(folder: Path, root: Path) -> None:
    path = folder / "xcopa/test-sw.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(['{"label": 1}', *lines[1:]]))  # the first is wrong, and no line feed at the end
    path = folder / "xquad/test-de.json"
    answers = json.loads(path.read_text())
    answers[next(iter(answers))] = ""
    path.write_text(json.dumps(answers))
    tasks = score_folder(folder, root, partial=True)["tasks"]
    assert tasks["xcopa"]["languages"]["sw"]["accuracy"] == pytest.approx(100 * 13 / 14)
    assert tasks["xcopa"]["mean"]["accuracy"] == pytest.approx((100 + 100 * 13 / 14) / 2)
    assert tasks["xquad"]["languages"]["de"] == {
        "exact_match": pytest.approx(100 * 11 / 12),
        "f1": pytest.approx(100 * 11 / 12),
        "count": 12,
    }


def refused(folder: Path, root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        score_folder(folder, root, **{"partial": True, **options})
    text = str(error.value)
    assert "\n" not in text
    return text.replace(f"{folder}/", "")


def test_every_language_is_expected(folder: Path, root: Path) -> None:
    shutil.rmtree(folder / "cldr-names")
    what = "2 of 15 languages have files; to score those alone: --partial"
    (folder / "xnli/test-de.tsv").unlink()
    for name in ("udpos", "xcopa", "xquad"):
        shutil.rmtree(folder / name)
    assert refused(folder, root, partial=False) == f"xnli/test-ar.tsv: no such file ({what})"
    assert len(score_folder(folder, root, partial=True)["tasks"]["xnli"]["languages"]) == 2


def test_what_the_encoder_has_read_is_known_of_a_run_alone(folder: Path, root: Path) -> None:
    assert score_folder(folder, root, partial=True)["pretraining"] == {"name": "none"}
    beside = folder.parent / "scores.json"
    beside.write_text('{"run": "a", "tasks": {}}')  # of an earlier version
    assert "pretraining" not in score_folder(folder, root, partial=True)
    beside.write_text('{"run": "a", "tasks": {}, "pretraining": {"name": "mmbert"}}')
    assert score_folder(folder, root, partial=True)["pretraining"] == {"name": "mmbert"}


def test_unknown_names(folder: Path, root: Path, tmp_path: Path) -> None:
    assert refused(tmp_path / "none", root) == f"{tmp_path / 'none'}: no such folder"
    (tmp_path / "none").mkdir()
    assert "holds no task folder such as" in refused(tmp_path / "none", root)
    (folder / "xnli/test-sv.tsv").write_text("neutral\n")
    assert refused(folder, root).startswith("xnli/test-sv.tsv: unknown prediction file 'test-sv.tsv': did you mean 'test-")
    shutil.move(folder / "xnli", folder / "xnlj")
    assert refused(folder, root).startswith("xnlj: unknown task 'xnlj': did you mean 'xnli'?")


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("xnli/test-en.tsv", lambda lines: lines[:-3], "xnli/test-en.tsv:18: the end after 17 predictions, expected 20"),
        (
            *("xnli/test-en.tsv", lambda lines: [*lines, "neutral", "neutral"]),
            "xnli/test-en.tsv:21: more than the 20 predictions expected (22 found)",
        ),
        (
            *("xnli/test-en.tsv", lambda lines: [*lines[:4], "neutrall", *lines[5:]]),
            "xnli/test-en.tsv:5: unknown label 'neutrall': did you mean 'neutral'?",
        ),
        (
            *("xnli/test-en.tsv", lambda lines: [*lines[:4], "", *lines[5:]]),
            "xnli/test-en.tsv:5: unknown label '':",
        ),
        (
            *("xcopa/test-et.jsonl", lambda lines: [*lines[:2], '{"label": 2}', *lines[3:]]),
            "xcopa/test-et.jsonl:3: option 2 of an example with options 0 to 1",
        ),
        (
            *("xcopa/test-et.jsonl", lambda lines: [*lines[:2], '{"labels": 1}', *lines[3:]]),
            "xcopa/test-et.jsonl:3: no field 'label'; nearest: 'labels'",
        ),
        ("xcopa/test-et.jsonl", lambda lines: lines[:1], "xcopa/test-et.jsonl:2: the end after 1 predictions, expected 14"),
        (
            *("cldr-names/test-de.tsv", lambda lines: [f"[{lines[0]}]", *lines[1:]]),
            "is no row number from 0 to 59",
        ),
        (
            *("cldr-names/test-de.tsv", lambda lines: ["60", *lines[1:]]),
            "cldr-names/test-de.tsv:1: '60' is no row number from 0 to 59",
        ),
        (
            *("udpos/test-de.tsv", lambda lines: ["X", *lines]),
            "one tag too many: sentence 1 of 12 has ",
        ),
        (
            *("udpos/test-de.tsv", lambda lines: lines[1:]),
            "a blank line after ",
        ),
        (
            *("udpos/test-de.tsv", lambda lines: lines[:-1]),
            "the end after ",
        ),
        (
            *("udpos/test-de.tsv", lambda lines: [*lines, "", "NOUN"]),
            "more than the 12 sentences expected",
        ),
        (
            *("udpos/test-de.tsv", lambda lines: ["NOUNS", *lines[1:]]),
            "udpos/test-de.tsv:1: unknown tag 'NOUNS': did you mean 'NOUN'?",
        ),
    ],
)
def test_wrong_lines(folder: Path, root: Path, name: str, change: Any, message: str) -> None:
    lines = (folder / name).read_text().splitlines()
    (folder / name).write_text("\n".join(change(lines)) + "\n")
    text = refused(folder, root)
    assert message in text
    assert text.startswith(f"{name}:")


def test_wrong_sizes_of_sentences_name_line_and_sentence(folder: Path, root: Path) -> None:
    path = folder / "udpos/test-de.tsv"
    sentences = path.read_text().rstrip("\n").split("\n\n")
    sizes = [sentence.count("\n") + 1 for sentence in sentences]
    path.write_text("\n\n".join([*sentences[:2], sentences[2].rsplit("\n", 1)[0], *sentences[3:]]) + "\n")
    expected = sum(sizes[:3]) + 2  # the line where the last tag of the third sentence should be
    text = refused(folder, root)
    assert (
        text == f"udpos/test-de.tsv:{expected}: a blank line after {sizes[2] - 1} tags: sentence 3 of 12 has {sizes[2]} words"
    )


def test_wrong_ids(folder: Path, root: Path) -> None:
    path = folder / "xquad/test-th.json"
    whole = json.loads(path.read_text())
    first = next(iter(whole))
    extra = {**whole, "zz": "a"}
    path.write_text(json.dumps(extra, indent=1))
    assert refused(folder, root) == "xquad/test-th.json:14: id 'zz' is not in the gold (1 such; expected 12 ids)"
    text = json.dumps({**whole, "new": f'"{first}": "x"'}, indent=1).replace('"new"', f'"{first}"')
    path.write_text(text)
    assert refused(folder, root) == f"xquad/test-th.json:14: id '{first}' appears 2 times (expected 12 ids, each once)"
    path.write_text(json.dumps({key: value for key, value in whole.items() if key not in (first, "x3-1")}, indent=1))
    assert refused(folder, root) == f"xquad/test-th.json:12: no prediction for '{first}' (2 missing; expected 12 ids)"
    path.write_text(json.dumps({**whole, first: ["a"]}, indent=1))
    assert refused(folder, root) == f"xquad/test-th.json:2: answer to '{first}' must be text, found [\"a\"]"
    path.write_text(json.dumps([1]))
    assert refused(folder, root) == "xquad/test-th.json:1: expected one JSON object with 12 ids, found list"
    path.write_text('{"a": "b",\n}')
    assert refused(folder, root).startswith("xquad/test-th.json:2: not JSON:")


def test_blanked_gold_is_refused(folder: Path, root: Path, tmp_path: Path) -> None:
    blanked = tmp_path / "blanked"
    shutil.copytree(root, blanked)
    for code in LANGUAGES["xcopa"]:
        path = blanked / f"xcopa/test-{code}.jsonl"
        path.write_text(path.read_text().replace('"label": 1', '"label": 0'))
    for name in ("cldr-names", "udpos", "xnli", "xquad"):
        shutil.rmtree(folder / name)
    with pytest.raises(UserError, match=r"xcopa/test-\w\w.jsonl: the gold is blanked, as the official download leaves it"):
        score_folder(folder, blanked, partial=True)
    (blanked / "xcopa/test-et.jsonl").unlink()
    with pytest.raises(UserError, match=r"xcopa/test-et.jsonl: no such file \(task 'xcopa', test, et\)"):
        score_folder(folder, blanked, partial=True)


def test_the_official_o_is_a_tag_and_a_wrong_one(folder: Path, root: Path) -> None:
    """Its label list has O for UD-POS too, which a model may predict; your own task has the labels that it names."""
    for name in ("cldr-names", "xcopa", "xnli", "xquad"):
        shutil.rmtree(folder / name)
    path = folder / "udpos/test-de.tsv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["O", *lines[1:]]) + "\n")
    scores = score_folder(folder, root, partial=True)["tasks"]["udpos"]["languages"]["de"]
    gold = [list(example.tags) for example in task("udpos").examples(root, "test", "de")]
    wrong = [["O", *gold[0][1:]], *gold[1:]]
    parse = parse_0_0_12
    right, found, wanted = (
        sum(len(spans(one, parse) & spans(other, parse)) for one, other in zip(first, second, strict=True))
        for first, second in ((wrong, gold), (wrong, wrong), (gold, gold))
    )
    assert scores["f1"] == pytest.approx(100 * 2 * right / (found + wanted))
    assert 0 < scores["f1"] < 100


def test_blank_lines_at_the_end_of_gold_and_predictions_are_none(folder: Path, root: Path, tmp_path: Path) -> None:
    padded = tmp_path / "padded"
    shutil.copytree(root, padded)
    wanted = score_folder(folder, root, partial=True)["tasks"]
    for place in (padded, folder):
        for path in [*place.rglob("test-*.tsv"), *place.rglob("test-*.jsonl"), *place.rglob("*-en.??")]:
            path.write_text(path.read_text() + "\n\n")
    found = score_folder(folder, padded, partial=True)["tasks"]
    others = {name for name, entry in found.items() if entry.pop("signature") != wanted[name].pop("signature")}
    assert others == found.keys() - {"xquad"}  # whose JSON cannot have such; of other files, the same numbers
    assert found == wanted


def rankings(root: Path, name: str, code: str, split: str = "test") -> tuple[Path, dict[str, list[str]]]:
    """The right candidates of each query, as predictions in addition to the data."""
    entry = task(name)
    path = submission.predictions_path(root / "predictions", entry, split, code)
    found = {query.id: list(query.relevant) for _, query in entry.examples(root, split, code)}
    write_json(path, found)
    return path, found


def test_unknown_candidates_are_errors(tmp_path: Path) -> None:
    generate(tmp_path, candidates=2000, mentions=30, languages=("de", "en"), pairs=60)
    path, found = rankings(tmp_path, "mewslix", "de")
    assert score_folder(path.parents[1], tmp_path, partial=True)["tasks"]["mewslix"]["mean"] == {"map@20": 100.0}
    first = next(iter(found))
    write_json(path, {**found, first: [*found[first], "Q0"]})
    with pytest.raises(UserError, match=rf"test-de\.json:\d+: '{first}': there is no candidate 'Q0'$"):
        score_folder(path.parents[1], tmp_path, partial=True)
    (missing,) = task("mewslix").paths(tmp_path, "pool", "all")
    missing.unlink()
    notes = score_folder(path.parents[1], tmp_path, partial=True)["tasks"]["mewslix"]["notes"]
    assert notes == [f"whether the ids are those of candidates was not checked: {missing}: no such file"]


def test_the_direction_is_stated_and_dev_scores_are_not_the_benchmarks(perfect: Path, root: Path, tmp_path: Path) -> None:
    typed = CliRunner().invoke(main, ["score", str(perfect), "--gold", str(root), "--partial"], env={"COLUMNS": "80"})
    told = "line i of a prediction file names the row, from 0, of xx-en.xx that translates line i of xx-en.en"
    assert f"cldr-names: {told}\n" in typed.output
    dev = tmp_path / "dev"
    entry = task("xnli")
    (dev / "xnli").mkdir(parents=True)
    for code in ("en", "sw"):
        target = entry.paths(tmp_path, "dev", code)[0]
        target.parent.mkdir(exist_ok=True)
        shutil.copy(entry.paths(root, "test", code)[0], target)
        shutil.copy(perfect / f"xnli/test-{code}.tsv", dev / f"xnli/dev-{code}.tsv")
    typed = CliRunner().invoke(main, ["score", str(dev), "--gold", str(tmp_path), "--split", "dev", "--partial"])
    assert typed.exit_code == 0, typed.output
    assert typed.output.endswith("XTREME-R: –, since it is of the test sets\n")
    scores = score_folder(dev, tmp_path, "dev", partial=True)
    assert scores["tasks"]["xnli"]["mean"] == {"accuracy": 100.0}
    numbers = {code: {"accuracy": 9.0} for code in entry.languages}
    for split, done in (("dev", 0), ("test", 1)):
        assert average_scores({"tasks": {"xnli": {"split": split, "languages": numbers}}}).done == done


def test_commands(perfect: Path, root: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    out = tmp_path / "scores.json"
    done = runner.invoke(main, ["score", str(perfect), "--gold", str(root), "--partial", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "xquad (test)" in done.output
    assert "mean over 3 of 12 languages" in done.output
    assert "XTREME-R: 0 of 10" in done.output
    assert json.loads(out.read_text())["tasks"]["xcopa"]["mean"] == {"accuracy": 100.0}
    done = runner.invoke(main, ["score", str(perfect), "--gold", str(root)])
    assert done.exit_code == 2
    assert done.output.startswith("xdist: ")
    done = runner.invoke(main, ["tasks", "check", str(root), "--task", "xquad", "--task", "xcopa"])
    assert done.exit_code == 0, done.output
    assert done.output.count("a part") == 3 + 2
    (broken := tmp_path / "broken/xquad/xquad.en.json").parent.mkdir(parents=True)
    broken.write_text("{")
    done = runner.invoke(main, ["tasks", "check", str(tmp_path / "broken")])
    assert done.exit_code == 2
    assert "xquad.en.json:1: not JSON" in done.output
    found = json.loads(runner.invoke(main, ["score", str(perfect), "--gold", str(root), "--partial", "--json"]).output)
    assert found.pop("xtreme_r") == {"official": None, "qa_as_f1": None}
    assert found == json.loads(out.read_text())
    assert "siqa, then copa" in runner.invoke(main, ["tasks", "show", "xcopa", "--data", str(root)]).output
