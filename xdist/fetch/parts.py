"""Which files of a repository are wanted: the parts of a model, the splits of a data set. Names alone, no network."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from xdist.data.fetched import RepositoryKind, may_be_hub_id
from xdist.data.subset import Subset
from xdist.errors import UserError, unknown
from xdist.tasks.catalog import Task
from xdist.tasks.catalog.hub import parquet_files
from xdist.tasks.catalog.task import POOL

# Of each part the first alternative that the repository has a file of. Only the top folder is looked at: what is below is
# the model in other formats.
MODEL_PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "config": (("config.json",),),
    "tokenizer": (
        ("tokenizer*.json", "*.model", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json"),
    ),
    "weights": (("model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),),
    "heads": (("heads.json", "heads.safetensors"),),
    "lineage": (("trained_on.json",),),
}
OPTIONAL = frozenset({"heads", "lineage"})
PICKLED = "pytorch_model*.bin"


@dataclass(frozen=True, slots=True)
class Repository:
    """`parts` are keys of MODEL_PARTS, or `<config>/<split>` of a data set in its own names; without one of `needed` a fetch
    is refused."""

    kind: RepositoryKind
    id: str
    parts: tuple[str, ...]
    needed: frozenset[str]

    def __str__(self) -> str:
        return f"{'model' if self.kind == 'model' else 'data set'} {self.id}"


def known_parts(kind: RepositoryKind, parts: Iterable[str]) -> bool:
    """Whether `parts` can be parts of a repository of this kind."""
    return all(part in MODEL_PARTS if kind == "model" else "/" in part for part in parts)


def files_of(kind: RepositoryKind, part: str, paths: Iterable[str]) -> list[str]:
    """Those of `paths` that make up a part; none where the repository does not have it."""
    if kind == "model":
        folder, alternatives = "", MODEL_PARTS[part]
    else:
        folder, _, split = part.rpartition("/")
        folder, alternatives = f"{folder}/", tuple((pattern,) for pattern in parquet_files(split))
    below = {path.removeprefix(folder): path for path in paths if path.startswith(folder)}
    for patterns in alternatives:
        if found := sorted(path for name, path in below.items() if any(_fits(name, pattern) for pattern in patterns)):
            return found
    return []


def describe_absence(kind: RepositoryKind, part: str, paths: Iterable[str]) -> str:
    """What to say of a part that `files_of` finds no file of."""
    pickled = sorted(path for path in paths if _fits(path, PICKLED)) if (kind, part) == ("model", "weights") else []
    if not pickled:
        return f"has no files of '{part}'"
    return f"has only pickled weights ({pickled[0]}), which are not read; it must first be saved as safetensors. Looked"


def _fits(name: str, pattern: str) -> bool:
    names, patterns = name.split("/"), pattern.split("/")
    return len(names) == len(patterns) and ".." not in names and all(map(fnmatchcase, names, patterns))


def model(id: str) -> Repository:
    """Raises UserError for what cannot be a hub id."""
    if not may_be_hub_id(id):
        raise UserError(f"{id}: is not a hub id (name or owner/name)")
    return Repository("model", id, tuple(MODEL_PARTS), frozenset(MODEL_PARTS) - OPTIONAL)


def subsets_of_task(task: Task, languages: tuple[str, ...]) -> list[Subset]:
    """Every split of a task that its data set has, in `languages` or all of them. Raises UserError."""
    base = task.pairs_of or task
    if base.hub is None:
        raise UserError(f"task '{task.name}': no data set of the hub holds it (`xdist tasks` lists the official files)")
    languages = tuple(base.own(code) for code in languages)
    for code in languages:
        if code not in base.languages:
            raise UserError(f"task '{task.name}': {unknown('language', code, base.languages)}")
        if code in base.hub.lacks:
            raise UserError(
                f"task '{task.name}': {base.hub.id} does not have '{code}' (`xdist tasks` lists the official files)"
            )
    return [
        Subset(base, split, code)
        for split in base.files
        for code in base.languages_of(split)
        if base.on_hub(split, code)
        and (split == POOL or ((not languages or code in languages) and (split != "train" or code in base.train_languages)))
    ]


def data_sets(subsets: Iterable[tuple[Subset, bool]], root: Path) -> tuple[list[Repository], list[str]]:
    """The data sets that hold `subsets` (and whether each is named, so that it must be there), except for subsets whose
    official files are below `root`; and a line for each task and split that no data set holds."""
    parts: dict[str, dict[str, bool]] = {}
    elsewhere: dict[str, None] = {}
    for subset, needed in subsets:
        base = subset.task.pairs_of or subset.task
        for code in subset.task.parts(subset.language):
            hub = base.on_hub(subset.split, code)
            of_hub = hub and base.paths(root, subset.split, code)[0].suffix == ".parquet"
            if base.is_there(root, subset.split, code) and not of_hub:
                continue
            if hub is None:
                what, sought = f"{base.name} {subset.split}", root / base.files[subset.split][0]
                if base.translated and code not in base.languages:  # which `files` does not name
                    what, sought = f"{what} in {code}", base.paths(root, subset.split, code)[0]
                elsewhere[f"{what}: no data set of the hub holds it; xdist looks for {sought}"] = None
                continue
            part = f"{hub.config_of(code)}/{hub.split_of(subset.split, code)}"
            wanted = parts.setdefault(hub.id, {})
            wanted[part] = wanted.get(part, False) or needed
    sets = [
        Repository("dataset", id, tuple(wanted), frozenset(part for part, needed in wanted.items() if needed))
        for id, wanted in parts.items()
    ]
    return sets, list(elsewhere)
