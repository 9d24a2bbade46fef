"""From one file to the description that reads it and its siblings: languages and splits by names, the rest by its rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from xdist.errors import UserError
from xdist.files import yaml_text
from xdist.formats.guessed import guess_form
from xdist.formats.lines import read_lines
from xdist.languages import find_language, same_language
from xdist.tasks.catalog.labels import with_found_labels
from xdist.tasks.catalog.task import TASKS
from xdist.tasks.catalog.user import user_tasks

SPLITS = {
    "train": ("train", "training", "trn"),
    "dev": ("dev", "valid", "validation", "val"),
    "test": ("test", "tst", "devtest"),
}
# A part of a path that may be a code: "en" and "yor_Latn" in "yor_Latn/train.tsv" or "swa-train_en.tsv".
_CODE = re.compile(r"(?<![A-Za-z])([a-z]{2,3}(?:[_-][A-Z][a-z]{3})?)(?![A-Za-z])")
_WORDS = {
    "tsv",
    "csv",
    "ner",
    "pos",
    "txt",
    "sib",
    "iob",
    "bio",
    "the",
    "tag",
    "tab",
    "set",
    "dev",
    "val",
    "tst",
    "trn",
    "raw",
    "ud",
}
_ANY = {"data", "download", "downloads", "files", "datasets", "tmp", ""}  # folders of anything
FIRST = 3


@dataclass(frozen=True, slots=True)
class Inspected:
    """`text`: YAML of a task, which reads the file below `root`; `remarks`: what the reader should know or put right; `first`:
    its first examples as they were understood, one line each."""

    text: str
    root: Path
    remarks: tuple[str, ...]
    first: tuple[str, ...]


def inspect_file(path: Path, root: Path | None = None, family: str = "", name: str = "") -> Inspected:
    """What describes the file at `path`, which is below the data root, by itself the file's folder or the one above
    those of languages. Raises UserError as `guess` does, and for a file that is not below `root`."""
    if not path.is_file():
        raise UserError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    root = root or _root(path)
    if not path.absolute().is_relative_to(root.absolute()):
        raise UserError(f"{path}: is not below the data root {root}")
    keys = guess_form(path, family)
    place = str(path.absolute().relative_to(root.absolute()))
    pattern, code, codes = _languages(place, root)
    remarks = [] if codes else ["no code of a language is in the file's name: correct `languages`"]
    codes, code = codes or ["en"], code or "en"
    files, split = _splits(pattern, codes, root)
    if keys["family"] == "masked-lm":
        remarks += _translations(path, pattern, codes, root)
        files = {"train": re.sub(r"\.(txt|jsonl|tsv|parquet)(\.gz|\.zst)?$", "", pattern)}
    if keys["family"] == "sentence-retrieval":
        files = {"test": pattern}
        if keys.get("form") == "parallel":
            pivot = next((code for code in codes if same_language(code, "en")), "")
            if not pivot:
                raise UserError(f"{path}: no file in English in its folder, whose sentences are searched; name another `pivot`")
            codes = [code for code in codes if code != pivot]
            code = code if code in codes else next(iter(codes), "")
            if not code:
                raise UserError(f"{path}: no file in another language in its folder")
            keys["pivot"] = pivot
    if not split and keys["family"] not in ("masked-lm", "sentence-retrieval"):
        remarks.append("the file's name does not say whether it is for training or a test: put `files` right")
    if "train" not in files and keys["family"] in ("classification", "tagging"):
        remarks.append("no training files in its folder: `labels` are those of this file")
    if any(label.lstrip("-").isdigit() for label in keys.get("labels", ())):
        remarks.append("labels are numbers: `names: {0: …, 1: …}` says what they mean, and `labels` then has the names")
    entry = {"family": keys.pop("family"), "languages": codes, "files": files, **keys}
    text = yaml_text({"tasks": {name or _name(path, root): entry}}, flow=None)
    return Inspected(
        text, root, tuple(remarks), tuple(_first_examples(text, root, split if split in files else next(iter(files)), code))
    )


def _root(path: Path) -> Path:
    """The folder above the one that is called by the code of a language, where one of the last two is; else the file's own."""
    for folder in (path.absolute().parent, path.absolute().parent.parent):
        siblings = [entry for entry in folder.parent.iterdir() if entry.is_dir() and _is_code(entry.name)]
        if _is_code(folder.name) and (len(siblings) > 1 or len(folder.name) > 3):
            return _short(folder.parent)
    return path.parent


def _short(folder: Path) -> Path:
    """As it is named from where one is, if that is above it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _is_code(text: str) -> bool:
    return bool(_CODE.fullmatch(text)) and text not in _WORDS and find_language(text) is not None


def _languages(place: str, root: Path) -> tuple[str, str, list[str]]:
    """The pattern of a file's name, the code in it, and the codes for which such files exist; no codes where the name has
    none. The last code whose place other files fill differently is the language's."""
    plain = place.replace("{", "{{").replace("}", "}}")
    tried = [match[1] for match in _CODE.finditer(place) if _is_code(match[1])]
    for code in tried[::-1]:
        pattern = _CODE.sub(lambda match, code=code: "{language}" if match[1] == code else match[0], plain)  # type: ignore[misc]
        codes = [code]
        for other in _codes_with_files(pattern, root):
            if not any(same_language(other, code) for code in codes):
                codes.append(other)
        if len(codes) > 1 or code == tried[0]:
            return pattern, code, sorted(codes)
    return plain, "", []


def _codes_with_files(pattern: str, root: Path) -> list[str]:
    """The codes that name files of this pattern."""
    before, _, after = pattern.partition("{language}")
    folder, _, head = before.rpartition("/")
    tail = after.partition("/")[0].partition("{")[0]
    entries = [entry.name for entry in (root / folder).iterdir()] if (root / folder).is_dir() else []
    names = (name[len(head) :] for name in entries if name.startswith(head))
    codes = {name.partition(tail)[0] if tail else name for name in names}
    return [code for code in sorted(codes) if _is_code(code) and (root / pattern.format(language=code)).is_file()]


def _translations(path: Path, pattern: str, codes: list[str], root: Path) -> list[str]:
    """A remark where the file in English for a text has as many lines."""
    english = next((root / pattern.format(language=code) for code in codes if same_language(code, "en")), path)
    if english.absolute() == path.absolute() or path.suffix in (".parquet", ".jsonl"):
        return []
    mine, others = (sum(1 for _ in read_lines(file)) for file in (path, english))
    return [f"{english.name} has as many lines: with `--family sentence-retrieval` it is searched in"] if mine == others else []


def _splits(pattern: str, codes: list[str], root: Path) -> tuple[dict[str, str], str]:
    """The pattern of each split that exists for one of the languages, and that of the file itself, "" where its name does not
    say it."""
    words = {word: split for split, words in SPLITS.items() for word in words}
    matches = list(re.finditer(rf"(?<![A-Za-z])({'|'.join(sorted(words, key=len, reverse=True))})(?![A-Za-z])", pattern))
    if not matches:
        return {"train": pattern}, ""
    files: dict[str, str] = {}
    place = matches[-1]  # the file's name says it sooner than a folder's
    for word in (place[1], *words):
        sibling = pattern[: place.start()] + word + pattern[place.end() :]
        if words[word] not in files and any((root / sibling.format(language=code)).is_file() for code in codes):
            files[words[word]] = sibling
    return {split: files[split] for split in SPLITS if split in files}, words[place[1]]


def _name(path: Path, root: Path) -> str:
    own = root.absolute().name.lower()
    words = [own] if own not in _ANY else re.split(r"[^a-z0-9]+", path.stem.lower())
    words_left = [word for word in words if word and not _is_code(word) and not any(word in ones for ones in SPLITS.values())]
    name = "-".join(dict.fromkeys(words_left)) or "mine"
    return f"my-{name}" if TASKS.has(name) else name


def _first_examples(text: str, root: Path, split: str, code: str) -> Iterator[str]:
    with TemporaryDirectory() as place:
        (described := Path(place) / "tasks.yaml").write_text(text, encoding="utf-8")
        ((_, task),) = user_tasks(described).items()
    if task.fields:
        yield from (line.text for line in islice(task.examples(root, split, code), FIRST))
        return
    read = with_found_labels(replace(task, need_gold=()), root).examples(root, split, code)
    yield from map(str, islice(read, FIRST))
