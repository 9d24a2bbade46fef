"""Preparing a run's data with a progress bar, and launching it: what several commands and the demo do alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from xdist.config import Run
from xdist.launch import local
from xdist.runtime.run_folder import RunFolder


def launch(kind: Literal["train", "evaluate"], run: Run, path: Path, overrides: Sequence[str]) -> int:
    """Prepare what is missing, run to the end on this machine, say how it ended; returns the exit code."""
    prepare(run, train=kind == "train")
    code = local.start(kind, run, path, overrides)
    if code == local.UNFINISHED:
        click.echo(f"{run.name} was stopped and saved; start it again to go on: {run.folder}", err=True)
    elif code == local.BROKEN:
        click.echo(f"xdist: {run.name} broke: {RunFolder(run.folder).reason() or 'see above'} ({run.folder})", err=True)
    return code


def prepare(run: Run, train: bool = True) -> None:
    """Make the prepared sets that are missing and say what was cut or left out."""
    from xdist.data.fetched import found_model
    from xdist.data.pieces import Piece
    from xdist.data.prepare import Preparation
    from xdist.data.shards import Shards
    from xdist.data.tokenizer import load_tokenizer
    from xdist.model.encoder import check_vocabulary, load_config
    from xdist.runtime.progress import Progress

    backbone = found_model(run).backbone
    config = load_config(backbone)
    tokenizer = load_tokenizer(backbone)
    check_vocabulary(backbone, config, tokenizer)
    preparation = Preparation(run, tokenizer, train)
    missing = preparation.missing()
    if not missing:
        return
    progress = Progress(f"prepare {run.name}", len(missing))
    cut: list[str] = []
    tokens = 0

    def made(piece: Piece, shards: Shards) -> None:
        nonlocal tokens
        tokens += shards.manifest["tokens"]
        if shards.manifest["cut"]:
            cut.append(f"{piece}: {shards.manifest['cut']} tokens of {shards.manifest['cut_rows']} rows")
        progress.note(f"{tokens:,} tokens")
        progress.advance()

    try:
        preparation.make_missing(made)
    finally:
        progress.close()
    for line in cut:
        click.echo(f"did not fit and was cut: {line}", err=True)
