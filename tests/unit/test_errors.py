"""The wording of an unknown name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from xdist.cli import main
from xdist.errors import RunError, UserError, unknown


@pytest.mark.parametrize(
    "name, valid, expected",
    [
        ("xnlj", ("xnli", "pawsx"), "unknown task 'xnlj': did you mean 'xnli'? (valid: pawsx, xnli)"),
        ("sv", ("vi", "sw"), "unknown task 'sv': did you mean 'sw'? (valid: sw, vi)"),  # of equals, the same first letter
        ("zzzz", ("xnli", "pawsx"), "unknown task 'zzzz': (valid: pawsx, xnli)"),
        (3, (1, 2), "unknown task '3': (valid: 1, 2)"),
    ],
)
def test_unknown(name: object, valid: tuple[object, ...], expected: str) -> None:
    assert unknown("task", name, valid) == expected


def test_a_command_that_is_not_there() -> None:
    done = CliRunner().invoke(main, ["trian", "run.yaml"])
    assert done.exit_code == 2
    assert "unknown command 'trian': did you mean 'train'? (valid: align, benchmark, " in done.output


def test_a_name_is_proposed_once() -> None:
    assert unknown("model", "x", ("demo", "demo")) == "unknown model 'x': (valid: demo)"


@pytest.mark.parametrize("kind", [UserError, RunError])
@pytest.mark.parametrize(
    "said, shown",
    [
        ("a: \x1b[31mred\x07", r"a: \x1b[31mred\x07"),
        ("two\nlines\r\nand\x85more\u2028.\n", r"two\nlines\r\nand\x85more\u2028."),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("half \udc80", r"half \udc80"),
        ("été 日本 पढ़ना می‌خواهم", "été 日本 पढ़ना می‌خواهم"),
        ("x" * 1000, f"{'x' * 150}…{'x' * 100}"),
        ("a " * 5000, None),
        ("\n" * 5000, None),
    ],
)
def test_a_message_is_one_line_of_bounded_length(kind: type[Exception], said: str, shown: str | None) -> None:
    found = str(kind(said))
    assert shown is None or found == shown
    assert len(found) <= 2000
    assert len(found.splitlines()) == 1
    assert str(kind(found)) == found  # repeated by other ranks


def test_a_long_name_is_cut_and_not_compared_for_minutes() -> None:
    assert unknown("task", "x" * 100_000, ("xnli",)) == f"unknown task '{'x' * 120}…': (valid: xnli)"


def test_what_was_typed_is_told_in_a_form_that_no_terminal_obeys() -> None:
    for words in (["train", "--\x1b[31m", "run.yaml"], ["tr\x1b[31m"], ["train", "run\x1b[31m.yaml"], ["train", "x\ny.yaml"]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2
        assert "\x1b" not in done.output
        assert len([line for line in done.output.splitlines() if line and not line.startswith(("Usage", "Try"))]) == 1


def test_paths_behind_options_have_what_tilde_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDIST_NOWHERE", raising=False)
    monkeypatch.chdir(tmp_path)
    for words, says in (
        (["train", "~/run.yaml"], f"xdist: {tmp_path}/run.yaml: cannot be read: No such file or directory\n"),
        (["tasks", "check", "~/data"], f"xdist: {tmp_path}/data: no such folder\n"),
        (["report", "--out=$XDIST_NOWHERE/x"], "xdist: --out: '$XDIST_NOWHERE/x': the variable XDIST_NOWHERE is not set\n"),
    ):
        done = CliRunner().invoke(main, words)
        assert (done.exit_code, done.output) == (2, says)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_a_terminal_that_lacks_letters_shows_others(encoding: str) -> None:
    words = [sys.executable, "-m", "xdist.cli", "tasks"]
    done = subprocess.run(words, env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, check=True)
    assert "xnli" in done.stdout.decode(encoding)
