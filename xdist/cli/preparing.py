"""Preparing a run's data with a progress bar."""

import click

from xdist.config import Run


def prepare(run: Run, train: bool = True) -> None:
    """Make the prepared sets that are missing and say what was cut or left out."""
    from xdist.data.pieces import Piece
    from xdist.data.prepare import Preparation
    from xdist.data.shards import Shards
    from xdist.data.tokenizer import load_tokenizer
    from xdist.model.encoder import check_vocabulary, load_config
    from xdist.runtime.progress import Progress

    config = load_config(run.model.backbone)
    tokenizer = load_tokenizer(run.model.backbone)
    check_vocabulary(run.model.backbone, config, tokenizer)
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
