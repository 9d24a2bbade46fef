"""The wording of an unknown name."""

import pytest
from click.testing import CliRunner

from xdist.cli import main
from xdist.errors import unknown


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
    assert "unknown command 'trian': did you mean 'train'? (valid: checkpoint, compare, " in done.output


def test_a_name_is_proposed_once() -> None:
    assert unknown("model", "x", ("demo", "demo")) == "unknown model 'x': (valid: demo)"
