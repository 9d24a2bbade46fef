"""The steps of the Containerfile in a clean root, for machines without a builder of images: what a builder does, by chroot."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
Step = tuple[str, str]


def steps(text: str) -> Iterator[Step]:
    """(instruction, its words) of a Containerfile, lines that continue joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name, rest.strip()


class CleanRoot:
    """A minimal Debian in a folder, made by debootstrap, with this machine's sources of packages. Needs root."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mounted = folder, list[Path]()
        made = ["debootstrap", "--variant=minbase", "bookworm", str(folder)]
        done = subprocess.run(made, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        self.enter()

    def enter(self) -> None:
        """Give it this machine's ways to packages: apt's and pip's settings, certificates, folders of wheels, hosts' names."""
        # A step may have its own certificates instead of the first.
        pairs = [(CERTIFICATES, "etc/ssl/certs/ca-certificates.crt"), (CERTIFICATES, "etc/of-this-machine.crt")]
        pairs += [(Path("/etc", name), f"etc/{name}") for name in ("resolv.conf", "hosts", "apt", "pip.conf", "xdg/pip")]
        for source, there in pairs:
            target = self.folder / there
            if not source.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)  # a link would lead out of the root
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("auth.conf*"))
            else:
                shutil.copy(source, target)
        for place in ("/proc", "/dev", *folders_of_packages()):
            target = self.folder / place[1:]
            target.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--rbind", place, target], check=True)
            subprocess.run(["mount", "--make-rslave", target], check=True)
            self.mounted.append(target)

    def leave(self) -> None:
        while self.mounted:
            subprocess.run(["umount", "--recursive", "--lazy", self.mounted.pop()], check=True)

    def run(
        self, line: str, variables: Mapping[str, str], place: str = "/", user: str = ""
    ) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        if CERTIFICATES.exists():
            own["PIP_CERT"] = "/etc/of-this-machine.crt"
        words = ["chroot", *([f"--userspec={user}"] if user else []), str(self.folder)]
        words += ["/bin/sh", "-c", f"cd {shlex.quote(place)} && {line}"]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            **own,
            **variables,
        }
        return subprocess.run(words, capture_output=True, text=True, env=environment, check=False)


def build(root: CleanRoot, text: str, arguments: Mapping[str, str]) -> tuple[dict[str, str], str, str]:
    """Carry out all steps behind FROM; the variables, the folder and the user that a container starts with. Raises
    AssertionError with what a step said that failed."""
    given: dict[str, str] = {}
    kept: dict[str, str] = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    place, user = "/", ""
    for name, rest in steps(text):
        words = re.sub(r"\$\{(\w+)\}", lambda found: {**given, **kept}.get(found[1], ""), rest)
        if name == "ARG":
            variable, _, default = rest.partition("=")
            given[variable] = arguments.get(variable, default.strip('"'))
        elif name == "ENV":
            variable, _, value = words.partition("=")
            kept[variable] = value
        elif name == "WORKDIR":
            place = words
            (root.folder / place[1:]).mkdir(parents=True, exist_ok=True)
        elif name == "USER":
            user = words
        elif name == "COPY":
            *sources, target = words.split()
            for source in sources:
                path, there = ROOT / source, root.folder / place[1:] / target
                if path.is_dir():
                    shutil.copytree(path, there, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(path, there)
        elif name == "RUN":
            done = root.run(rest, {**given, **kept}, place, user)
            assert done.returncode == 0, f"{rest}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return kept, place, user


def folders_of_packages() -> set[str]:
    """Folders that pip looks in here: the first two names of each path, since an index links within itself."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    paths = re.findall(r"(?:file://|(?<=[\s'=]))(/[\w./-]+)", listed)
    return {"/".join(path.split("/")[:3]) for path in paths if Path(path).is_dir()}
