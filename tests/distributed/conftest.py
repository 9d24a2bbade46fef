"""One rank and two ranks, each a process group for all tests of this folder, and a small run for them to work on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from distributed.group import Group
from tiny import tiny_benchmark, tiny_model


@pytest.fixture(scope="session")
def one() -> Iterator[Group]:
    group = Group(1)
    yield group
    group.close()


@pytest.fixture(scope="session")
def two() -> Iterator[Group]:
    group = Group(2)
    yield group
    group.close()


@pytest.fixture
def three() -> Iterator[Group]:
    """For what only an odd number of ranks shows."""
    group = Group(3)
    yield group
    group.close()


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a two-layer encoder without dropout on two tasks of different heads."""
    folder = tmp_path_factory.mktemp("small")
    tiny_benchmark(folder / "benchmark")
    run = {
        "name": "small",
        "folder": str(folder / "run"),
        "model": {"backbone": str(tiny_model(folder / "encoder", folder / "benchmark")), "dropout": 0.0},
        "data": {"root": str(folder / "benchmark"), "cache": str(folder / "prepared")},
        "train": {
            "tasks": [{"task": "cldr-topic", "languages": ["en", "de"]}],
            "steps": 10,
            "batch_size": 12,
            "learning_rate": 1e-3,
            "warmup": 2,
            "weight_decay": 0.01,
        },
        "runtime": {"deepspeed": "zero0"},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path
