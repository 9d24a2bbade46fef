"""The README as a package index shows it: links to files of the project do not work there, so pages are named as `xdist docs`
prints them, and of other files their names are left. hatchling calls it when a package is built (pyproject.toml)."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\[([^\]\[]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)\s]*)?\)")


class OnAnIndex(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": LINK.sub(_told, text)}


def _told(link: re.Match[str]) -> str:
    path = Path(link[2])
    named = f"xdist docs {path.stem}" if path.suffix == ".md" else link[2]
    return f"{link[1]} (`{named}`)"
