"""What the site needs beyond the pages below docs/: the README as its first page, and the files that pages link to.

Used by mkdocs (mkdocs.yml), whose names for events the functions have.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]\[]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    pages = [file for file in files if file.src_uri.endswith(".md")]
    links = (_path(page.src_uri, link[2]) for page in pages for link in LINK.finditer(page.content_string))
    for path in sorted({path for path in links if not path.startswith("docs/") and (ROOT / path).is_file()} - {"README.md"}):
        code = f"# {path}\n\n````\n{(ROOT / path).read_text(encoding='utf-8')}\n````\n"
        files.append(File.generated(config, f"source/{path}.md", content=code))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of the README and links out of docs/ lead to what the site has; of a folder the name is left."""
    at = page.file.src_uri

    def led(link: re.Match[str]) -> str:
        path = _path(at, link[2])
        if path == "README.md":
            there = "index.md"
        elif path.startswith("docs/"):
            there = path.removeprefix("docs/")
        elif (ROOT / path).is_dir():
            return f"{link[1]} (`{path}`)"
        else:
            there = f"source/{path}.md"
        return f"[{link[1]}]({relpath(there, dirname(at) or '.')}{link[3] or ''})"

    return markdown if at.startswith("source/") else LINK.sub(led, markdown)


def _path(uri: str, link: str) -> str:
    """What a link of a page leads to, from the root of the project."""
    return normpath(join("" if uri == "index.md" else "docs", dirname(uri), link))
