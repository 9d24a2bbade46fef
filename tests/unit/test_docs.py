"""The documentation is up to date: every command parses, every file it shows is valid, every link leads somewhere."""

import re
import shlex
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from batch_of import batch_of
from pages import PAGES, ROOT, commands, shown
from passes_of import SPECIAL
from registered import forgetting

from xdist import plugins
from xdist.cli import main
from xdist.config import Run, load_run, load_study
from xdist.config.loading import plain_yaml
from xdist.config.method import StepCost
from xdist.errors import UserError
from xdist.estimate.hours import work
from xdist.launch.clusters import load_cluster
from xdist.robust.passes import Chain, Context
from xdist.tasks.catalog import task
from xdist.tasks.catalog.user import user_tasks

CASES = [(page, command) for page in PAGES for command in commands(page)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout's folders, and the files that each page shows under the name in their first line."""
    for name in ("jobs", "xdist", "docs", "tests", "benchmarks", "ds_configs", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    for page in PAGES:
        for name, text in shown(page):
            (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with forgetting():
        yield tmp_path


def test_the_pages_show_commands() -> None:
    assert len(CASES) > 80
    assert len([name for page in PAGES for name in shown(page)]) >= 5


@pytest.mark.parametrize("page, line", CASES, ids=[f"{page.stem}-{number}" for number, (page, _) in enumerate(CASES)])
def test_commands_parse_and_their_files_are_valid(page: Path, line: str, place: Path) -> None:
    words = shlex.split(line)
    match words[0]:
        case "make":
            assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in words[1:])
        case "python" | "deepspeed":
            script = next(word for word in words if word.endswith(".py"))
            assert (ROOT / script).is_file() or Path(script).is_file(), script
            check_description(words[words.index(script) + 1 :])
        case "xdist":
            check_description(parsed(words[1:]))


def parsed(words: list[str]) -> list[str]:
    """The arguments of a command, whose name and options are checked by the command itself."""
    context = click.Context(main, info_name="xdist")
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, found, words = command.resolve_command(context, words)
        assert found
        command = found
        context = click.Context(command, info_name=command.name, parent=context)
    if "--help" in words:
        return []
    try:
        made = command.make_context(command.name, list(words), parent=context.parent)
    except click.ClickException as error:
        pytest.fail(error.format_message())
    values = [value for name, value in made.params.items() if name in ("path", "places", "overrides")]
    if (cluster := made.params.get("cluster_path")) is not None:  # 'hosts.yaml' alone means a copy of the shipped one
        load_cluster(cluster if cluster.is_file() else Path("jobs/clusters") / cluster.name, made.params.get("settings", ()))
    return [str(one) for value in values for one in (value if isinstance(value, tuple) else [value])]


def check_description(words: list[str]) -> None:
    """Of a run or study that is named: whether it reads with its overrides, and its tasks are known."""
    if not words or not words[0].endswith(".yaml") or words[0] in ("RUN.yaml", "STUDY.yaml"):
        return
    path, overrides = Path(words[0]), words[1:]
    if "stages" in plain_yaml(path):
        load_study(path, overrides)
        return
    run = load_run(path, overrides)
    names = [*(entry.task for entry in (run.train.tasks if run.train else ())), *(run.evaluate.tasks if run.evaluate else ())]
    for name in names:
        task(name, run.data.tasks, run.plugins)


def test_a_wrong_command_would_be_seen(place: Path) -> None:
    for words in (["trian", "a.yaml"], ["train", "a.yaml", "--rank", "2"], ["study", "paln", "a.yaml"]):
        with pytest.raises((pytest.fail.Exception, click.ClickException)):
            parsed(words)
    for words in (
        ["nowhere.yaml"],
        ["jobs/runs/demo/target.yaml", "train.stepz=1"],
        ["news.yaml", "evaluate.tasks=[swahili-nws]"],
    ):
        with pytest.raises(UserError):
            check_description(words)


@pytest.mark.parametrize("name", sorted({name for page in PAGES for name, _ in shown(page)}))
def test_files_that_pages_show_are_valid(name: str, place: Path) -> None:
    if name.endswith(".py"):
        assert plugins.pinned(name)
        return
    values = plain_yaml(Path(name))
    if "kind" in values:
        load_cluster(Path(name))
    elif "stages" in values:
        load_study(Path(name))
    elif "model" in values:
        check_description([name])
    else:
        assert user_tasks(Path(name))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, target


def test_the_reference_is_that_of_this_version() -> None:
    spec = spec_from_file_location("make_reference", ROOT / "docs/make_reference.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert text == module.reference(), "run: python docs/make_reference.py"
    for key in Run.model_fields:
        assert f"| `{key}` |" in text


def test_the_perturbation_of_the_how_to_does_what_it_says(place: Path) -> None:
    (section, _) = load_run(Path("dropout.yaml"), ["robust.0.probability=0.3"]).methods
    assert section.name == "token_dropout"
    batch = batch_of([[[0, 7, 8, 9, 2]], [[0, 11, 12, 2]]] * 50)
    nothing: Any = None
    context = Context(batch, 3, 10, 1, SPECIAL, nothing, nothing, nothing, nothing)
    (one,) = Chain([section]).passes(context)
    (shift,) = one.views[0].shifts
    assert callable(shift.delta)
    states = torch.randn(len(batch.tokens), 4)
    moved = states + shift.delta(states)
    gone = (moved == 0).all(dim=1)
    assert torch.equal(moved[~gone], states[~gone])
    assert not gone[torch.isin(batch.tokens, SPECIAL)].any()
    assert float(gone[~torch.isin(batch.tokens, SPECIAL)].float().mean()) == pytest.approx(0.3, abs=0.1)
    assert work([section]) == StepCost(clean=0.0, moved=1.0)
