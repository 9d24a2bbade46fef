"""What there is of a kind, such as methods of robust training: ours and others', entered by the same `register`.

    METHODS: Registry[type[Method]] = Registry("method", "xdist.robust")     # ours: what that module imports
    METHODS.register(Free)                                                  # in any file that adds something
    METHODS.get("free")

Ours are imported when something is first needed; what installed distributions offer (xdist/plugins.py) when a name is needed
that is not ours. What a plugin of one file provides is available to the runs that name that file, and for a command that was
given it.
"""

import sys
from collections.abc import Collection, Iterable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Generic, Protocol, TypeVar

from xdist import plugins
from xdist.errors import UserError, unknown


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    def __init__(self, kind: str, ours: str) -> None:
        """`kind` is its word in messages; importing the module `ours` registers what the package itself has."""
        self.kind, self._ours = kind, ours
        self._values: dict[str, tuple[T, ModuleType]] = {}

    def register(self, value: T) -> T:
        """Enter `value` under its name and give it back. Raises UserError for a name that is taken."""
        module = sys.modules[sys._getframe(1).f_globals["__name__"]]  # whose code calls this
        if not self._is_ours(module):
            self._import_ours()
        name = value.name
        if name in self._values and not _replaced(self._values[name][1], module):
            raise UserError(f"{self.kind} '{name}' is already registered, in {_place(self._values[name][1])}")
        self._values[name] = value, module
        return value

    def get(self, name: object, named: Collection[str] | None = None, beside: Iterable[str] = ()) -> T:
        """The value of that name. `named`: what a run calls its plugins, 'name@digest' each, and nothing of other files is
        there; None: everything that was registered. Raises UserError with the nearest name, which may be one of those that are
        valid `beside`; of a run whose plugins were not imported it says that the value is not installed here."""
        if self.has(name, named):
            return self.there(named)[str(name)]
        if not all(map(plugins.is_imported, named or ())):
            raise UserError(not_here(self.kind, name))
        raise UserError(unknown(self.kind, name, [*self.there(named), *beside]))

    def has(self, name: object, named: Collection[str] | None = None) -> bool:
        """Whether there is a value of that name, as for `get`."""
        if str(name) not in self.there(named):
            plugins.load_offered()
        return str(name) in self.there(named)

    def there(self, named: Collection[str] | None = None) -> dict[str, T]:
        """By name what `get` finds without importing what distributions offer; ours first, in the order of registering."""
        self._import_ours()
        files = {plugins.ONE_FILE + plugins.digest_in(entry) for entry in (*(named or ()), *plugins.given_now())}

        def is_there(module: ModuleType) -> bool:
            of_a_file = module.__name__.startswith(plugins.ONE_FILE)
            return _imported(module) and (named is None or not of_a_file or module.__name__ in files)

        return {name: value for name, (value, module) in self._values.items() if is_there(module)}

    def ours(self) -> dict[str, T]:
        """What the package itself has, by name; nothing of others is imported."""
        self._import_ours()
        return {name: value for name, (value, module) in self._values.items() if self._is_ours(module)}

    def __iter__(self) -> Iterator[T]:
        """Everything in the order in which it was registered, ours first."""
        plugins.load_offered()
        return iter(self.there().values())

    def plugin(self, name: str) -> str | None:
        """What a run calls the plugin that registered this name, 'name@digest'; None: ours, or no such name. Raises UserError
        for what is neither its own file nor an installed module."""
        _, module = self._values.get(name, (None, None))
        return None if module is None or self._is_ours(module) else plugins.entry_of(module)

    def _import_ours(self) -> None:
        import_module(self._ours)

    def _is_ours(self, module: ModuleType) -> bool:
        return _top(module.__name__) == _top(self._ours)


def not_here(kind: str, name: object) -> str:
    """What to say of a value that another's folder names and that is not registered here."""
    return f"{kind} '{name}' is not installed here"


def _imported(module: ModuleType) -> bool:
    """Whether it was imported to its end; a plugin may fail after it has registered something."""
    return sys.modules.get(module.__name__) is module


def _replaced(old: ModuleType, new: ModuleType) -> bool:
    """Whether `new` may register a name of `old`: that failed, or is the same file before it was changed."""
    return not _imported(old) or (old is not new and _place(old) == _place(new))


def _place(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or module.__name__)


def _top(module: str) -> str:
    return module.partition(".")[0]
