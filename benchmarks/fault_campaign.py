"""Does anything get lost? Real two-rank runs, hurt at seeded random moments, against one that nobody hurts.

    python benchmarks/fault_campaign.py --runs 100 [--seed 0] [--kinds kill-rank,flip] [--steps 60] [--folder FOLDER]

kill-rank   SIGKILL to one rank: the others end within a minute, naming it       kill-all  SIGKILL to every process of the run
term, usr1  a signal to `xdist train`, which saves and leaves (75)               stop      a file `stop` in the run folder
full        the file system, a small tmpfs, is full for a while (needs the right to mount one)
no-room     the ranks cannot write large files for a while                       second    the run is started twice
freeze      one rank is stopped for good: the others end within a minute, naming it
pause       all ranks are stopped for --pause seconds and go on, a second apart
flip, cut, remove   everything is killed, then a file of the newest checkpoint is changed, shortened, removed
ranks       everything is killed, then the run goes on with one rank at another ZeRO stage

Each run suffers one fault, is started again until it is finished, and is compared with an unhurt run: the loss of every step,
every parameter, the scores. They train with dropout and an adversarial perturbation and may differ by nothing. Where ranks and
stage change, dropout is off (it is drawn per rank) and losses may differ by 1e-5. Last line: JSON; `steps_repeated_max` is the
largest number of logged steps that were made again, SAVE_EVERY being 5; after damaged checkpoints (two intervals) they count
apart. Where there is no room a run ends after three saves that failed, up to three intervals after the last good one.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from xdist.checkpoint import tags
from xdist.demo.tiny import tiny_encoder
from xdist.run.folder import RunFolder

KINDS = ("kill-rank", "kill-all", "term", "usr1", "stop", "full", "no-room", "second", "flip", "cut", "remove", "ranks")
KINDS += ("freeze", "pause")
SAVE_EVERY = 5
DAMAGE = ("flip", "cut", "remove")
NO_ROOM = ("full", "no-room")
WORDS = ("river", "stone", "market", "winter", "harbour", "lantern", "garden", "copper", "meadow", "silver", "bridge")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="number of the first run: a campaign can be done in parts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pause", type=float, default=120, help="seconds for which `pause` stops the ranks")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a start that has not ended hangs")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"unknown kinds: {', '.join(sorted(unknown))} (valid: {', '.join(KINDS)})")
    with tempfile.TemporaryDirectory() as temporary:
        campaign = Campaign((options.folder or Path(temporary)).resolve(), options)
        for name, kind in (("unhurt", ""), ("unhurt-ranks", "ranks")):
            if (not kind or kind in kinds) and campaign.start(name, kind).wait(options.limit) != 0:
                sys.exit((campaign.folder / f"{name}.log").read_text())
        for number in range(options.first, options.first + options.runs):
            campaign.run(number, kinds[number % len(kinds)])
        campaign.report()


class Campaign:
    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.limit, self.seed, self.steps = folder, options.limit, options.seed, options.steps
        self.pause = options.pause
        self.found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.notes: list[str] = []
        _benchmark(folder / "data")
        texts = [path.read_text() for path in sorted((folder / "data").rglob("*.tsv"))]
        tiny_encoder(folder / "encoder", texts)

    def start(self, name: str, kind: str, ranks: int = 2, stage: str = "zero2") -> subprocess.Popen[str]:
        """`xdist train` on the run `name`, which is to suffer from `kind`."""
        noisy = kind != "ranks"
        described = {
            "name": name,
            "folder": str(self.folder / name),
            "model": {"backbone": str(self.folder / "encoder"), "dropout": 0.1 if noisy else 0.0},
            "data": {"root": str(self.folder / "data"), "cache": str(self.folder / "prepared")},
            "train": {"tasks": [{"task": "cldr-topic"}], "steps": self.steps, "batch_size": 16, "learning_rate": 1e-3},
            "robust": {"method": "adversarial", "radius": 0.1, "steps": 1} if noisy else {"method": "none"},
            "evaluate": {"tasks": ["cldr-topic"]},
            "runtime": {"ranks": ranks, "deepspeed": stage, "log_every": 1, "save_every": SAVE_EVERY},
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(described))
        log = (self.folder / f"{name}.log").open("a")
        command = [str(Path(sys.executable).with_name("xdist")), "train", str(path)]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True)

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
        process = self.start(name, kind)
        try:
            if self.reach(name, draw.randint(2, self.steps - 2), process):
                self.hurt(kind, name, process, draw)
            process.wait(self.limit)
            after = (1, draw.choice(("zero0", "zero1", "zero2", "zero3"))) if kind == "ranks" else (2, "zero2")
            for _ in range(3):
                if RunFolder(self.folder / name).state == "finished":
                    break
                last = self.step(name)
                self.start(name, kind, *after).wait(self.limit)
                found["repeated"] = max(found["repeated"], last - self.resumed(name))
        except subprocess.TimeoutExpired:
            found["hangs"] += 1
            self.note(name, kind, "hangs")
            kill(self.folder / name)
            return
        self.compare(name, kind)

    def hurt(self, kind: str, name: str, process: subprocess.Popen[str], draw: random.Random) -> None:
        pids = ranks_of(self.folder / name)
        if kind in ("term", "usr1"):
            process.send_signal(signal.SIGTERM if kind == "term" else signal.SIGUSR1)
            self.expect(name, kind, process.wait(self.limit) in (0, 75), "did not end as saved")
        elif kind == "stop":
            (self.folder / name / "stop").touch()
            self.expect(name, kind, process.wait(self.limit) in (0, 75), "did not end as saved")
        elif kind == "second":
            before = RunFolder(self.folder / name).config.read_bytes()
            second = self.start(name, kind).wait(self.limit)
            over = RunFolder(self.folder / name).state == "finished"  # before the second start looked
            self.expect(name, kind, second == 2 or (second == 0 and over), f"the second start ended with {second}")
            self.expect(name, kind, RunFolder(self.folder / name).config.read_bytes() == before, "the second start wrote")
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
        elif kind in ("kill-rank", "freeze"):
            victim = draw.choice(pids)
            os.kill(victim, signal.SIGKILL if kind == "kill-rank" else signal.SIGSTOP)
            started = time.monotonic()
            while any(Path("/proc", str(pid)).exists() for pid in pids if pid != victim) and process.poll() is None:
                time.sleep(0.1)
            self.expect(name, kind, time.monotonic() - started < 60, "the others outlived it by a minute")
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
        """The step after which the last start went on."""
        found = re.findall(r"going on after step (\d+)", (self.folder / f"{name}.log").read_text())
        return int(found[-1]) if found else 0

    def compare(self, name: str, kind: str) -> None:
        run, unhurt = RunFolder(self.folder / name), RunFolder(self.folder / ("unhurt-ranks" if kind == "ranks" else "unhurt"))
        if run.state != "finished":
            self.found[kind]["wrong"] += 1
            self.note(name, kind, f"not finished: {run.state} {run.reason()}")
            return
        self.found[kind]["finished"] += 1
        losses, expected = self.losses(name), self.losses(unhurt.path.name)
        off = max(abs(losses[step] - expected[step]) for step in losses)
        difference = 0.0
        for file in ("model.safetensors", "heads.safetensors"):
            one, other = load_file(unhurt.model / file), load_file(run.model / file)
            difference = max(difference, *(float((one[key] - other[key]).abs().max()) for key in one))
        scores = [json.loads(folder.scores.read_text())["tasks"] for folder in (run, unhurt)]
        # Lines of the log are lost while there is no room; elsewhere every step has one.
        whole = losses.keys() == expected.keys() or kind in NO_ROOM
        same = off < 1e-5 if kind == "ranks" else off == difference == 0 and scores[0] == scores[1]
        if not (same and whole):
            self.found[kind]["wrong"] += 1
            self.note(name, kind, f"losses differ by {off:.1e}, parameters by {difference:.1e}, {len(losses)} steps logged")

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
        print(f"{'kind':<10}" + "".join(f"{column:>10}" for column in shown))
        for kind, found in self.found.items():
            if found["faults"]:
                print(f"{kind:<10}" + "".join(f"{found[column]:>10}" for column in shown))
        total = {column: sum(found[column] for found in self.found.values()) for column in columns}
        most = {kind: found["repeated"] for kind, found in self.found.items()}
        repeated = {
            "steps_repeated_max": max(most[kind] for kind in KINDS if kind not in DAMAGE),
            "steps_repeated_after_damage_max": max(most[kind] for kind in DAMAGE),
            "steps_repeated_without_room_max": max(most[kind] for kind in NO_ROOM),
        }
        print(json.dumps({**total, **repeated, "notes": self.notes}))


def ranks_of(folder: Path) -> list[int]:
    """The processes of the ranks that work on the run in `folder`, by rank."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            if any(word.endswith("xdist/train.py") for word in words[:4]) and f"{folder}.yaml" in words:
                variables = dict(pair.split("=", 1) for pair in (entry / "environ").read_text().split("\0") if "=" in pair)
                if "LOCAL_RANK" in variables:
                    found[int(variables["RANK"])] = int(entry.name)
        except (OSError, ValueError):
            continue
    return [found[rank] for rank in sorted(found)]


def kill(folder: Path) -> None:
    """SIGKILL to everything that names the run's YAML: ranks and launchers."""
    for entry in Path("/proc").iterdir():
        try:
            if f"{folder}.yaml".encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue


def damage(checkpoints: Path, kind: str, draw: random.Random) -> None:
    """Hurt a random file of the newest tag, the manifest among them."""
    found = tags.tags(checkpoints)
    if not found:
        return
    file = draw.choice(sorted(path for path in found[-1].path.rglob("*") if path.is_file()))
    content = bytearray(file.read_bytes())
    if kind == "remove":
        file.unlink()
    elif kind == "cut":
        file.write_bytes(content[: draw.randrange(len(content))])
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)


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
