"""What is prepared, mixed and scored as one: a task in one language and split."""

from dataclasses import dataclass

from xdist.tasks.catalog import Task
from xdist.tasks.catalog.task import POOL

# Raised whenever rows of the same files would come out otherwise.
ENCODING = 1


@dataclass(frozen=True, slots=True)
class Subset:
    """One task in one language and split: the unit of preparation, mixing and scoring."""

    task: Task
    split: str
    language: str

    @property
    def read_as(self) -> str:
        """The language as which an encoder reads its rows: of an ordered pair of one language with itself, that language."""
        parts = set(self.task.parts(self.language))
        return parts.pop() if len(parts) == 1 else self.language

    def __str__(self) -> str:
        return f"{self.task.name} {self.split} {self.language}"


def pool_subsets(task: Task) -> list[Subset]:
    """The subsets whose rows are the candidates of all queries of `task`; none for most tasks."""
    return [Subset(task, POOL, code) for code in task.pool]
