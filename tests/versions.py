"""The lowest or the highest versions that pyproject.toml allows, as pip's constraints: `python tests/versions.py lowest`.

torch stays the pinned one, since PyPI's other builds are gigabytes of CUDA; `--torch lowest` (or highest) requests another
where an index of smaller ones can be reached.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOWEST = re.compile(r">=\s*([0-9][\w.]*)")


def constraints(end: str, torch: str = "pinned") -> Iterator[str]:
    """A line for each requirement of the package, and for what tests need the pinned version. Highest: what a range leaves to
    pip, which takes the newest there is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    for requirement in project["dependencies"]:
        name, least = re.split(r"[<>=]", requirement)[0].strip(), LOWEST.search(requirement)
        if name == "torch" and torch == "pinned":
            yield f"torch=={pinned['torch']}"
        elif least and (torch if name == "torch" else end) == "lowest":
            yield f"{name}=={least[1].removesuffix('.dev0')}"
    tools = {re.split(r"[<>=]", one)[0].strip() for extra in ("dev", "demo") for one in project["optional-dependencies"][extra]}
    yield from (f"{name}=={version}" for name, version in pinned.items() if name in tools)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("end", choices=("lowest", "highest"))
    parser.add_argument("--torch", choices=("pinned", "lowest", "highest"), default="pinned")
    options = parser.parse_args()
    sys.stdout.writelines(f"{line}\n" for line in constraints(options.end, options.torch))


if __name__ == "__main__":
    main()
