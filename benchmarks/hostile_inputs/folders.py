"""Run folders with anything in them, next to one that is intact: what each command says of them."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from random import Random

import yaml
from resolved_of import request_of
from test_score_folder import gold_of

from hostile_inputs.changes import LFS, PAGE, mutated
from hostile_inputs.judge import FREE, Generator, Input
from hostile_inputs.official import DEEP, LONG
from hostile_inputs.predictions import gold
from xdist.config import load_run
from xdist.errors import UserError
from xdist.evaluation import submission
from xdist.evaluation.scores import Scores
from xdist.evaluation.to_do import plan_work
from xdist.launch.status import Status, link_events, statuses
from xdist.report import write_report
from xdist.run.folder import RunFolder
from xdist.study.comparing import compare_runs
from xdist.study.loose import run_results
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

NAMES = ("good", "third", "bad")
Damage = Callable[[Path], object]


def make_run(place: Path, name: str) -> None:
    """A run that was trained and scored on XNLI in German."""
    described = {
        "name": name,
        "folder": str(place / name),
        "model": {"backbone": f"some/{name}"},
        "data": {"root": str(gold())},
        "evaluate": {"tasks": ["xnli"], "languages": ["de"]},
        "train": {"tasks": [{"task": "xnli"}], "steps": 9},
    }
    (place / f"{name}.yaml").write_text(yaml.safe_dump(described))
    folder, entry = RunFolder(place / name), task("xnli")
    folder.open(load_run(place / f"{name}.yaml"), None, {"xnli train en": "0123"})
    examples = list(entry.examples(gold(), "test", "de"))
    right = gold_of(entry, examples)
    submission.write_predictions(submission.predictions_path(folder.predictions, entry, "test", "de"), entry, right)
    found = {"de": {**family_of(entry).score(right, examples, "de"), "count": len(right)}}
    Scores(folder.scores, name).add(entry, "test", ["en"], found)
    folder.metrics.write_text("".join(json.dumps({"step": n, "train/loss": 1 / n}) + "\n" for n in range(1, 10)))
    (folder.path / "job").mkdir()
    (folder.path / "job" / "restarts").write_text("2\n")
    folder.deepspeed.write_text('{"bf16": {"enabled": true}}')
    (folder.checkpoints / "step-00000003").mkdir(parents=True)
    folder.mark("finished")


@lru_cache
def whole(place: Path) -> dict[str, bytes]:
    """The files of the bad run while it is intact; the runs next to it are made."""
    for name in NAMES:
        make_run(place, name)
    bad = place / "bad"
    return {str(path.relative_to(bad)): path.read_bytes() for path in bad.rglob("*") if path.is_file()}


def content(raw: bytes | str) -> Damage:
    return lambda path: path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


ANY: dict[str, Damage] = {
    "not UTF-8": content(b"\xff\xfe{}\n"),
    "Git LFS pointer": content(LFS),
    "HTML": content(PAGE),
    "a pipe": pipe,
}
JSON = ANY | {
    "empty": content(""),
    "too deep": content(DEEP),
    "a number of 5000 digits": content(LONG),
    "a list": content("[]"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "a folder": folder,
}
LINES = {name: JSON[name] for name in ("not UTF-8", "HTML", "a pipe", "a folder")} | {
    "a line that is none": lambda path: path.write_text("nothing\n" + path.read_text()),
    "a step that is true": lambda path: path.write_text('{"step": true}\n'),
    "a line too deep": content(DEEP + "\n"),
}
DESCRIPTION = ANY | {
    "empty": content(""),
    "a list": content("- a\n"),
    "of something else": content("defaults: [a]\nhydra: {run: {dir: x}}\n"),
    "a bracket that is open": content("name: [\n"),
}
SCORES = JSON | {
    "no tasks": content('{"run": "bad"}'),
    "tasks that are a list": content('{"run": "bad", "tasks": [1]}'),
    "a task without languages": content(
        '{"run": "bad", "tasks": {"xnli": {"family": "classification", "metric": "accuracy"}}}'
    ),
    "a score that is not finite": lambda path: path.write_text(path.read_text().replace("100.0", "NaN")),
}
PREDICTED: dict[str, Damage] = {
    "empty": content(""),
    "not UTF-8": content(b"\xff\n"),
    "HTML": content(PAGE),
    "a line less": lambda path: path.write_text(path.read_text().split("\n", 1)[1]),
}


@dataclass(frozen=True, slots=True)
class Command:
    """`say` gives the lines on what is damaged, by the folder of the runs, or raises; it fails itself where a run that is
    complete is hidden. `files`: what of the bad folder may be damaged so that it has to be reported."""

    say: Callable[[Path], list[str]]
    files: Mapping[str, Mapping[str, Damage]]


def _status(place: Path) -> list[str]:
    found = list(statuses([place / name for name in NAMES]))
    assert {one.run for one in found if isinstance(one, Status)} >= {"good", "third"}
    return [line for one in found if (line := one.reason if isinstance(one, Status) else str(one))]


def _monitor(place: Path) -> list[str]:
    links = place / "links"
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir()
    names, wrong = link_events([place / name for name in NAMES], links)
    assert {*names} >= {"good", "third"}
    return [str(error) for error in wrong]


def _report(place: Path) -> list[str]:
    scores = write_report([place / name for name in NAMES], place / "report").scores
    assert {*scores.runs} >= {"good", "third"}
    return list(scores.left_out)


def _against(place: Path) -> list[str]:
    results = run_results([place / "third", place / "bad"], place / "good", "compared")
    assert {one.name for one in results.conditions} >= {"good", "third"}
    return list(results.left_out)


def _compare(place: Path) -> list[str]:
    return [] if compare_runs([place / "good"], [place / "bad"]) else ["nothing"]


def _start(place: Path) -> list[str]:
    run, bad = load_run(place / "bad.yaml"), RunFolder(place / "bad")
    bad.check(run)
    bad.check_data({"xnli train en": "0123"})
    assert bad.begun_in in ("bf16", "fp32", None)
    plan_work(request_of(run))
    return []


COMMANDS: dict[str, Command] = {
    "status": Command(_status, {"config.yaml": DESCRIPTION, "metrics.jsonl": LINES, "job/restarts": ANY}),
    "monitor": Command(_monitor, {"config.yaml": DESCRIPTION}),
    "report": Command(_report, {"scores.json": SCORES, "metrics.jsonl": LINES, "environment.json": ANY}),
    "report --against": Command(
        _against,
        {"config.yaml": DESCRIPTION, "scores.json": SCORES, "metrics.jsonl": LINES, "predictions/xnli/test-de.tsv": PREDICTED},
    ),
    "compare": Command(_compare, {"scores.json": SCORES, "predictions/xnli/test-de.tsv": PREDICTED}),
    "start": Command(_start, {"config.yaml": DESCRIPTION, "data.json": JSON, "deepspeed.json": JSON, "scores.json": SCORES}),
}


def of_command(name: str, command: Command) -> Generator:
    def generate(rng: Random, place: Path) -> Iterator[Input]:
        while True:
            for kind in ("", "fault", FREE):
                _restored(place)
                file, fault = "", kind
                if kind == FREE:
                    _at_random(rng, place / "bad")
                elif kind:
                    file = rng.choice(list(command.files))
                    what = rng.choice(list(command.files[file]))
                    command.files[file][what](place / "bad" / file)
                    fault = f"{file}: {what}"
                told = partial(_told, command, place)
                right = (
                    (lambda lines, file=file: any(str(place / "bad") in line for line in lines))
                    if file
                    else lambda lines: not lines
                )
                yield Input(f"run folder, {name}", fault, told, None if kind == FREE else False, right=right)

    return generate


def _told(command: Command, place: Path) -> list[str]:
    """A refusal of a command is a line, too; the good run is always there."""
    try:
        lines = command.say(place)
    except UserError as error:
        lines = [str(error)]
    for line in lines:
        if len(line.splitlines()) != 1:
            raise UserError(f"more than a line:\n{line}")
    return lines


def _restored(place: Path) -> None:
    files, bad = whole(place), place / "bad"
    for path in sorted(bad.rglob("*"), reverse=True):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        elif path.name not in ("step-00000003", "checkpoints", "predictions", "xnli", "job"):
            path.rmdir()
    for name, raw in files.items():
        (bad / name).parent.mkdir(parents=True, exist_ok=True)
        (bad / name).write_bytes(raw)


def _at_random(rng: Random, bad: Path) -> None:
    """One to three files: changed, removed, a pipe, a folder, a file of others."""
    files = [path for path in bad.rglob("*") if path.is_file()]
    for path in rng.sample(files, rng.randint(1, 3)):
        match rng.randrange(8):
            case 0:
                path.unlink()
            case 1:
                pipe(path)
            case 2:
                folder(path)
            case 3:
                (bad / rng.choice([".lock", "stop", "failed", "model", "best", "tensorboard", "job/job.json"])).write_bytes(
                    rng.choice([b"", b"[1]", b'{"kind": 3}', DEEP.encode(), b"\xff", path.read_bytes()])
                )
            case _:
                path.write_bytes(mutated(rng, path.read_bytes()))


GENERATORS: dict[str, Generator] = {f"run folder, {name}": of_command(name, command) for name, command in COMMANDS.items()}
