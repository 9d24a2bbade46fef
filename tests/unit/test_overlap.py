"""What one task has trained another does not test: where sets hold the same sentences, that is reported."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tiny import tiny_benchmark, tiny_model

from xdist.cli import main
from xdist.evaluation.overlap import overlaps
from xdist.model.lineage import Lineage, PastTraining, TrainedTask
from xdist.tasks.catalog import TASKS, task

TOPICS = ("travel", "sports")


def trained_on(*names: str) -> Lineage:
    return tuple(
        PastTraining(run=name, tasks=(TrainedTask(task=name, head=name, languages=("en",)),), description={}) for name in names
    )


@pytest.mark.parametrize(
    "trained, scored, expected",
    [
        (("sib200",), ("flores200", "belebele"), {"flores200": "sib200", "belebele": "sib200"}),
        (("sib200",), ("sib200", "ntrex", "xnli", "wikiann"), {}),  # its own test set has other sentences
        (("mlm", "ntrex-tlm", "bible"), ("ntrex", "bible-verses"), {"ntrex": "ntrex-tlm", "bible-verses": "bible"}),
        (("masakhaner2", "masakhaner"), ("masakhaner",), {"masakhaner": "masakhaner2"}),
        (("nobodys", "xnli"), ("afrixnli", "xnli"), {}),
        ((), tuple(name for name, one in TASKS.ours().items() if one.scorable), {}),
    ],
)
def test_a_line_for_each_task(trained: tuple[str, ...], scored: tuple[str, ...], expected: dict[str, str]) -> None:
    lines = overlaps(trained_on(*trained), [task(name) for name in scored for _ in "ab"])
    assert lines == [
        f"{name}: the model was trained on {other}, which has some of the same sentences ({task(name).shares})"
        for name, other in expected.items()
    ]


def test_the_check_tells_it(tmp_path: Path) -> None:
    root = tiny_benchmark(tmp_path / "benchmark")
    backbone = tiny_model(tmp_path / "encoder", root)
    for split in ("train", "dev", "test"):
        path = root / f"sib200/eng_Latn/{split}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{n}\t{TOPICS[n % 2]}\tsentence {n}\n" for n in range(6))
        path.write_text(f"index_id\tcategory\ttext\n{rows}")
    for code in ("eng_Latn", "yor_Latn"):
        path = root / f"flores200_dataset/devtest/{code}.devtest"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one\ntwo\n")
    run = {
        "name": "shared",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(backbone)},
        "data": {"root": str(root)},
        "train": {"tasks": [{"task": "sib200", "languages": ["eng_Latn"]}], "steps": 1},
        "evaluate": {"tasks": ["sib200", "flores200"]},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    done = CliRunner().invoke(main, ["train", str(tmp_path / "run.yaml"), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "evaluate on   sib200 in 1 languages, flores200 in 1 languages" in done.output
    (line,) = [line.strip() for line in done.output.splitlines() if "same sentences" in line]
    assert line == "flores200: the model was trained on sib200, which has some of the same sentences (FLORES-200)"
