"""Readers of the files that tasks are read from: one table, each with valid files of its form and faults with a name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from hostile_inputs.changes import Change, mutated
from hostile_inputs.judge import FREE, Generator, Input


@dataclass(frozen=True, slots=True)
class FileReader:
    """`valid` gives files by their path below a folder, and what is right of what `read` then gives. `faults` are changes of
    the file `target`, each of which has to be refused, with the name of the file in the message."""

    name: str
    valid: Callable[[Random], tuple[dict[str, bytes], Callable[[Any], bool]]]
    read: Callable[[Path], Any]
    target: str
    faults: Mapping[str, Change] = field(default_factory=dict)
    named: bool = True


def of_files(reader: FileReader) -> Generator:
    """A valid input, one with a fault, and one with free mutations, in turn."""

    def generate(rng: Random, place: Path) -> Iterator[Input]:
        names = list(reader.faults)
        while True:
            for fault in ("", rng.choice(names), FREE) if names else ("", FREE):
                files, right = reader.valid(rng)
                if fault == FREE:
                    path = rng.choice(list(files))
                    files[path] = mutated(rng, files[path])
                elif fault:
                    files[reader.target] = reader.faults[fault](rng, files[reader.target])
                for path, raw in files.items():
                    (place / path).parent.mkdir(parents=True, exist_ok=True)
                    (place / path).write_bytes(raw)
                refused = None if fault == FREE else bool(fault)
                says = Path(reader.target).name if reader.named else ""
                yield Input(reader.name, fault, lambda: reader.read(place), refused, says, right)

    return generate
