"""What only plans or looks starts at once: it imports no torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pages import shown
from tiny import tiny_benchmark, tiny_model

ROOT = Path(__file__).resolve().parents[2]
HERE = "data.root=DATA data.cache=DATA model.backbone=ENCODER evaluate.layer=2"
LOOKS = (
    "tasks",
    "tasks --data .",
    "tasks --plugin tests/third_party/task.py --plugin FAMILY",
    "plan xl --gpus 8 --gpu-memory 80 --peak 989",
    "plan jobs/runs/xtreme-r/xnli.yaml --gpus 4 --gpu-memory 40 --peak 312",
    "plan jobs/runs/xtreme-r/xnli.yaml --gpus 4 --gpu-memory 40 plugins=[tests/third_party/fading.py] robust.method=fading "
    "robust.sizes=sizes.txt",
    "study plan jobs/studies/robust-pawsx.yaml --gpus 4 --gpu-memory 40 --peak 312",
    "study status jobs/studies/robust-pawsx.yaml",
    "study submit jobs/studies/robust-pawsx.yaml --cluster jobs/clusters/slurm.yaml --dry-run --set data=remote",
    "submit jobs/runs/intermediate/english.yaml --cluster jobs/clusters/slurm.yaml --set data=remote --dry-run evaluate=null",
    f"submit jobs/runs/demo/target.yaml --cluster jobs/clusters/slurm.yaml --dry-run {HERE}",
    f"train jobs/runs/demo/target.yaml --dry-run {HERE} runtime.ranks=1",
    "monitor --help",
    "tasks --tasks DATA/own.yaml",
    "tasks check DATA --tasks DATA/own.yaml --task own",
    "tasks inspect DATA/own-sw.csv",
)
SCRIPT = """
import json, sys
from click.testing import CliRunner
from xdist.cli import main
for line in json.loads(sys.argv[1]):
    words = line
    for word, place in zip(("DATA", "ENCODER", "FAMILY"), sys.argv[2:], strict=True):
        words = words.replace(word, place)
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 0, (line, result.output, result.exc_info)
    heavy = {"torch", "transformers", "deepspeed", "scipy.stats"} | ({"datasets"} if line.startswith("tasks --") else set())
    print(json.dumps([line, sorted(heavy & set(sys.modules))]))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Which heavy libraries were imported after each command, one process doing them all."""
    folder = tmp_path_factory.mktemp("looks")
    tiny_model(folder / "encoder", tiny_benchmark(folder / "data"))
    (folder / "ordered.py").write_text(dict(shown(ROOT / "docs/how-to/own-task.md"))["ordered.py"])
    (folder / "data/own-sw.csv").write_text("text,label\nhabari,good\nmvua,bad\n")
    own = {"family": "classification", "languages": ["sw"], "files": {"train": "own-{language}.csv"}, "texts": 1}
    (folder / "data/own.yaml").write_text(json.dumps({"tasks": {"own": own}}))
    places = [str(folder / name) for name in ("data", "encoder", "ordered.py")]
    words = [sys.executable, "-c", SCRIPT, json.dumps(LOOKS), *places]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("line", LOOKS)
def test_looking_imports_no_torch(imported: dict[str, list[str]], line: str) -> None:
    assert imported[line] == []
