"""Which (task, split, language) pieces a run reads: checked by name and file, without opening any."""

from dataclasses import dataclass
from pathlib import Path

from xdist.config import Run
from xdist.data.fetched import found_model
from xdist.data.heads import heads_in
from xdist.errors import UserError
from xdist.languages import LANGUAGES, by_size
from xdist.tasks.catalog import Task, sharing, task
from xdist.tasks.catalog.task import POOL, pair

# Raised whenever rows of the same files would come out otherwise.
ENCODING = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """One task in one language and split: the unit of preparation, mixing and scoring."""

    task: Task
    split: str
    language: str

    def __str__(self) -> str:
        return f"{self.task.name} {self.split} {self.language}"


def trained_tasks(run: Run) -> list[Task]:
    """The task of each entry of `train.tasks`, with the head that the run gives it. Raises UserError pointing at the key."""
    heads: dict[str, Task] = {}
    found: list[Task] = []
    for number, entry in enumerate(run.train.tasks if run.train else ()):
        key = ("train", "tasks", number, "task")
        found.append(one := _checked(run, key, entry.task))
        other = heads.setdefault(one.head, one)
        if (one.family, one.labels) != (other.family, other.labels):
            raise run.error(key, f"'{one.name}' and '{other.name}' cannot share the head '{one.head}': other family or labels")
    return found


def training_pieces(run: Run) -> list[Piece]:
    """The pieces that `train.tasks` names, in its order. Raises UserError pointing at the key that is wrong."""
    pieces: list[Piece] = []
    for number, (trained, entry) in enumerate(zip(trained_tasks(run), run.train.tasks if run.train else (), strict=True)):
        key = ("train", "tasks", number)
        if "train" not in trained.files:
            raise run.error((*key, "task"), f"task '{entry.task}' is evaluated, not trained")
        pieces += [
            _piece(run, (*key, "languages", index), trained, "train", code) for index, code in enumerate(entry.languages)
        ]
    seen: set[Piece] = set()
    for piece in pieces:
        if piece in seen:
            raise run.error(("train", "tasks"), f"{piece} stands here twice")
        seen.add(piece)
    return pieces


def selection_pieces(run: Run) -> list[Piece]:
    """The dev pieces that the model to keep is chosen by: of every trained task that has any. Raises UserError."""
    if run.train is None or run.train.select is None:
        return []
    key = ("train", "select")
    tasks = [entry for entry in dict.fromkeys(piece.task for piece in training_pieces(run)) if "dev" in entry.files]
    if not tasks:
        raise run.error(key, "no trained task has a dev set; leave it out to keep the last model")
    for entry in tasks:
        if run.train.select.by == "score" and not entry.scorable:
            raise run.error((*key, "by"), f"'{entry.name}' has no score on dev; give by: loss")
    languages = list(enumerate(run.train.select.languages))
    return [_piece(run, (*key, "languages", index), entry, "dev", code) for entry in tasks for index, code in languages]


def evaluation_pieces(run: Run, there: bool = True) -> list[Piece]:
    """The pieces that `evaluate` asks for: with languages 'all', every language whose file is there, or every language of the
    task where that is not to be looked at."""
    if run.evaluate is None:
        return []
    pieces: list[Piece] = []
    entries = [_checked(run, ("evaluate", "tasks", number), name) for number, name in enumerate(run.evaluate.tasks)]
    for number, entry in enumerate(entries):
        if not entry.scorable:
            raise run.error(("evaluate", "tasks", number), f"task '{entry.name}' is trained, not evaluated")
    known = set(LANGUAGES).union(*(entry.languages for entry in entries))
    for number, entry in enumerate(entries):
        split = run.evaluate.split
        if run.evaluate.languages == "all":
            found = [
                Piece(entry, split, code)
                for code in by_size(entry.languages)
                if split in entry.files and (not there or entry.is_there(run.data.root, split, code))
            ]
            if not found:
                paths = entry.paths(run.data.root, split, entry.languages[0])
                example = next((path for path in paths if not path.is_file()), paths[0])
                raise run.error(
                    ("evaluate", "tasks", number), f"no language of '{entry.name}' has its files, such as {example}"
                )
            pieces += found
        else:
            for code in run.evaluate.languages:
                if code not in known or code in entry.languages:
                    pieces.append(_piece(run, ("evaluate", "languages"), entry, split, code))
            if entry.pairs_of:  # two languages ask for all four pairs of them
                chosen = set(run.evaluate.languages)
                pieces += [Piece(entry, split, code) for code in entry.languages if chosen.issuperset(pair(code))]
    return list(dict.fromkeys(pieces))


def pool_pieces(task: Task) -> list[Piece]:
    """The pieces whose rows are the candidates of all queries of `task`; none for most tasks."""
    return [Piece(task, POOL, code) for code in task.pool]


def _checked(run: Run, key: tuple[str | int, ...], name: str) -> Task:
    try:
        entry = task(name, run.data.tasks)
    except UserError as error:
        raise run.error(key, str(error)) from None
    if run.train:
        return sharing(entry, run.train.share) if run.train.share else entry
    # What is only evaluated has the heads that it was trained with.
    held = heads_in(Path(found_model(run).backbone))
    return next((one for one in (entry, sharing(entry, "task"), sharing(entry, "family")) if one.head in held), entry)


def _piece(run: Run, key: tuple[str | int, ...], entry: Task, split: str, code: str) -> Piece:
    try:
        entry.paths(run.data.root, split, code)
    except UserError as error:
        raise run.error(key, str(error)) from None
    return Piece(entry, split, code)
