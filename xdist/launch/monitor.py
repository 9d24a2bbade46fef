"""The events of many runs below one folder, as TensorBoard wants them, each under the name of its run."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from xdist.config.loading import read_yaml
from xdist.runtime.run_folder import RunFolder


def link(folders: Iterable[Path], into: Path) -> list[str]:
    """Make links below `into` and return their names: a run's own name, with its folder's where two runs share one. A run
    that has logged nothing yet gets a link that its events will appear under."""
    runs = [(str(read_yaml(RunFolder(path).config)[0]["name"]).replace("/", "-"), path) for path in folders]
    count = Counter(name for name, _ in runs)
    names = []
    for name, path in runs:
        unique = name if count[name] == 1 else f"{name} ({path.parent.name}-{path.name})"
        (into / unique).symlink_to(RunFolder(path).tensorboard.resolve())
        names.append(unique)
    return names
