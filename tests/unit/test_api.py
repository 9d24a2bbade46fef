"""The API: its names, what it takes and gives, and that the commands say and end as it does."""

import ast
import inspect
import json
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from pages import ROOT
from registered import forgetting
from test_compare import make_run
from tiny import tiny_benchmark, tiny_model
from tiny_families import tiny_families

import xdist
import xdist_xtreme
from xdist import api
from xdist.cli import main
from xdist.config import load_run
from xdist.errors import RunError, UserError
from xdist.files import read_json, shipped
from xdist.launch import local
from xdist.launch.starting import describe_run
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import TASKS

NAMES = [name for name in xdist.__all__ if name != "__version__"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    tiny_families(tiny_benchmark(folder))
    tiny_model(folder / "encoder", folder)
    return folder


@pytest.fixture
def run_yaml(root: Path, tmp_path: Path) -> Path:
    run = {
        "name": "small",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(root / "encoder")},
        "data": {"root": str(root), "cache": str(root / "prepared")},
        "train": {"tasks": [{"task": "cldr-topic"}], "steps": 2},
        "evaluate": {"tasks": ["cldr-topic"], "languages": ["de"]},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


def test_names_are_the_api_s_whatever_was_imported() -> None:
    for module in ("train", "evaluate", "report", "report.results", "tasks", "tasks.catalog", "robust"):
        import_module(f"xdist.{module}")
    import xdist.report.results
    from xdist import report, tasks, train

    assert (xdist.train, xdist.evaluate, report, tasks, train) == (api.train, api.evaluate, api.report, api.tasks, api.train)
    assert sys.modules["xdist.report"].write_report
    for name in NAMES:
        assert getattr(xdist, name) is getattr(xdist_xtreme, name), name
        assert name in dir(xdist)
        assert name in dir(xdist_xtreme)
    assert xdist.__version__ == xdist_xtreme.__version__
    with pytest.raises(AttributeError, match="module 'xdist' has no attribute 'trian'"):
        _ = xdist.trian  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"xdist\.train is part of the API and cannot be set"):
        xdist.train = None  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["load", "train", "evaluate", "score", "compare", "report", "robust.perturbed_loss"])
def test_every_function_says_what_it_takes_and_raises_and_shows_an_example(name: str) -> None:
    function = attrgetter(name)(xdist)
    said = inspect.getdoc(function) or ""
    assert "Raises UserError" in said or "Returns and raises what `train` does" in said
    assert f"    xdist.{name}(" in said or f" = xdist.{name}(" in said
    for parameter in inspect.signature(function).parameters:
        assert f"`{parameter}`" in said, parameter


def test_a_run_is_loaded_with_overrides(run_yaml: Path) -> None:
    run = xdist.load(str(run_yaml), "train.steps=3", "robust.method=free")
    assert run.train
    assert (run.train.steps, run.methods[0].method) == (3, "free")
    with pytest.raises(UserError, match=r"train\.step=3 \(command line\): train: unknown key 'step': did you mean 'steps'"):
        xdist.load(run_yaml, "train.step=3")


def test_the_package_imports_modules_by_their_full_names() -> None:
    """`from xdist import report` is the function; and through the package itself everything would depend on the API."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "xdist").rglob("*.py")}
    for path in sorted((ROOT / "xdist").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not [one.name for one in node.names if one.name.partition(".")[0] == "xdist"], path
            elif isinstance(node, ast.ImportFrom) and node.module == "xdist":
                names = {one.name for one in node.names}
                assert {f"xdist.{name}" for name in names} <= modules | {"xdist.robust"}, path
                assert names.isdisjoint(api.__all__), path


PLUGIN = f"plugins=[{ROOT}/tests/third_party/fading.py]"


@pytest.mark.parametrize("path", sorted((shipped("jobs") / "runs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_loaded_run_can_be_started(path: Path) -> None:
    fading = "{method: fading, sizes: 'a b.txt'}"
    for more in (["seed=7"], [PLUGIN, f"robust=[{{method: adversarial, radius: 1e-3}}, {fading}]"], ["robust.method=none"]):
        with forgetting():
            run = load_run(path, more)
            assert load_run(*describe_run(run.dump())) == run


class Ranks:
    """In the place of ranks: a program that leaves a mark in the run's folder, and a code."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def end(self, description: Path, mark: str, said: str = "", code: int = 0) -> None:
        program = (
            "import sys\nfrom pathlib import Path\nfrom xdist.config import load_run\n"
            "from xdist.run.folder import RunFolder\n"
            f"run = load_run(Path({str(description)!r}))\nfolder = RunFolder(run.folder)\nfolder.announce(run)\n"
            f"folder.mark({mark!r}, {said!r})\nsys.exit({code})"
        )
        self.monkeypatch.setattr(local, "command", lambda *_: [sys.executable, "-c", program])


ENDS = {
    "stopped": ("unfinished", "", 0, 75, "small was stopped and saved; start it again to resume: {folder}\n"),
    "broken": ("failed", "the disk is full", 1, 1, "xdist: small failed: the disk is full ({folder})\n"),
    "mistake": ("failed", "user error: no such row", 2, 2, ""),
}


@pytest.mark.parametrize("end", ENDS)
def test_how_a_run_ends_is_returned_or_raised_and_said_once(
    run_yaml: Path, end: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mark, said, code, exits, line = ENDS[end]
    folder = run_yaml.parent / "run"
    Ranks(monkeypatch).end(run_yaml, mark, said, code)
    run = xdist.load(run_yaml)
    if end == "stopped":
        done = xdist.train(run, ranks=1)
        assert (done.folder, done.state, done.scores, done.started) == (folder, "unfinished", {}, True)
    else:
        kind = RunError if end == "broken" else UserError
        with pytest.raises(kind, match=rf"small.*: {said.removeprefix('user error: ')} \("):
            xdist.train(run_yaml)
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["train", str(run_yaml)])
    assert left.value.code == exits
    assert capfd.readouterr().err.endswith(line.format(folder=folder))


def test_a_finished_run_starts_nothing(run_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(run_yaml.parent / "run")
    Ranks(monkeypatch).end(run_yaml, "finished")
    assert xdist.train(run_yaml, "evaluate=null").started
    monkeypatch.setattr(local, "command", lambda *_: pytest.fail("nothing is to be started"))
    done = xdist.train(run_yaml, "evaluate=null")
    assert (done.name, done.state, done.started, done.notes) == ("small", "finished", False, ())
    typed = CliRunner().invoke(main, ["train", str(run_yaml), "evaluate=null"])
    assert (typed.exit_code, typed.output) == (0, f"small is finished: {folder.model}\nfolder: {folder.path}\n")


def test_mistakes_in_what_evaluate_is_given(run_yaml: Path, root: Path) -> None:
    cases: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((), {}, "evaluate: give a description, or a model: model=FOLDER, task=NAME"),
        ((run_yaml,), {"task": "udpos"}, "evaluate: task=… goes with model=…; a description says it itself"),
        ((run_yaml,), {"model": "m", "task": "udpos"}, r"evaluate: .*run\.yaml: give either a description or model=…"),
        ((), {"model": "m"}, "evaluate: m: say what to score it on: task=NAME"),
        ((), {"model": root / "encoder", "task": "cldr-spanz", "data": root}, "did you mean 'cldr-spans'"),
        (("runtime.rank=2",), {"model": root / "encoder", "task": "cldr-spans", "data": root}, "did you mean 'ranks'"),
        ((run_yaml,), {}, r"run/model: does not exist yet; train the run first"),
    ]
    before = sorted(run_yaml.parent.rglob("*"))
    for words, options, said in cases:
        with pytest.raises(UserError, match=said) as error:
            xdist.evaluate(*words, **options)
        assert "\n" not in str(error.value)
        assert not error.value.told
    assert sorted(run_yaml.parent.rglob("*")) == before


def test_scores_comparisons_and_reports_are_those_of_the_commands(root: Path, tmp_path: Path) -> None:
    a, b = (make_run(tmp_path / name, root, wrong, seed) for name, wrong, seed in (("a", 0.1, 1), ("b", 0.4, 2)))
    (b / "config.yaml").write_text((b / "config.yaml").read_text().replace("backbone: x", "backbone: y"))
    predictions, out = a / "predictions", tmp_path / "scores.json"
    typed = CliRunner().invoke(main, ["score", str(predictions), "--gold", str(root), "--partial", "--out", str(out)])
    assert typed.exit_code == 0, typed.output
    assert xdist.score(str(predictions), root, partial=True) == read_json(out)
    with pytest.raises(UserError, match="languages have files; to score those alone: --partial"):
        xdist.score(predictions, root)

    (one,) = xdist.compare(a, [str(b)], only="udpos")
    assert (one.task, one.split) == ("udpos", "test")
    assert one.comparison
    assert one.comparison.groups["all languages"].a > one.comparison.groups["all languages"].b
    assert len(xdist.compare([a, b], [b, a])) == len(xdist.compare(a, b)) > 3

    reported = xdist.report([a, str(b)], tmp_path / "report", title="Two")
    assert reported.scores
    assert reported.scores.runs == ("a", "b")
    assert (reported.sentences, json.loads(reported.json.read_text())["title"]) == ((), "Two")
    assert reported.html.is_file()
    assert reported.markdown.read_text().startswith("# Two")
    compared = xdist.report(a, tmp_path / "compared", against=b)
    typed = CliRunner().invoke(main, ["report", str(a), "--against", str(b), "--out", str(tmp_path / "typed")])
    assert typed.output.splitlines() == [*compared.sentences, f"report: {tmp_path / 'typed/report.html'}"]
    with pytest.raises(UserError, match="no run to report on"):
        xdist.report([])


def test_tasks_by_name(root: Path) -> None:
    assert list(xdist.tasks) == [one.name for one in TASKS]
    assert len(xdist.tasks) == len(list(TASKS))
    spans = xdist.tasks["cldr-spans"]
    examples = list(spans.examples(str(root), "test", "de"))
    right = [list(example.tags) for example in examples]
    assert spans.score(right, examples, "de")["f1"] == 100
    wrong = [["O"] * len(tags) for tags in right]
    assert spans.score(wrong, examples, "de")["f1"] == 0
    with pytest.raises(UserError, match=r"^unknown task 'udpoz': did you mean 'udpos'\?"):
        xdist.tasks["udpoz"]
    assert "udpoz" not in xdist.tasks
    assert xdist.tasks.get("udpoz") is None
