"""Every generator by its name."""

from hostile_inputs import descriptions, folders, hub, models, official, own, predictions, retrieval, tables, xglue
from hostile_inputs.files import of_files
from hostile_inputs.judge import Generator

READERS = [
    reader
    for module in (official, xglue, retrieval, tables, own, descriptions, predictions, models)
    for reader in module.READERS
]
GENERATORS: dict[str, Generator] = {**{one.name: of_files(one) for one in READERS}, **folders.GENERATORS, **hub.GENERATORS}
