"""A scheduler of one's own in one file: the file is run as `xdist` is, and its jobs train for real."""

import sys
from pathlib import Path

import lsf
import yaml
from lsf_cluster import LsfCluster
from typing_of_commands import Typed


def test_own_scheduler_trains(typed: Typed, small: Path, tmp_path: Path) -> None:
    cluster = LsfCluster(tmp_path / "commands")
    values = {"kind": "lsf", "time_limit": "1h", "environment": {"DS_ACCELERATOR": "cpu"}}
    (tmp_path / "lsf.yaml").write_text(yaml.safe_dump(values))

    def own(*words: object) -> str:
        done = typed(sys.executable, lsf.__file__, *words, cwd=tmp_path, more={"PATH": cluster.path, "COLUMNS": "200"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    line = ["submit", small / "intermediate.yaml", "--cluster", "lsf.yaml", "folder=run", "train.steps=2", "evaluate=null"]
    assert "submitted as job 101: run/job/job.lsf" in own(*line)
    cluster.turn()
    log = own("logs", "run")
    assert (tmp_path / "run" / "finished").exists(), log
    told = own("status", "run").split()
    assert {"finished", "101", "DONE", "2/2"} <= set(told)
    assert "is finished" in own(*line)
    done = typed("xdist", "status", "run", cwd=tmp_path, more={"COLUMNS": "200"})  # where nobody has registered it
    assert "unknown scheduler 'lsf'" in " ".join(done.stdout.split()), done.stderr
