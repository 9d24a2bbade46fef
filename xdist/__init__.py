"""xdist: multilingual intermediate and robust training of XLM-R encoders, scored on all of XTREME-R.

    import xdist
    xdist.train("run.yaml", "train.steps=100")

The names of `__all__` are the API (docs/api.md); nothing is imported before one of them is requested.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xdist.version import __version__

if TYPE_CHECKING:
    from xdist import robust
    from xdist.api import RunError, UserError, compare, evaluate, load, report, score, tasks, train

__all__ = ["RunError", "UserError", "__version__", "compare", "evaluate", "load", "report", "robust", "score", "tasks", "train"]


class _OfApi:
    """A name of the API, found when it is first needed."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, package: ModuleType | None, owner: type) -> Any:
        return getattr(import_module("xdist.api"), self.name)

    def __set__(self, package: ModuleType, value: object) -> None:
        if not isinstance(value, ModuleType):
            raise AttributeError(f"xdist.{self.name} is part of the API and cannot be set")


class _Package(ModuleType):
    # Some of these are also modules inside the package: `xdist.train` is what ranks run. Importing such a module sets it as the
    # package's attribute and would hide the function from then on. An attribute of a class that has both __get__ and __set__
    # comes before those of the instance, so the function stays, and what the import system sets is dropped: it finds modules in
    # sys.modules.
    RunError, UserError, compare, evaluate, load, report, score, tasks, train = (_OfApi() for _ in range(9))

    def __getattr__(self, name: str) -> Any:
        if name == "robust":
            return import_module("xdist.robust")
        raise AttributeError(f"module 'xdist' has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
