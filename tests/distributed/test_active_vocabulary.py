"""Training only the rows of the embedding that the data uses exports what training the complete table exports."""

from pathlib import Path

import pytest
import torch
from distributed.group import Group
from safetensors.torch import load_file

from xdist.checkpoint import tags
from xdist.checkpoint.resharding import read_saved
from xdist.config import load_run
from xdist.export import weights
from xdist.private import WEIGHT
from xdist.run.folder import RunFolder

NAME = "embeddings.word_embeddings.weight"
PLAIN = ["train.steps=6", "train.weight_decay=0", "evaluate={tasks: [cldr-topic, cldr-names]}"]


def options(folder: Path, stage: int, vocabulary: str = "active", *more: str) -> list[str]:
    config = Path(__file__).with_name("ds_configs") / f"zero{stage}.json"
    return [*PLAIN, f"folder={folder}", f"runtime.deepspeed={config}", f"model.vocabulary={vocabulary}", *more]


def assert_same_model(found: Path, expected: Path) -> None:
    for file in ("model.safetensors", "heads.safetensors"):
        ours, theirs = load_file(found / "model" / file), load_file(expected / "model" / file)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def whole(two: Group, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trains the complete table, at ZeRO 2 on two ranks."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert two.run("whole_run", path=str(small_run), overrides=options(folder, 2, "full"))[0]["finished"]
    return folder


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_the_model_is_that_of_the_whole_table(two: Group, small_run: Path, tmp_path: Path, whole: Path, stage: int) -> None:
    folder = tmp_path / "run"
    assert two.run("whole_run", path=str(small_run), overrides=options(folder, stage))[0]["finished"]
    assert_same_model(folder, whole)
    tag = tags.list_tags(folder / "checkpoints")[-1]
    saved, table = read_saved(tag).parameters[f"encoder.{NAME}"], load_file(folder / "model/model.safetensors")[NAME]
    assert saved.shape[0] < len(table)
    assert sum(path.stat().st_size for path in tag.path.iterdir()) < sum(
        path.stat().st_size for path in tags.list_tags(whole / "checkpoints")[-1].path.iterdir()
    )
    exported = weights.of_tag(tag, load_run(RunFolder(folder).config).model)
    assert torch.equal(exported[f"encoder.{NAME}"], table)
    assert len(saved.whole(WEIGHT)) == saved.shape[0]


def test_it_goes_on_at_other_ranks_and_stages_and_keeps_the_best(
    one: Group, two: Group, small_run: Path, tmp_path: Path
) -> None:
    best = ["train.select={every: 2, by: loss, languages: [sw]}"]
    expected, folder = tmp_path / "expected", tmp_path / "run"
    assert two.run("whole_run", path=str(small_run), overrides=options(expected, 2, "full", *best))[0]["finished"]
    for group, stage, stop in ((two, 2, 1), (one, 3, 3), (two, 0, None)):
        done = group.run("whole_run", path=str(small_run), overrides=options(folder, stage, "active", *best), stop_at=stop)
        assert done[0]["finished"] == (stop is None)
    assert_same_model(folder, expected)


def test_a_checkpoint_of_other_rows_is_refused(two: Group, small_run: Path, tmp_path: Path) -> None:
    """As of a run that was started before there was an active vocabulary."""
    folder = tmp_path / "run"
    two.run("whole_run", path=str(small_run), overrides=options(folder, 2, "full"), stop_at=1)
    config = RunFolder(folder).config
    config.write_text(config.read_text().replace("vocabulary: full", "vocabulary: active"))
    with pytest.raises(AssertionError, match=r"training all rows of the input embedding, this run trains \d+:"):
        two.run("whole_run", path=str(small_run), overrides=options(folder, 2))
