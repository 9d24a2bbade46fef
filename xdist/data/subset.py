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

    def __str__(self) -> str:
        return f"{self.task.name} {self.split} {self.language}"


def pool_subsets(task: Task) -> list[Subset]:
    """The subsets whose rows are the candidates of all queries of `task`; none for most tasks."""
    return [Subset(task, POOL, code) for code in task.pool]
