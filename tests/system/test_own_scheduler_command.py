"""A scheduler of the user in one file, which a cluster's YAML names: its jobs train for real."""

from pathlib import Path

import yaml
from lsf_cluster import LsfCluster
from pages import ROOT
from typing_of_commands import Typed

LSF = ROOT / "tests/third_party/lsf.py"


def test_own_scheduler_trains(loaded: Typed, small: Path, tmp_path: Path) -> None:
    cluster = LsfCluster(tmp_path / "commands")
    values = {"plugins": [str(LSF)], "kind": "lsf", "time_limit": "1h", "environment": {"DS_ACCELERATOR": "cpu"}}
    (tmp_path / "lsf.yaml").write_text(yaml.safe_dump(values))

    def own(*words: object) -> str:
        done = loaded("xdist", *words, cwd=tmp_path, more={"PATH": cluster.path, "COLUMNS": "200"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    line = ["submit", small / "intermediate.yaml", "--cluster", "lsf.yaml", "folder=run", "train.steps=2", "evaluate=null"]
    assert "submitted as job 101: run/job/job.lsf" in own(*line)
    cluster.turn()
    log = own("logs", "run", "--plugin", LSF)
    assert (tmp_path / "run" / "finished").exists(), log
    told = own("status", "run", "--plugin", LSF).split()
    assert {"finished", "101", "DONE", "2/2"} <= set(told)
    assert "is finished" in own(*line)
    # The folder names the file, and who looks at it does not execute it.
    assert str(LSF) in (tmp_path / "run/job/cluster.yaml").read_text()
    assert "scheduler 'lsf' is not installed here" in " ".join(own("status", "run").split())
