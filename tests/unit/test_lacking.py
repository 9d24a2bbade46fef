"""What the machine does not give is a line that says where, and no error of the user."""

import errno
import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from xdist import cli
from xdist.errors import not_given
from xdist.run import lacking


def full(name: str | None = None) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)


@pytest.mark.parametrize(
    "error, line",
    [
        (full("runs/a/model"), "runs/a/model: No space left on device"),
        (full(), "No space left on device"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), os.strerror(errno.EDQUOT)),
        (RuntimeError("Error: I/O error: No space left on device (os error 28)\nat x"), None),  # as safetensors says it
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "runs"), ""),
        (BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), ""),
        (ValueError("odd"), ""),
    ],
)
def test_which_errors_are_of_the_machine(error: Exception, line: str | None) -> None:
    assert not_given(error) == (str(error).splitlines()[0] if line is None else line)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GB"),
    ],
)
def test_memory_that_is_short_outside_a_step_says_while_what(error: Exception) -> None:
    assert lacking.reason(error).startswith(
        "rank 0 ran out of memory while preparing, loading or training; try fewer runtime.ranks"
    )
    with pytest.raises(type(error)), lacking.doing(lacking.EVALUATING):
        raise error
    try:
        assert lacking.reason(error) == "rank 0 ran out of memory while evaluating; try a smaller runtime.eval_batch_tokens"
    finally:
        lacking._doing = lacking.LOADING


def test_a_full_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lacking, "places", {"the run folder": Path("/proc"), "prepared rows": tmp_path / "not there"})
    line = lacking.reason(full())
    assert line.startswith("rank 0 could not continue while preparing, loading or training: No space left on device; ")
    assert "no room in /proc (the run folder)" in line  # which has none, ever
    assert "not there" not in line
    assert line.endswith("; make room, then start the run again")
    assert lacking.reason(ValueError("odd")) == ""


def test_a_command_without_room_is_one_line_and_no_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    from xdist.cli import tasks

    def breaks(*_: object, **__: object) -> None:
        raise full("report/report.html")

    monkeypatch.setattr(tasks.command, "callback", breaks)
    done = CliRunner().invoke(cli.main, ["tasks"])
    assert (done.exit_code, done.output) == (1, "xdist: report/report.html: No space left on device\n")
