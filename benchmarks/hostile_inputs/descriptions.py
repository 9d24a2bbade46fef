"""YAML of runs, studies, clusters and tasks."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from hostile_inputs.changes import Change, inserted, other
from hostile_inputs.files import FileReader
from xdist.config import load_run, load_study
from xdist.files import shipped
from xdist.launch.clusters import load_cluster
from xdist.study import Facts, expand
from xdist.tasks.catalog import known_tasks

Values = dict[str, Any]


def bomb(letter: str, more: str) -> bytes:
    """Aliases of aliases, which stand for more values than there are atoms here."""
    lines = [f"b0: &b0 {more}"]
    lines += [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 12)]
    return ("\n".join(lines) + f"\n{letter}: *b11\n").encode()


def appended(text: str) -> Change:
    return lambda rng, raw: raw + text.encode()


YAML: dict[str, Change] = {
    "not UTF-8": inserted(b"\xff"),
    "a list": other(b"- a\n- b\n"),
    "a word": other(b"word\n"),
    "empty": other(b""),
    "an unknown key": appended("no_such_key: 1\n"),
    "a tab": appended("\tname: x\n"),
    "a bracket that is open": appended("more: [1, 2\n"),
    "a bomb of lists": other(bomb("name", "[x, x]")),
    "a bomb of mappings": other(bomb("name", "{x: 1, y: 2}")),
    "too deep": other(b"name: " + b"[" * 5000 + b"]" * 5000 + b"\n"),
    "too deep, mappings": other(b"name: " + b"{a: " * 3000 + b"1" + b"}" * 3000 + b"\n"),
    "an object of Python": appended("more: !!python/object/apply:os.system ['true']\n"),
    "a truth value that is none": other(b"name: !!bool maybe\n"),
    "a number that is none": other(b"seed: !!float ''\n"),
    "a point": other(b"seed: .\n"),
    "a dash that is a number": other(b"seed: !!int '-'\n"),
    "a time that is none": other(b"seed: !!timestamp foo\n"),
    "a list that holds itself": other(b"name: &x [*x]\n"),
    "a mapping that holds itself": other(b"x: &x {<<: *x}\n"),
    "an alias of nothing": other(b"name: *nothing\n"),
    "a key that is a list": other(b"? [a]\n: 1\n"),
    "a set of lists": other(b"x: !!set {? [a] : 1}\n"),
    "a merge of a number": other(b"<<: 3\n"),
    "a number of 5000 digits": other(b"seed: " + b"9" * 5000 + b"\n"),
    "two documents": appended("---\nname: other\n"),
    "NUL": inserted(b"\x00"),
}


def of_values(change: Callable[[Random, Values], object]) -> Change:
    def changed(rng: Random, raw: bytes) -> bytes:
        values = yaml.safe_load(raw)
        change(rng, values)
        return yaml.safe_dump(values, sort_keys=False).encode()

    return changed


def key_twice(rng: Random, raw: bytes) -> bytes:
    """The first line again at the end."""
    return raw + raw.split(b"\n", 1)[0] + b"\n"


def run_values(rng: Random) -> Values:
    train = {"tasks": [{"task": "xnli"}], "steps": rng.randint(1, 10**6), "batch_size": rng.randint(1, 64)}
    train["learning_rate"] = rng.choice([1e-5, 0.0003, 2e-3])
    robust = rng.choice([{"method": "none"}, {"method": "adversarial", "radius": rng.random() + 0.01}])
    return {
        "name": f"run-{rng.randrange(10**9)}",
        "folder": f"runs/{rng.randrange(10**9)}",
        "seed": rng.randrange(2**31),
        "model": {"backbone": "some/encoder"},
        "data": {"root": "download"},
        "train": train,
        "robust": robust,
        "evaluate": {"tasks": rng.sample(["xnli", "udpos", "xquad"], rng.randint(1, 3))},
    }


RUN: dict[str, Change] = {
    "a key twice": key_twice,
    "a name of other letters": of_values(lambda rng, one: one.update(name="a b\u202e")),
    "no name": of_values(lambda rng, one: one.pop("name")),
    "steps that are text": of_values(lambda rng, one: one["train"].update(steps="many")),
    "steps that are true": of_values(lambda rng, one: one["train"].update(steps=True)),
    "no steps": of_values(lambda rng, one: one["train"].update(steps=0)),
    "a rate below zero": of_values(lambda rng, one: one["train"].update(learning_rate=-1.0)),
    "a rate that is not finite": of_values(lambda rng, one: one["train"].update(learning_rate=float("nan"))),
    "no tasks": of_values(lambda rng, one: one["train"].update(tasks=[])),
    "an unknown method": of_values(lambda rng, one: one.update(robust={"method": "adverserial"})),
    "a method that is a list": of_values(lambda rng, one: one.update(robust={"method": ["none"]})),
    "a section that is a number": of_values(lambda rng, one: one.update(train=3)),
    "a seed with a fraction": of_values(lambda rng, one: one.update(seed=1.5)),
    "nothing to do": of_values(lambda rng, one: [one.pop(key) for key in ("train", "evaluate")]),
}


def described(
    name: str, file: str, make: Callable[[Random], Values], read: Callable[[Path], Any], faults: dict[str, Change]
) -> FileReader:
    def valid(rng: Random) -> tuple[dict[str, bytes], Callable[[Any], bool]]:
        return {file: yaml.safe_dump(make(rng), sort_keys=False).encode()}, lambda found: found is not None

    return FileReader(f"YAML, {name}", valid, lambda place: read(place / file), file, {**YAML, **faults})


def study_values(rng: Random) -> Values:
    run = run_values(rng)
    for key in ("name", "folder", "robust"):
        run.pop(key)
    values = {f"v{n}": {"target": {"train": {"steps": n + 1}}} for n in range(rng.randint(1, 4))}
    return {
        "name": "study",
        "folder": f"runs/{rng.randrange(10**9)}",
        "stages": {"target": {"run": run}},
        "axes": {"length": values},
    }


def expanded(path: Path) -> object:
    return expand(load_study(path), Facts())


def cluster_values(rng: Random) -> Values:
    found = yaml.safe_load(
        (shipped("jobs") / "clusters" / f"{rng.choice(['slurm', 'kubernetes', 'local', 'hosts'])}.yaml").read_text()
    )
    return dict(found)


def task_values(rng: Random) -> Values:
    files = {"train": "mine/train-{language}.tsv", "test": "mine/test-{language}.tsv"}
    one = {"family": "classification", "languages": ["sw", "en"], "files": files, "labels": ["politics", "sport"], "texts": 1}
    return {"tasks": {f"mine-{rng.randrange(10**6)}": one}}


def described_tasks(path: Path) -> object:
    """From its own folder: what was read from a path is remembered."""
    folder = Path(tempfile.mkdtemp(dir=path.parent))
    return known_tasks(path.rename(folder / path.name))


def of_task(change: Callable[[Values], object]) -> Change:
    return of_values(lambda rng, values: change(next(iter(values["tasks"].values()))))


READERS = [
    described("run", "run.yaml", run_values, load_run, RUN),
    described(
        "study",
        "study.yaml",
        study_values,
        expanded,
        {
            "no stages": of_values(lambda rng, one: one.update(stages={})),
            "an axis without values": of_values(lambda rng, one: one.update(axes={"a": {}})),
            "an axis of no stage": of_values(lambda rng, one: one.update(axes={"a": {"b": {"nostage": {"seed": 1}}}})),
            "a seed twice": of_values(lambda rng, one: one.update(seeds=[1, 1])),
            "a stage after none": of_values(lambda rng, one: one["stages"]["target"].update(after="before")),
            "an axis value that makes no name": of_values(
                lambda rng, one: one["axes"]["length"].update({"of two words": {"target": {"train": {"steps": 9}}}})
            ),
            "too many runs": of_values(
                lambda rng, one: one.update(
                    axes={f"a{m}": {f"v{n}": {"target": {"train": {"steps": 1 + n}}} for n in range(100)} for m in range(6)}
                )
            ),
        },
    ),
    described(
        "cluster",
        "cluster.yaml",
        cluster_values,
        load_cluster,
        {
            "a kind that is a mapping": of_values(lambda rng, one: one.update(kind={"a": 1})),
            "an unknown kind": of_values(lambda rng, one: one.update(kind="slrum")),
            "ranks that are text": of_values(lambda rng, one: one.update(ranks_per_node="many", environment=3)),
            "a secret": of_values(lambda rng, one: one.update(environment={"HF_TOKEN": "abc"})),
        },
    ),
    described(
        "tasks",
        "tasks.yaml",
        task_values,
        described_tasks,
        {
            "an unknown family": of_task(lambda one: one.update(family="classifying")),
            "no languages": of_task(lambda one: one.update(languages=[])),
            "no labels": of_task(lambda one: one.update(labels=[])),
            "a label twice": of_task(lambda one: one.update(labels=["a", "a"])),
            "an unknown split": of_task(lambda one: one.update(files={"tests": "a.tsv"})),
            "a file without language": of_task(lambda one: one.update(files={"test": os.devnull})),
        },
    ),
]
