"""The console command's door. It stands outside the package because pytest-xdist, where installed, owns `xdist/` too."""

import gc
import sys
from importlib import metadata


def main() -> None:
    other = next(iter(metadata.distributions(name="pytest-xdist")), None)
    if other is not None:
        print(
            f"xdist: pytest-xdist {other.version} is installed here and owns the import name 'xdist' too; remedy: "
            "pip uninstall -y pytest-xdist && pip install --force-reinstall --no-deps xdist-xtreme",
            file=sys.stderr,
        )
        sys.exit(2)
    gc.set_threshold(1_000_000)  # as many objects as imports never make: collections took a good tenth of a start
    from xdist.cli import main as command

    command()
