"""What the commands of `xdist study` read before they begin."""

from pathlib import Path
from typing import Any


def read_standings(path: Path, overrides: tuple[str, ...]) -> Any:
    from xdist.config import load_study
    from xdist.study import expand
    from xdist.study.state import standings

    study = load_study(path, overrides)
    facts = facts_in(study.folder)
    graph = expand(study, facts)
    return graph, facts, standings(graph, facts)


def facts_in(folder: Path) -> Any:
    from xdist.study import Facts

    return Facts(folder / "digests.json")


def make_demo(folder: Path) -> None:
    from xdist.errors import UserError

    try:
        from xdist.demo.pipeline import materials
    except ModuleNotFoundError as error:
        raise UserError(f"the demo needs {error.name}: pip install 'xdist-xtreme[demo]'") from None
    materials(folder)
