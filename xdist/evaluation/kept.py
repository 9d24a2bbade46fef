"""What a task's evaluation that was stopped half-way has got so far: each rank's part in a file of the run folder's `.kept`.

Rows are known by their numbers, so what is kept serves only where the same would be predicted in the same batches: by the same
model with the same options from the same prepared rows, of which `made` is a digest. The number of ranks may be another.
"""

import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from xdist.files import written

Key = tuple[int, int]  # (set number, row in that set)
Arrays = Mapping[Key, np.ndarray]
BatchCost = tuple[int, float]  # forward passes and seconds, where they are counted


def write_kept(folder: Path, task: str, rank: int, made: str, found: Arrays, cost: BatchCost = (0, 0.0)) -> None:
    """Write what this rank has and what it took; arrays of one kind and number of dimensions are stored end to end. Raises
    OSError."""
    kinds: dict[tuple[str, int], list[Key]] = {}
    for key, value in found.items():
        kinds.setdefault((np.asarray(value).dtype.str, np.ndim(value)), []).append(key)
    columns: dict[str, np.ndarray] = {"made": np.array(made), "cost": np.array(cost, np.float64)}
    for number, ((_, dimensions), keys) in enumerate(kinds.items()):
        columns[f"keys{number}"] = np.array(keys, np.int64)
        columns[f"shapes{number}"] = np.array([np.shape(found[key]) for key in keys], np.int64).reshape(len(keys), dimensions)
        columns[f"values{number}"] = np.concatenate([np.ravel(found[key]) for key in keys])
    with written(folder / f"{task}-{rank}.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **columns)


def read_kept(folder: Path, task: str, made: str) -> tuple[dict[Key, np.ndarray], BatchCost]:
    """What all ranks of an earlier start have kept of the task, and what it took; nothing where it was made of anything else
    or is damaged."""
    found: dict[Key, np.ndarray] = {}
    passes, seconds = 0, 0.0
    for path in sorted(folder.glob(f"{task}-*.npz")):
        try:
            with np.load(path, allow_pickle=False) as columns:
                if str(columns["made"]) == made:
                    rows, cost = dict(_rows(dict(columns))), columns["cost"]
                    passes, seconds = passes + int(cost[0]), seconds + float(cost[1])
                    found.update(rows)
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
            continue
    return found, (passes, seconds)


def drop_other_ranks(folder: Path, task: str, ranks: int) -> None:
    """All that was kept is in the files of this many ranks now: those of an earlier start on more ranks are dropped."""
    names = {f"{task}-{rank}.npz" for rank in range(ranks)}
    for path in folder.glob(f"{task}-*.npz"):
        if path.name not in names:
            path.unlink(missing_ok=True)


def remove_kept(folder: Path, task: str) -> None:
    """The task is done."""
    for path in folder.glob(f"{task}-*.npz"):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def _rows(columns: Mapping[str, np.ndarray]) -> Iterator[tuple[Key, np.ndarray]]:
    for number in range((len(columns) - 2) // 3):
        keys, shapes, values = (columns[f"{name}{number}"] for name in ("keys", "shapes", "values"))
        sizes = shapes.prod(1, dtype=np.int64)
        if len(keys) != len(shapes) or sizes.sum() != len(values):
            raise ValueError("cut")
        parts: Iterable[np.ndarray] = np.split(values, np.cumsum(sizes)[:-1])
        for (place, row), shape, part in zip(keys.tolist(), shapes.tolist(), parts, strict=True):
            yield (place, row), part.reshape(shape)
