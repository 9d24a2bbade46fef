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
        """The language as which an encoder reads its rows: the one that they are written in, where they do not mix two."""
        return self.language if self.task.mixes(self.language) else self.task.written_in(self.language)[0]

    def __str__(self) -> str:
        return f"{self.task.name} {self.split} {self.language}"


def pool_subsets(task: Task) -> list[Subset]:
    """The subsets whose rows are the candidates of all queries of `task`; none for most tasks."""
    return [Subset(task, POOL, code) for code in task.pool]
