"""Do two checkouts of xdist give the same results? Every run YAML of jobs/ whose tasks have tiny data here is trained for 20
steps (two ranks) and scored by both, a report of two runs is made, and the job of each shipped cluster is rendered.

    python benchmarks/same_results.py --before CHECKOUT --after CHECKOUT [--only NAME …] [--out FOLDER]

Prints a line for each difference: losses and gradient norms of all steps, bytes of predictions, numbers of scores.json and
report.json, texts of jobs. The last line is one JSON object: `runs`, `losses`, `predictions`, `numbers`, `texts` (how many were
compared), `different`. Both sides need the packages of this Python.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE), str(HERE / "tests")]
STEPS = 20
TINY = ["xnli", "pawsx", "udpos", "panx", "squad", "tydiqa", "siqa", "copa", "lareqa", "mewslix"]
RUNS = [
    *(f"xtreme-r/{name}" for name in TINY),
    "intermediate/english",
    "intermediate/multilingual+mlm",
    "demo/intermediate",
    "demo/target",
    "tatoeba-zero",
]
# What a run YAML needs that tiny data have not: languages, tasks.
OVERRIDES = {
    "intermediate/english": ["train.tasks=[{task: squad},{task: siqa}]"],
    "intermediate/multilingual+mlm": ["train.tasks=[{task: squad},{task: cldr-topic, languages: [en, de]}]"],
    "demo/intermediate": ["train.tasks=[{task: cldr-topic, languages: [en, de]}]"],
}
CLUSTERS = ("slurm", "kubernetes", "hosts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, help="left out: only the runs of --before are made, for a later comparison")
    parser.add_argument("--only", nargs="*", default=RUNS)
    parser.add_argument("--out", type=Path, default=Path("runs/same-results"))
    asked = parser.parse_args()
    out = asked.out.absolute()
    data, encoder = benchmark(out)
    checkouts = {"before": asked.before, "after": asked.after}
    sides = {name: Side(place.resolve(), out / name, data, encoder) for name, place in checkouts.items() if place}
    counts = dict.fromkeys(("runs", "losses", "predictions", "numbers", "texts"), 0)
    different = 0
    for name in asked.only:
        found = {side: dict(sides[side].results(name)) for side in sides}
        counts["runs"] += 1
        if asked.after is None:
            continue
        different += compared(name, found["before"], found["after"], counts)
    if asked.after and len(asked.only) > 1:
        reports = {side: {"report": sides[side].report(asked.only[:2])} for side in sides}
        different += compared("report", reports["before"], reports["after"], counts)
    print(json.dumps({**counts, "different": different}))


class Side:
    """One checkout, and the folder that its runs are in."""

    def __init__(self, checkout: Path, folder: Path, data: Path, encoder: Path) -> None:
        self.checkout, self.folder, self.data, self.encoder = checkout, folder, data, encoder
        folder.mkdir(parents=True, exist_ok=True)

    def xdist(self, *words: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(self.checkout), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "xdist.cli", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and not fails:
            raise SystemExit(f"{self.checkout}: xdist {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def results(self, name: str) -> Iterator[tuple[str, Any]]:
        """(what, value) of everything that a run leaves behind and that must not change."""
        path, folder = self.checkout / "jobs" / "runs" / f"{name}.yaml", f"runs/{name}"
        run = yaml.safe_load(path.read_text(encoding="utf-8"))
        words = [f"folder={folder}", f"data.root={self.data}", "data.cache=prepared", "runtime.ranks=2", "runtime.log_every=1"]
        words += [f"model.backbone={self.encoder}", *OVERRIDES.get(name, [])]
        words += [f"train.steps={STEPS}", "train.epochs=null", "train.batch_size=8"] if "train" in run else ["evaluate.layer=2"]
        if run.get("train", {}).get("select"):
            words.append("train.select.every=10")
        if run.get("evaluate", {}).get("layer"):
            words.append("evaluate.layer=1")
        for cluster in CLUSTERS:
            job = self.xdist(
                "submit",
                str(path),
                "--cluster",
                str(self.checkout / "jobs" / "clusters" / f"{cluster}.yaml"),
                "--dry-run",
                *words,
                fails=True,
            )
            yield f"text {cluster}", self.plain(job.stdout)
        self.xdist("train" if "train" in run else "evaluate", str(path), *words)
        where = self.folder / folder
        metrics = where / "metrics.jsonl"
        for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else ():
            values = json.loads(line)
            for key in ("train/loss", "train/grad_norm", "dev/value"):
                if key in values:
                    yield f"loss {key} {values['step']}", values[key]
        for file in sorted((where / "predictions").rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                yield f"prediction {file.relative_to(where)}", file.read_bytes()
        yield from numbers("number scores.json", json.loads((where / "scores.json").read_text(encoding="utf-8"))["tasks"])

    def report(self, names: list[str]) -> Any:
        self.xdist("report", *(f"runs/{name}" for name in names), "--out", "report")
        return dict(
            numbers("number report.json", json.loads((self.folder / "report" / "report.json").read_text(encoding="utf-8")))
        )

    def plain(self, text: str) -> str:
        """Without what differs between two folders of the same content."""
        text = text.replace(str(self.checkout), "CHECKOUT").replace(str(self.folder), "FOLDER")
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "TIME", text)


def numbers(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(path, number) of every number in a JSON value, except for times."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not re.search(r"seconds|hours|time|date|per_second", key):
                yield from numbers(f"{name}.{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from numbers(f"{name}.{index}", inner)
    elif isinstance(value, (int, float)):
        yield name, value


def compared(name: str, before: dict[str, Any], after: dict[str, Any], counts: dict[str, int]) -> int:
    """Prints each difference; how many there are."""
    if name == "report":
        before, after = before["report"], after["report"]
    wrong = 0
    for key in before:  # what a version says beyond that is no change
        kind = {"loss": "losses", "prediction": "predictions", "number": "numbers", "text": "texts"}[key.split()[0]]
        counts[kind] += 1
        one, other = before.get(key), after.get(key)
        if one != other:
            wrong += 1
            shown = (f"{one!r:.100}", f"{other!r:.100}") if kind != "texts" else ("", difference(one or "", other or ""))
            print(f"{name}: {key}: {shown[0]} -> {shown[1]}", flush=True)
    print(f"{name}: {len(before)} values, {wrong} different", flush=True)
    return wrong


def difference(one: str, other: str) -> str:
    import difflib

    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=0)
    return "\n    " + "\n    ".join(list(lines)[2:12])


def benchmark(out: Path) -> tuple[Path, Path]:
    """Tiny files of every family that the runs need, gold in place, and a tiny encoder; made once."""
    from tiny import tiny_model
    from tiny_families import tiny_families
    from tiny_retrieval import tiny_retrieval

    root = out / "benchmark"
    if not root.is_dir():
        tiny_families(root)
        tiny_retrieval(out)
        more(root)
    encoder = out / "encoder"
    if not (encoder / "config.json").is_file():
        tiny_model(encoder, root)
    return root, encoder


def more(root: Path) -> None:
    """What no test needs: dev sets of the tasks that choose their best model on dev, WikiANN, PAWS-X and TyDiQA."""
    for name in ("panx", "pawsx"):
        (root / name).mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        for code in ("en", "de"):
            words = (root / f"cldr-spans/{split}-{code}.tsv").read_text(encoding="utf-8")
            for old, new in (("LNG", "PER"), ("CUR", "ORG"), ("B-DAT", "O")):
                words = words.replace(old, new)
            (root / f"panx/{split}-{code}.tsv").write_text(words, encoding="utf-8")
            rows = (root / f"cldr-topic/{split}-{code}.tsv").read_text(encoding="utf-8").splitlines()
            pairs = [
                f"{a.split(chr(9))[0]}\t{b.split(chr(9))[0]}\t{number % 2}" for number, (a, b) in enumerate(pairwise(rows))
            ]
            (root / f"pawsx/{split}-{code}.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    for task in ("udpos", "xnli"):
        train = root / f"{task}/train-en.tsv"
        (root / f"{task}/dev-en.tsv").write_bytes(train.read_bytes())
    (root / "siqa/socialIQa_v1.4_tst.jsonl").write_bytes((root / "siqa/socialIQa_v1.4_dev.jsonl").read_bytes())
    tydiqa = root / "tydiqa"
    for folder, name, source in (
        ("tydiqa-goldp-v1.1-train", "tydiqa.goldp.en.train.json", "squad/train-v1.1.json"),
        ("tydiqa-goldp-v1.1-dev", "tydiqa.goldp.en.dev.json", "xquad/xquad.en.json"),
        ("tydiqa-goldp-v1.1-dev", "tydiqa.goldp.sw.dev.json", "xquad/xquad.de.json"),
    ):
        (tydiqa / folder).mkdir(parents=True, exist_ok=True)
        (tydiqa / folder / name).write_bytes((root / source).read_bytes())


if __name__ == "__main__":
    main()
