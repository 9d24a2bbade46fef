"""Does anything get lost? Real two-rank runs, with faults at seeded random moments, against one without.

    python benchmarks/fault_campaign.py --runs 100 [--seed 0] [--kinds kill-rank,flip] [--steps 60] [--folder FOLDER]

kill-rank   SIGKILL to one rank: the others end within a minute, naming it       kill-all  SIGKILL to every process of the run
term, usr1  a signal to `xdist train`, which saves and leaves (75)               stop      a file `stop` in the run folder
full        the file system, a small tmpfs, is full for a while (needs the right to mount one)
no-room     the ranks cannot write large files for a while                       second    the run is started twice
worker      the second start is the workers' way in, `xdist/train.py` on ranks   terminal  the terminal goes away: it continues
freeze-0, freeze-1   rank 0, or 1, is stopped for good: the others end within a minute, naming it
network     ranks on two hosts (network namespaces, needs root); the cable of rank 0's is cut
pause       all ranks are stopped for --pause seconds and continue, a second apart
write       everything is killed before a process gives its n-th file in the run folder its name
full-first, full-rows, full-saves, full-model, full-scores, full-log   what is written there first, of prepared rows, of
            checkpoints, of the model, of predictions, of the logs finds no room: one line, never 2, and it continues with room
launcher    SIGKILL to `xdist train`, or to the launcher that it started: the ranks continue and end well
twice       two signals, one right after the other: it ends at once, and its folder says why
moved       the run folder gets another name: the run ends within a minute and says why
no-locks    the run folder's file system has no locks: a second start is refused, then everything is killed
eval-kill, eval-term   everything is killed, or `xdist train` gets SIGTERM, while the run evaluates
save-kill-rank, save-kill-all, save-term, save-twice, save-full   the same while a checkpoint is being written and training
continues: writing is made slow, so that it takes many steps; --save says how the other kinds save (runtime.save)
flip, cut, remove   everything is killed, then a file of the newest checkpoint is changed, shortened, removed
ranks       everything is killed, then the run continues with one rank at another ZeRO stage

Each run suffers one fault, is started again until it is finished, and is compared with an unhurt run: the loss of every step,
every parameter, the scores. They train with dropout and an adversarial perturbation and may differ by nothing. Where ranks and
stage change, dropout is off (it is drawn per rank) and losses may differ by 1e-5. Last line: JSON; `steps_repeated_max` is the
largest number of logged steps that were repeated, SAVE_EVERY being 5; after damaged checkpoints (two intervals) they count
apart, and so they do where a run is killed while it writes, which loses the steps since the checkpoint before. Where there is
no room a run ends after three saves that failed, up to three intervals after the last good one, four with `--save async`.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
import yaml
from fault_tools import Hosts, all_gone, damage, failing, in_terminal, kill, parent_of, ranks_of
from safetensors.torch import load_file

from xdist.checkpoint import tags
from xdist.demo.tiny import tiny_encoder
from xdist.files import LEFT
from xdist.launch import local
from xdist.run.folder import RunFolder

KINDS = ("kill-rank", "kill-all", "term", "usr1", "stop", "full", "no-room", "second", "flip", "cut", "remove", "ranks")
KINDS += ("freeze-0", "freeze-1", "pause", "network", "worker", "terminal", "write", "no-locks", "eval-kill", "eval-term")
PLACES = {  # which of its files find no room
    "full-first": "{run}/",
    "full-rows": "{run}-prepared/",
    "full-saves": "{run}/checkpoints/",
    "full-model": "{run}/.model",
    "full-scores": "{run}/predictions",
    "full-log": "{run}/xdist.log",
}
KINDS += (*PLACES, "launcher", "twice", "moved")
SAVES = ("save-kill-rank", "save-kill-all", "save-term", "save-twice", "save-full")
KINDS += SAVES
EVALUATES = ("eval-kill", "eval-term")
SAVE_EVERY = 5
DAMAGE = ("flip", "cut", "remove")
NO_ROOM = ("full", "no-room", "full-first", "full-saves", "full-log")
WORDS = ("river", "stone", "market", "winter", "harbour", "lantern", "garden", "copper", "meadow", "silver", "bridge")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="number of the first run: a campaign can be done in parts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--save", choices=("auto", "async", "sync"), default="auto")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pause", type=float, default=120, help="seconds for which `pause` stops the ranks")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a start that has not ended hangs")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"unknown kinds: {', '.join(sorted(unknown))} (valid: {', '.join(KINDS)})")
    with tempfile.TemporaryDirectory() as temporary:
        campaign = Campaign((options.folder or Path(temporary)).resolve(), options)
        for name, kind in (("unhurt", ""), ("unhurt-ranks", "ranks"), ("unhurt-eval", "eval-kill")):
            if (not kind or kind in kinds or (kind in EVALUATES and set(EVALUATES) & set(kinds))) and campaign.start(
                name, kind
            ).wait(options.limit) != 0:
                sys.exit((campaign.folder / f"{name}.log").read_text())
        for number in range(options.first, options.first + options.runs):
            campaign.run(number, kinds[number % len(kinds)])
        campaign.report()


class Campaign:
    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.limit, self.seed, self.steps = folder, options.limit, options.seed, options.steps
        self.pause, self.save = options.pause, options.save
        self.found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.notes: list[str] = []
        self.window = -1  # the end of a run's terminal that is to go away
        _benchmark(folder / "data")
        texts = [path.read_text() for path in sorted((folder / "data").rglob("*.tsv"))]
        tiny_encoder(folder / "encoder", texts)
        self.library = failing(folder)

    def start(
        self, name: str, kind: str, ranks: int = 2, stage: str = "zero2", script: bool = False, **fails: str
    ) -> subprocess.Popen[str]:
        """`xdist train`, or the workers' `script`, on the run `name`, which is to suffer from `kind`; `fails`: calls of the
        system, as fault_tools says."""
        path = self.describe(name, kind, ranks, stage)
        command = [str(Path(sys.executable).with_name("xdist")), "train", str(path)]
        if script:
            command = local.command("train", path, (), ranks)
        variables = {**os.environ, **({"LD_PRELOAD": str(self.library), **fails} if fails else {})}
        if script:
            variables = {**local.environment(ranks), **variables}
        if kind == "terminal" and not script:
            process, self.window = in_terminal(command, variables)
            return process
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=variables
            )

    def describe(self, name: str, kind: str, ranks: int, stage: str) -> Path:
        """The YAML of the run."""
        noisy = kind != "ranks"
        rows = f"{name}-prepared" if kind == "full-rows" else "prepared"
        evaluate: dict[str, object] = {"tasks": ["cldr-topic"]}
        if kind in EVALUATES:
            evaluate["smoothing"] = {"draws": 200, "radius": 0.1}  # it takes some seconds
        how = "async" if kind in SAVES else self.save
        described = {
            "name": name,
            "folder": str(self.folder / name),
            "model": {"backbone": str(self.folder / "encoder"), "dropout": 0.1 if noisy else 0.0},
            "data": {"root": str(self.folder / "data"), "cache": str(self.folder / rows)},
            "train": {"tasks": [{"task": "cldr-topic"}], "steps": self.steps, "batch_size": 16, "learning_rate": 1e-3},
            "robust": {"method": "adversarial", "radius": 0.1, "steps": 1} if noisy else {"method": "none"},
            "evaluate": evaluate,
            "runtime": {"ranks": ranks, "deepspeed": stage, "log_every": 1, "save_every": SAVE_EVERY, "save": how},
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(described))
        return path

    def run(self, number: int, kind: str) -> None:
        """One run with one fault, to its end."""
        draw = random.Random(f"{self.seed} {number} {kind}")
        name = f"run{number}"
        self.found[kind]["faults"] += 1
        if kind == "full":
            (self.folder / name).mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", self.folder / name], check=True)
        try:
            self.suffer(name, kind, draw)
        finally:
            if kind == "full":
                subprocess.run(["umount", self.folder / name], check=True)

    def suffer(self, name: str, kind: str, draw: random.Random) -> None:
        found = self.found[kind]
        try:
            if kind in WAYS:
                WAYS[kind](self, name, kind, draw)
            else:
                process = self.start(name, kind)
                if self.reach(name, draw.randint(2, self.steps - 2), process):
                    self.hurt(kind, name, process, draw)
                process.wait(self.limit)
            after = (1, draw.choice(("zero0", "zero1", "zero2", "zero3"))) if kind == "ranks" else (2, "zero2")
            for _ in range(3):
                if RunFolder(self.folder / name).state == "finished":
                    break
                trained = RunFolder(self.folder / name).model.exists()
                last = self.step(name)
                self.start(name, "" if kind == "terminal" else kind, *after).wait(self.limit)
                if not trained:
                    found["repeated"] = max(found["repeated"], last - self.resumed(name))
        except subprocess.TimeoutExpired:
            found["hangs"] += 1
            self.note(name, kind, "hangs")
            kill(self.folder / name)
            return
        self.compare(name, kind)

    def without_terminal(self, name: str, kind: str, draw: random.Random) -> None:
        process = self.start(name, kind)
        reached = self.reach(name, draw.randint(2, self.steps - 2), process)
        os.close(self.window)
        code = process.wait(self.limit)
        self.expect(name, kind, code == 0 or not reached, f"ended with {code}")
        self.expect(name, kind, RunFolder(self.folder / name).state == "finished", "did not end well")

    def killed_while_it_writes(self, name: str, kind: str, draw: random.Random) -> None:
        number = draw.randint(1, 14)
        self.start(name, kind, FAIL_IN=f"{self.folder / name}/", FAIL_KILL=str(number)).wait(self.limit)

    def without_room(self, name: str, kind: str, draw: random.Random) -> None:
        flag = self.folder / f"{name}.full"
        flag.touch()
        process = self.start(name, kind, FAIL_IN=PLACES[kind].format(run=self.folder / name), FAIL_FULL=str(flag))
        code = process.wait(self.limit)
        flag.unlink()
        said = (self.folder / f"{name}.log").read_text()
        self.expect(name, kind, "Traceback" not in said, "a traceback")
        if kind == "full-log":
            self.expect(name, kind, code == 0, f"ended with {code}")
        else:
            self.expect(name, kind, code == 1, f"ended with {code}")
            self.expect(name, kind, "No space left on device" in "".join(said.splitlines()[-2:]), "no line says why")

    def without_locks(self, name: str, kind: str, draw: random.Random) -> None:
        fails = {"FAIL_IN": f"{self.folder / name}/", "FAIL_LOCKS": "1"}
        process = self.start(name, kind, **fails)
        if self.reach(name, draw.randint(2, self.steps // 2), process):
            self.second(name, kind, script=draw.random() < 0.5, **fails)
        kill(self.folder / name)
        process.wait(self.limit)
        self.start(name, kind, **fails).wait(self.limit)

    def second(self, name: str, kind: str, script: bool, **fails: str) -> None:
        """A second start, for which the ranks of the first are stopped, or they would have ended before it has looked."""
        pids = ranks_of(self.folder / name)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            over = RunFolder(self.folder / name).state == "finished"
            code = self.start(name, kind, script=script, **fails).wait(self.limit)
            self.expect(name, kind, code == 2 or (code == 0 and over), f"the second start ended with {code}")
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def while_it_evaluates(self, name: str, kind: str, draw: random.Random) -> None:
        process = self.start(name, kind)
        while not RunFolder(self.folder / name).model.exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(draw.uniform(0, 4))
        if kind == "eval-kill":
            kill(self.folder / name)
            process.kill()
            process.wait(self.limit)
            return
        process.send_signal(signal.SIGTERM)
        code, state = process.wait(self.limit), RunFolder(self.folder / name).state
        self.expect(name, kind, (code, state) in ((0, "finished"), (75, "unfinished")), f"ended with {code}, {state}")

    def while_it_saves(self, name: str, kind: str, draw: random.Random) -> None:
        flag, saving = self.folder / f"{name}.full", self.folder / name / "checkpoints" / tags.SAVING
        process = self.start(name, kind, FAIL_IN=f"{saving}/", FAIL_SLOW="40", FAIL_FULL=str(flag))
        if self.reach(name, draw.randint(2, self.steps - SAVE_EVERY - 2), process):
            while not saving.exists() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.5))
            if kind == "save-full":
                flag.touch()
                time.sleep(draw.uniform(0.2, 3))
                flag.unlink()
            elif process.poll() is None:
                self.hurt(kind.removeprefix("save-"), name, process, draw)
        process.wait(self.limit)

    def without_network(self, name: str, kind: str, draw: random.Random) -> None:
        with Hosts().there() as hosts:
            path = self.describe(name, kind, 2, "zero2")
            started = hosts.start(path, self.folder / f"{name}.log")
            try:
                if self.reach(name, draw.randint(2, self.steps - 2), started[0]):
                    hosts.cut()
                    ended = all_gone([process.pid for process in started], 80)
                    self.expect(name, kind, ended, "a rank outlived the cut by more than a minute")
                    reason = RunFolder(self.folder / name).reason()
                    self.expect(name, kind, " died: " in reason, f"no rank is named: '{reason}'")
                elif any(process.wait(self.limit) for process in started):
                    self.expect(name, kind, held=False, otherwise="broke before it was hurt")
            finally:
                for process in started:
                    process.kill()
                    process.wait()

    def hurt(self, kind: str, name: str, process: subprocess.Popen[str], draw: random.Random) -> None:
        pids = ranks_of(self.folder / name)
        if kind in ("term", "usr1"):
            process.send_signal(signal.SIGTERM if kind == "term" else signal.SIGUSR1)
            self.expect(name, kind, process.wait(self.limit) in (0, 75), "did not end as saved")
        elif kind == "stop":
            (self.folder / name / "stop").touch()
            self.expect(name, kind, process.wait(self.limit) in (0, 75), "did not end as saved")
        elif kind in ("second", "worker"):
            before = RunFolder(self.folder / name).config.read_bytes()
            self.second(name, kind, script=kind == "worker")
            self.expect(name, kind, RunFolder(self.folder / name).config.read_bytes() == before, "the second start wrote")
        elif kind == "launcher":
            victim = draw.choice((process.pid, parent_of(pids[0])))
            os.kill(victim, signal.SIGKILL)
            code = process.wait(self.limit)
            self.expect(name, kind, code == (-9 if victim == process.pid else 0), f"`xdist train` ended with {code}")
            self.expect(name, kind, all_gone(pids, self.limit), "ranks are left")
            self.expect(name, kind, RunFolder(self.folder / name).state == "finished", "the ranks did not end well")
        elif kind == "twice":
            for _ in range(2):
                process.send_signal(signal.SIGINT)
                time.sleep(0.02)
            code, reason = process.wait(self.limit), RunFolder(self.folder / name).reason()
            said = code == 1 and "ended at once by a second SIGINT" in reason
            self.expect(name, kind, said or code in (0, 75), f"ended with {code}: '{reason}'")
            self.expect(name, kind, all_gone(pids, 10), "ranks are left")
        elif kind == "moved":
            (self.folder / name).rename(self.folder / f"{name}-moved")
            self.expect(name, kind, all_gone(pids, 60), "it outlived its folder by a minute")
            self.expect(name, kind, process.wait(self.limit) in (0, 1), "a wrong code")
            said = (self.folder / f"{name}.log").read_text()
            over = (self.folder / f"{name}-moved" / "finished").exists()
            self.expect(name, kind, "was removed, renamed or taken" in said or over, "it does not say why")
            left = {path.name for path in (self.folder / name).glob("*")}  # of the step that was being made
            self.expect(name, kind, left <= {"tensorboard", "checkpoints"}, f"recomputed: {', '.join(sorted(left))}")
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / f"{name}-moved").rename(self.folder / name)
        elif kind == "full":
            ballast = self.folder / name / "ballast"
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            time.sleep(draw.uniform(0.2, 3))
            ballast.unlink()
        elif kind == "no-room":
            for pid in pids:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
            self.reach(name, self.step(name) + 2 * SAVE_EVERY, process, 20)
            for pid in pids:
                if Path("/proc", str(pid)).exists():
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        elif kind == "pause":
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(self.pause)
            for pid in draw.sample(pids, len(pids)):
                os.kill(pid, signal.SIGCONT)
                time.sleep(1)
        elif kind in ("kill-rank", "freeze-0", "freeze-1"):
            victim = draw.choice(pids) if kind == "kill-rank" else pids[int(kind[-1])]
            os.kill(victim, signal.SIGKILL if kind == "kill-rank" else signal.SIGSTOP)
            ended = all_gone([pid for pid in pids if pid != victim], 60)
            self.expect(name, kind, ended, "the others outlived it by a minute")
            process.wait(self.limit)  # the launcher kills who does not leave
            reason = RunFolder(self.folder / name).reason()
            self.expect(name, kind, f"(process {victim}) died" in reason, f"the dead rank is not named: '{reason}'")
        else:
            kill(self.folder / name)
            process.kill()
            process.wait(self.limit)
            if kind in DAMAGE:
                damage(RunFolder(self.folder / name).checkpoints, kind, draw)

    def reach(self, name: str, step: int, process: subprocess.Popen[str], seconds: float | None = None) -> bool:
        """Wait until the run has logged `step`; False where it ended first."""
        until = time.monotonic() + (seconds or self.limit)
        while time.monotonic() < until:
            if process.poll() is not None:
                return False
            if self.step(name) >= step:
                return True
            time.sleep(0.05)
        return False

    def losses(self, name: str) -> dict[int, float]:
        """The logged loss of every step so far."""
        metrics = RunFolder(self.folder / name).metrics
        lines = [line for line in metrics.read_text().splitlines() if line.endswith("}")] if metrics.exists() else []
        return {found["step"]: found["train/loss"] for found in map(json.loads, lines) if "train/loss" in found}

    def step(self, name: str) -> int:
        return max(self.losses(name), default=0)

    def resumed(self, name: str) -> int:
        """The step after which the last start resumed."""
        found = re.findall(r"resuming after step (\d+)", (self.folder / f"{name}.log").read_text())
        return int(found[-1]) if found else 0

    def compare(self, name: str, kind: str) -> None:
        beside = "unhurt-ranks" if kind == "ranks" else "unhurt-eval" if kind in EVALUATES else "unhurt"
        run, unhurt = RunFolder(self.folder / name), RunFolder(self.folder / beside)
        if run.state != "finished":
            self.found[kind]["wrong"] += 1
            self.note(name, kind, f"not finished: {run.state} {run.reason()}")
            return
        self.found[kind]["finished"] += 1
        left = [path.name for path in run.path.rglob(".*") if LEFT.fullmatch(path.name)]
        self.expect(name, kind, not left, f"left behind: {', '.join(left)}")
        losses, expected = self.losses(name), self.losses(unhurt.path.name)
        off = max(abs(losses[step] - expected[step]) for step in losses)
        difference = 0.0
        for file in ("model.safetensors", "heads.safetensors"):
            one, other = load_file(unhurt.model / file), load_file(run.model / file)
            difference = max(difference, *(float((one[key] - other[key]).abs().max()) for key in one))
        scores = [json.loads(folder.scores.read_text())["tasks"] for folder in (run, unhurt)]
        for task in (task for tasks in scores for task in tasks.values()):
            task.pop("smoothing_cost", None)  # seconds
        # Lines of the log are lost while there is no room; elsewhere every step has one.
        whole = losses.keys() == expected.keys() or kind in NO_ROOM
        same = off < 1e-5 if kind == "ranks" else off == difference == 0 and scores[0] == scores[1]
        if not (same and whole):
            self.found[kind]["wrong"] += 1
            self.note(
                name, kind, f"losses differ by {off:.1e}, parameters by {difference:.1e}, {len(losses)} steps logged, {scores}"
            )

    def expect(self, name: str, kind: str, held: bool, otherwise: str) -> None:
        if not held:
            self.found[kind]["wrong"] += 1
            self.note(name, kind, otherwise)

    def note(self, name: str, kind: str, text: str) -> None:
        self.notes.append(f"{name} ({kind}): {text}")
        print(self.notes[-1], file=sys.stderr, flush=True)

    def report(self) -> None:
        columns = ("faults", "finished", "wrong", "hangs")
        shown = (*columns, "repeated")
        print(f"{'kind':<16}" + "".join(f"{column:>10}" for column in shown))
        for kind, found in self.found.items():
            if found["faults"]:
                print(f"{kind:<16}" + "".join(f"{found[column]:>10}" for column in shown))
        total = {column: sum(found[column] for found in self.found.values()) for column in columns}
        most = {kind: found["repeated"] for kind, found in self.found.items()}
        repeated = {
            "steps_repeated_max": max(most[kind] for kind in KINDS if kind not in (*DAMAGE, *SAVES)),
            "steps_repeated_while_saving_max": max(most[kind] for kind in SAVES),
            "steps_repeated_after_damage_max": max(most[kind] for kind in DAMAGE),
            "steps_repeated_without_room_max": max(most[kind] for kind in NO_ROOM),
        }
        print(json.dumps({**total, **repeated, "notes": self.notes}))


WAYS = {
    "terminal": Campaign.without_terminal,
    "write": Campaign.killed_while_it_writes,
    "no-locks": Campaign.without_locks,
    "network": Campaign.without_network,
    **dict.fromkeys(EVALUATES, Campaign.while_it_evaluates),
    **dict.fromkeys(PLACES, Campaign.without_room),
    **dict.fromkeys(SAVES, Campaign.while_it_saves),
}


def _benchmark(root: Path) -> None:
    draw = random.Random(0)
    topics = ("territory", "language", "currency", "script", "calendar", "unit")
    for split, rows in (("train", 200), ("test", 60)):
        lines = []
        for _ in range(rows):
            topic = draw.choice(topics)
            lines.append(f"{draw.choice(WORDS)} {topic[:4]} {draw.choice(WORDS)}\t{topic}")
        path = root / "cldr-topic" / f"{split}-en.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
