"""The wording of an unknown name."""

import pytest

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
