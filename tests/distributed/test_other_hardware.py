"""A run that goes on with other ranks or another ZeRO stage than it was saved with."""

import json
from pathlib import Path

import pytest
from distributed.group import Group

# From every stage to every other, and between one rank and two at each.
MOVES = [
    ((2, 1), (1, 2)),
    ((1, 2), (2, 2)),
    ((1, 1), (2, 3)),
    ((2, 3), (1, 3)),
    ((1, 3), (2, 3)),
    ((2, 3), (2, 2)),
    ((2, 2), (2, 3)),
    ((2, 0), (1, 0)),
    ((2, 3), (1, 0)),
    ((1, 2), (2, 0)),
]


def options(folder: Path, stage: int, *more: str) -> list[str]:
    config = Path(__file__).with_name("ds_configs") / f"zero{stage}.json"
    options = ["train.steps=6", "runtime.log_every=1", "model.freeze_embeddings=true"]
    return [*options, f"folder={folder}", f"runtime.deepspeed={config}", *more]


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["train/loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def expected(two: Group, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert two.run("whole_run", path=str(small_run), overrides=options(folder, 2))[0]["finished"]
    return losses(folder)


@pytest.mark.parametrize("before, after", MOVES)
def test_the_losses_go_on(
    one: Group,
    two: Group,
    small_run: Path,
    tmp_path: Path,
    expected: list[float],
    before: tuple[int, int],
    after: tuple[int, int],
) -> None:
    groups = {1: one, 2: two}
    run = tmp_path / "run"
    stopped = groups[before[0]].run("whole_run", path=str(small_run), overrides=options(run, before[1]), stop_at=2)
    assert not stopped[0]["finished"]
    assert groups[after[0]].run("whole_run", path=str(small_run), overrides=options(run, after[1]))[0]["finished"]
    assert losses(run) == pytest.approx(expected, abs=1e-5)
