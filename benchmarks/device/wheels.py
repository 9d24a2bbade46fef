"""What is missing here, unpacked from a folder of wheels into a folder that only the checks see."""

import importlib.metadata
import os
import re
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# What a training run imports. `pip wheel` and `pip download` fetch it where there is a registry (docs/performance.md).
NEEDED = (
    "accelerate",
    "annotated-types",
    "click",
    "deepspeed",
    "einops",
    "fsspec",
    "hjson",
    "huggingface-hub",
    "jinja2",
    "msgpack",
    "ninja",
    "numpy",
    "packaging",
    "protobuf",
    "psutil",
    "py-cpuinfo",
    "pyarrow",
    "pydantic",
    "pydantic-core",
    "pyyaml",
    "rich",
    "safetensors",
    "sentencepiece",
    "tensorboard",
    "tokenizers",
    "torch",
    "tqdm",
    "transformers",
    "typing-extensions",
    "typing-inspection",
)


def unpacked(folder: str | None, site: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """(variables for the processes that check, what to write down). Wheels are zip files: no installer is needed, and nothing
    outside `site` changes."""
    missing = [name for name in NEEDED if not _version(name)]
    taken: list[str] = []
    for wheel in sorted(Path(folder).glob("*.whl")) if folder else ():
        name = _plain(wheel.name.split("-")[0])
        if name in missing:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
            missing.remove(name)
            taken.append(wheel.name)
    places = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests")]
    if taken:
        places.insert(0, str(site))
    paths = os.pathsep.join([*places, *filter(None, [os.environ.get("PYTHONPATH")])])
    said = {
        "taken": taken,
        "missing": missing,
        "versions": {name: version for name in NEEDED if (version := _version(name))},
    }
    if missing:
        said["reason"] = f"neither here nor among --wheels: {', '.join(missing)}"
    return {"PYTHONPATH": paths}, said


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
