"""The console command's door, and the API under a name that pytest-xdist, where installed, does not own too:

import xdist_xtreme as xdist
"""

import gc
import sys
from importlib import import_module, metadata
from typing import Any

REMEDY = "remedy: pip uninstall -y pytest-xdist && pip install --force-reinstall --no-deps xdist-xtreme"
# Where each name of the API is: of two packages in one folder `xdist/__init__.py` may be the other one's, its modules are here.
PLACES = {
    **dict.fromkeys(("compare", "evaluate", "load", "report", "score", "tasks", "train"), "xdist.api"),
    **dict.fromkeys(("RunError", "UserError"), "xdist.errors"),
    "__version__": "xdist.version",
}


def __getattr__(name: str) -> Any:
    if name != "robust" and name not in PLACES:
        raise AttributeError(f"module 'xdist_xtreme' has no attribute '{name}'")
    try:
        import_module("xdist.version")
    except ModuleNotFoundError:
        place = import_module("xdist").__path__[0]
        raise ImportError(f"{place} is pytest-xdist's; {REMEDY}") from None
    return import_module("xdist.robust") if name == "robust" else getattr(import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES, "robust"})


def main() -> None:
    other = next(iter(metadata.distributions(name="pytest-xdist")), None)
    if other is not None:
        owns = f"pytest-xdist {other.version} is installed here and owns the import name 'xdist' too"
        print(f"xdist: {owns}; {REMEDY}", file=sys.stderr)
        sys.exit(2)
    gc.set_threshold(1_000_000)  # as many objects as imports never make: collections took a good tenth of a start
    from xdist.cli import main as command

    command()
