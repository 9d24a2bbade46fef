"""A run that continues with other ranks or another ZeRO stage than it was saved with."""

import json
from pathlib import Path

import pytest
import torch
from distributed.group import Group

from xdist.checkpoint import tags
from xdist.checkpoint.resharding import read_saved
from xdist.private import MOMENTS, WEIGHT

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


@pytest.mark.parametrize("stages", [(0, 2, 0), (2, 3, 0), (1, 0, 3), (0, 1, 2)])
def test_bf16_is_carried_to_the_bit(one: Group, two: Group, small_run: Path, tmp_path: Path, stages: tuple[int, ...]) -> None:
    """fp32 weights and moments from two ranks to one and on to two again, through three stages."""
    run = tmp_path / "run"
    bf16 = "runtime.precision=bf16"
    assert not two.run("whole_run", path=str(small_run), overrides=options(run, stages[0], bf16), stop_at=1)[0]["finished"]
    places = [run / "checkpoints", tmp_path / "second", tmp_path / "third"]
    for group, stage, source, target in ((one, stages[1], *places[:2]), (two, stages[2], *places[1:])):
        differ = group.run(
            "carry_cases.carried",
            path=str(small_run),
            overrides=options(run, stage, bf16),
            source=str(source),
            target=str(target),
        )
        assert differ[0] == []
    first, *others = (read_saved(tags.list_tags(place)[-1]) for place in places)
    for other in others:
        assert other.updates == first.updates
        assert other.parameters.keys() == first.parameters.keys()
        for name, parameter in first.parameters.items():
            for key in (WEIGHT, *MOMENTS):
                assert torch.equal(other.parameters[name].whole(key), parameter.whole(key)), (name, key)
