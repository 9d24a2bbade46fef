"""A study that cannot begin says so once."""

from pathlib import Path

import pytest
from study_folder import described, gold

from xdist.config import load_study
from xdist.errors import UserError
from xdist.study import Facts, expand
from xdist.study.running import run_study


def test_a_study_without_any_data_starts_nothing(tmp_path: Path) -> None:
    study = load_study(described(tmp_path, tmp_path / "nowhere"))
    facts = Facts()
    with pytest.raises(UserError) as error:
        run_study(expand(study, facts), facts)
    assert str(error.value) == (
        f"{tmp_path / 'study.yaml'}: none of the 10 runs can begin: files to train on are missing, "
        f"such as {tmp_path / 'nowhere/cldr-topic/train-en.tsv'}"
    )
    assert not (tmp_path / "out").exists()


def test_nor_does_one_whose_first_runs_lack_files(tmp_path: Path) -> None:
    """The files of the runs after them, which would be blocked, exist."""
    root = gold(tmp_path / "data")
    (root / "cldr-topic/train-sw.tsv").unlink()
    study = load_study(described(tmp_path, root), ["include=[{intermediate: multilingual}]"])
    facts = Facts()
    with pytest.raises(UserError, match=r"none of the 6 runs can begin: .*train-sw\.tsv"):
        run_study(expand(study, facts), facts)


def test_where_some_runs_have_data_these_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = gold(tmp_path / "data")
    (root / "cldr-topic/train-sw.tsv").unlink()  # the intermediate runs need it
    nowhere = tmp_path / "encoder"
    overrides = [f"stages.{stage}.run.model.backbone={nowhere}" for stage in ("intermediate", "target")]
    study = load_study(described(tmp_path, root, seeds=1), overrides)
    facts = Facts()
    assert run_study(expand(study, facts), facts) == 1
    assert f"xdist: target-none-none-s1: {nowhere}: no such folder (model.backbone)" in capsys.readouterr().err
