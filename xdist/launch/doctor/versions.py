"""Python and packages: those that xdist was tested with."""

import platform
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from xdist.launch.doctor.finding import Finding
from xdist.version import __version__

CHECK = "versions"
SHOWN = ("torch", "deepspeed", "transformers")
ALIKE = ("python", "xdist-xtreme", *SHOWN, "nccl")
# The series of each that the suite was run with (docs/how-to/install.md); pyproject.toml's ranges hold more than could be had.
CHECKED = {"torch": ("2.13",), "deepspeed": ("0.19",), "transformers": ("5.17", "5.23", "5.24")}
CHECKED_PYTHON = ("3.11",)


def check() -> list[Finding]:
    try:
        requirements = metadata.requires("xdist-xtreme") or []
    except metadata.PackageNotFoundError:
        return [Finding(CHECK, "note", f"xdist {__version__} runs from its source, not installed", "pip install .")]
    return judge(requirements, installed)


def judge(requirements: Iterable[str], version: Callable[[str], str | None]) -> list[Finding]:
    """`requirements` as pip writes them; those of extras are not included. `version` of an installed package, or None."""
    findings = []
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed_version = version(requirement.name)
        wanted = f"{requirement.name}{requirement.specifier}"
        if installed_version is None:
            findings.append(Finding(CHECK, "bad", f"{requirement.name} is not installed", f"pip install '{wanted}'"))
        elif not requirement.specifier.contains(installed_version, prereleases=True):
            says = f"{requirement.name} {installed_version}: xdist was tested with {requirement.specifier}"
            findings.append(Finding(CHECK, "bad", says, f"pip install '{wanted}'"))
    if version("pytest-xdist"):
        says = "pytest-xdist is installed and owns the import name 'xdist' too"
        findings.append(Finding(CHECK, "bad", says, "pip uninstall pytest-xdist, then install xdist-xtreme again"))
    if findings:
        return findings
    own = {"python": platform.python_version(), **{name: version(name) or "" for name in SHOWN}}
    shown = ", ".join(f"{name} {of}" for name, of in own.items())
    unchecked = [
        Finding(CHECK, "note", f"{name} {own[name]}: not checked; the suite was run with {', '.join(series)}", "xdist demo")
        for name, series in {"python": CHECKED_PYTHON, **CHECKED}.items()
        if ".".join(own[name].split(".")[:2]) not in series
    ]
    return [Finding(CHECK, "good", f"xdist {__version__}, {shown}"), *unchecked]


def facts() -> dict[str, str]:
    """What must be the same on all nodes: Python, every package that xdist requires, and what CUDA comes with."""
    import torch

    try:
        requirements = [
            requirement for requirement in map(Requirement, metadata.requires("xdist-xtreme") or []) if not requirement.marker
        ]
    except metadata.PackageNotFoundError:
        requirements = []
    names = dict.fromkeys((*ALIKE[1:-1], *(requirement.name for requirement in requirements)))
    versions = {"python": platform.python_version(), **{name: installed(name) or "none" for name in names}}
    driver = Path("/proc/driver/nvidia/version")
    if torch.cuda.is_available():
        versions["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
        versions["GPU"] = torch.cuda.get_device_name()
    if driver.is_file():
        versions["NVIDIA driver"] = (
            driver.read_text(encoding="utf-8", errors="replace").split("\n")[0].removeprefix("NVRM version: ")
        )
    return versions


def judge_alike(nodes: Iterable[tuple[str, Mapping[str, str]]]) -> list[Finding]:
    """`nodes`: host and its facts; the first is what the others are compared with. Other versions of what the ranks exchange
    tensors and objects by are bad."""
    (first, wanted), *other_nodes = nodes
    return [
        Finding(
            CHECK,
            "bad" if name in ALIKE else "note",
            f"{name} {node_facts.get(name, 'none')}, but {wanted.get(name, 'none')} on {first}",
            "use one environment on all nodes",
            host,
        )
        for host, node_facts in other_nodes
        for name in {**wanted, **node_facts}
        if node_facts.get(name, "none") != wanted.get(name, "none")
    ]


def installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
