"""Every table: complete at 80 columns and into a pipe, of one look."""

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pages import json_keys, keys_of
from rich.cells import cell_len
from rich.console import Console
from rich.tree import Tree

from xdist.cli import main
from xdist.cli.task_shown import task_yaml
from xdist.config import load_run
from xdist.run.tables import Table, show_tree
from xdist.tasks.catalog import known_tasks

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=20)
CELLS = st.lists(st.tuples(WORDS, WORDS, st.lists(WORDS, max_size=12).map(" ".join)), min_size=1, max_size=5)


def lines(table: Table, width: int | None = None) -> list[str]:
    return [line.plain for line in table.lines(width)]


@given(CELLS, st.integers(10, 120))
def test_no_word_is_cut_or_broken_at_any_width(cells: list[tuple[str, str, str]], width: int) -> None:
    table = Table("run", ">number", "~why", "state")
    for name, number, why in cells:
        table.row(name, number, why, "finished")
    whole, narrow = lines(table), lines(table, width)
    assert len(whole) == 2 + len(cells)
    given = sorted(word for cell in cells for part in cell for word in part.split())
    shown = sorted(word for line in whole[2:] for word in line.split())
    assert shown == sorted([*given, *["finished"] * len(cells)])
    assert set(given) <= {word for line in narrow for word in line.split()}
    widest = max(cell_len(word) for cell in cells for part in cell for word in part.split())
    room = max(cell_len(name) for name, _, _ in [*cells, ("run", "", "")]) + 2 + max(24, widest, len("finished"))
    assert all(cell_len(line) <= max(width, room) for line in narrow)


def test_columns_that_do_not_fit_go_below_behind_the_name() -> None:
    table = Table("run", *(f">{n}" for n in range(20)), "empty", title="scores")
    table.row("a", *["12345"] * 20, "")
    table.section()
    table.row("mean", *["1"] * 20, "")
    assert max(map(len, lines(table, 40))) <= 40
    assert [line.split()[0] for line in lines(table, 40) if line and line[0] != "─"] == ["scores", *["run", "a", "mean"] * 4]
    assert "empty" not in "".join(lines(table))
    assert sum(line.startswith("─") for line in lines(table)) == 2
    with pytest.raises(ValueError, match="1 cells for 22 columns"):
        table.row("b")


def asked(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words], env={"COLUMNS": "80"})
    assert done.exit_code == code, done.output
    return done.stdout


def test_tasks_are_a_line_each_the_demos_last() -> None:
    shown = asked("tasks").splitlines()
    names = [line.split()[0] for line in shown[2:] if line[0] != "*"]
    assert sorted(names) == sorted(known_tasks())
    assert [name.startswith("cldr-") for name in names] == [False] * (len(names) - 3) + [True] * 3
    assert len(shown) < 120
    assert max(map(len, shown)) <= 80


def test_a_task_is_shown_with_all_that_is_known(shared_data: Path) -> None:
    shown = asked("tasks", "show", "xcopa", "--data", shared_data)
    for said in ("scored by accuracy", "CC BY 4.0", "arXiv 2005.00333", "xcopa/test-{language}", "there in 11 of 11", "500"):
        assert said in shown
    found = json.loads(asked("tasks", "show", "xcopa", "--data", shared_data, "--json"))
    assert found["files_there"]["test"] == {"languages": 11, "of": 11}
    assert keys_of(found) <= json_keys("tasks") | json_keys("tasks show")
    assert "did you mean 'xcopa'" in CliRunner().invoke(main, ["tasks", "show", "xcoppa"]).stderr


def scored_tasks() -> Iterator[str]:
    return (name for name, one in known_tasks().items() if one.files)


@pytest.mark.parametrize("name", scored_tasks())
def test_the_shown_yaml_is_a_run(name: str, tmp_path: Path) -> None:
    entry = known_tasks()[name]
    (tmp_path / "run.yaml").write_text("\n".join(task_yaml(entry, tmp_path)))
    run = load_run(tmp_path / "run.yaml")
    assert bool(run.evaluate) == entry.scorable
    trained = [one.task for one in run.train.tasks] if run.train else []
    assert trained == list(entry.trained_on or ([name] if "train" in entry.files else []))


def test_json_of_tasks() -> None:
    found = json.loads(asked("tasks", "--json"))
    assert keys_of(found) <= json_keys("tasks")
    assert {one["name"] for one in found["tasks"]} == set(known_tasks())
    assert [one["name"] for one in found["tasks"] if one["demo"]] == ["cldr-topic", "cldr-spans", "cldr-names"]


@pytest.mark.parametrize("width", [None, 80])
def test_no_branch_of_a_tree_is_cut(width: int | None) -> None:
    tree = Tree("study")
    tree.add("stage").add("target-large-multilingual-adversarial-retrieval-s3  62 updates, at most 254.0 k tokens, shared by 4")
    out = StringIO()
    show_tree(tree, Console(file=out, width=width, force_terminal=width is not None, color_system=None))
    lines = out.getvalue().splitlines()
    assert " ".join(word for line in lines for word in line.split() if word[0] not in "│└├─").endswith(
        "target-large-multilingual-adversarial-retrieval-s3 62 updates, at most 254.0 k tokens, shared by 4"
    )
    assert len(lines) == 3 if width is None else max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)
