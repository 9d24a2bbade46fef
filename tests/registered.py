"""What tests register is forgotten after them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xdist import plugins
from xdist.config.method import METHODS
from xdist.launch.scheduler import KINDS
from xdist.metrics import METRICS
from xdist.registry import Registry
from xdist.run.sinks import SINKS
from xdist.tasks.catalog import TASKS
from xdist.tasks.families import FAMILIES

REGISTRIES: list[Registry[Any]] = [METHODS, KINDS, METRICS, SINKS, TASKS, FAMILIES]


@contextmanager
def forgetting() -> Iterator[None]:
    """What is registered inside, and the plugins that are imported inside, are gone after it."""
    for registry in REGISTRIES:
        registry.ours()  # are there
    before = [(registry, dict(registry._values)) for registry in REGISTRIES]
    modules = set(sys.modules)
    try:
        yield
    finally:
        brought = {module.__name__ for registry in REGISTRIES for _, module in registry._values.values()}
        for registry, values in before:
            registry._values.clear()
            registry._values.update(values)
        for name in set(sys.modules) - modules:
            if name.startswith(plugins.ONE_FILE) or name in brought:
                del sys.modules[name]
        for cached in (plugins.load_offered, plugins._enter, plugins._entry_of_installed):
            cached.cache_clear()
