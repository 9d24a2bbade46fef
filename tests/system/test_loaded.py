"""What the fixture `loaded` runs is what a user's start of the same command is."""

from pathlib import Path

import pytest
from typing_of_commands import Typed


@pytest.mark.parametrize("line", ["tasks", "keys train.learning_rate", "train nothing.yaml", "plan intermediate.yaml --tokens"])
def test_code_and_words_are_those_of_a_start(typed: Typed, loaded: Typed, small: Path, line: str) -> None:
    started, forked = (run("xdist", *line.split(), cwd=small) for run in (typed, loaded))
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)
    assert started.stdout or started.returncode == 2
