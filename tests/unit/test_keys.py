"""xdist keys, xdist init and completion: what can be written is found without the web."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from xdist.cli import main
from xdist.cli.init import shipped_files
from xdist.cli.keys import by_file
from xdist.config import load_run, load_study
from xdist.launch.clusters import load_cluster


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), env={"COLUMNS": "80"})


@pytest.mark.parametrize("file", by_file())
def test_every_key_says_what_it_is_for(file: str) -> None:
    silent = [f"{one.name}.{key.key}" for one in by_file()[file] for key in one.keys if not key.about]
    assert silent == []


def test_keys_are_shown_by_section_and_alone() -> None:
    shown = typed("keys", "train.batch_size").output
    assert re.search(r"batch_size +integer, ≥ 1, ≤ 10\^7 +32 +examples per step, over all ranks", shown)
    assert "learning_rate" not in shown
    assert [line for line in typed("keys", "train").output.splitlines() if line.startswith("train.")]
    assert "radius" in typed("keys", "robust.adversarial").output
    assert "partition" in typed("keys", "slurm").output
    everything = typed("keys").output
    assert all(f"\n{one.name}" in everything for one in by_file()["run"] if one.name)
    sections = json.loads(typed("keys", "runtime", "--json").output)["sections"]
    assert {"key", "value", "default", "about"} == set(sections[0]["keys"][0])
    wrong = typed("keys", "trian.batch_size")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith(
        "xdist: unknown section or key 'trian.batch_size': did you mean 'train.batch_size'? (valid: "
    )
    assert len(wrong.stderr) < 400


def commands(group: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            if inner := group.get_command(context, name):
                yield from commands(inner, (*words, name))


def test_examples_of_help_work_after_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the package is: no checkout."""
    named = {name for _, command in commands(main) for name in re.findall(r"\bjobs/[\w/+.-]+\.yaml", command.help or "")}
    assert len(named) > 4
    monkeypatch.chdir(tmp_path)
    for name in sorted(named):
        assert typed("init", name).exit_code == 0, name
        load = {"runs": load_run, "studies": load_study, "clusters": load_cluster}[Path(name).parts[1]]
        load(Path(name))


def test_what_is_there_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(shipped_files()) <= set(typed("init").output.split())
    assert typed("init", "studies/demo").output.split() == [
        "jobs/studies/demo.yaml",
        "jobs/runs/demo/intermediate.yaml",
        "jobs/runs/demo/target.yaml",
    ]
    Path("jobs/runs/demo/target.yaml").write_text("mine")
    assert "already exists" in typed("init", "demo/target").output
    brought = {"jobs/runs/sib200.yaml", "jobs/runs/xtreme-r/copa.yaml"}
    assert brought <= set(typed("init", "suites/sib200", "suites/xtreme-r").output.split())  # what their recipes name
    assert "jobs/runs/xtreme-r/xnli.yaml already exists" in typed("init", "studies/encoders").output  # named by an axis
    studies = Path("jobs/studies")
    for study, programs in {
        "answer-pairs": {"answer_data.py", "same_topic.py"},
        "xtreme-r-small": {"xtreme_r_small_data.py", "intermediate_small_data.py"},  # the one imports the other
    }.items():
        assert set(typed("init", f"studies/{study}").output.split()) == {
            str(studies / name) for name in (f"{study}.yaml", *programs)
        }
    assert Path("jobs/runs/demo/target.yaml").read_text() == "mine"
    assert "did you mean 'runs/demo/target'?" in typed("init", "runs/demo/tarjet").stderr
    assert typed("init", "--all").exit_code == 0
    assert len(list(Path("jobs").rglob("*.yaml"))) == len(shipped_files())


def completed(*words: str) -> list[str]:
    *before, last = words
    found = ShellComplete(main, {}, "xdist", "_XDIST_COMPLETE").get_completions(list(before), last)
    return [item.value for item in found]


@pytest.mark.parametrize("command", ["train", "evaluate", "prepare", "plan", "submit", "fetch", "tune", "benchmark"])
def test_a_shell_completes_keys_of_a_run(command: str) -> None:
    assert completed(command, "run.yaml", "train.batch") == ["train.batch_size=32"]
    assert completed(command, "run.yaml", "train.select.b") == ["train.select.by=score", "train.select.by=loss"]


def test_a_shell_completes_commands_and_keys_of_a_study() -> None:
    assert {"study", "status", "submit", "score"} <= {word for word in completed("s") if word[0] == "s"}
    assert "plan" in completed("study", "")
    assert completed("study", "run", "study.yaml", "see") == ["seeds=[1]"]
    assert "robust.radius=" in " ".join(completed("train", "run.yaml", "robust.ra"))
    assert completed("train", "run.yaml", "train.tasks.0.li") == ["train.tasks.0.limit="]
