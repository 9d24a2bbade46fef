"""Preparing a run's data with a progress bar, and launching it: what several commands and the demo have in common."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from xdist.errors import RunError, UserError, not_given, one_line
from xdist.launch import local
from xdist.resolve.resolved import Resolved
from xdist.run import devices
from xdist.run.lasting import lasting
from xdist.run.lock import RunLock

if TYPE_CHECKING:
    from xdist.data.prepare import Preparation


@lasting()
def launch(kind: Literal["train", "evaluate"], resolved: Resolved, path: Path, overrides: Sequence[str]) -> int:
    """Prepare what is missing, run to the end on this machine, say how it ended; returns the exit code. Raises UserError, also
    where the run is running already; for more ranks than GPUs before anything is prepared, which may take hours."""
    from xdist.resolve.preparing import preparation_of

    run, folder, since = resolved.run, resolved.folder, time.time()
    devices.check(run.runtime.ranks)
    prepare(preparation_of(resolved, kind), run.name)
    folder.check(run)
    RunLock(folder.path).check()
    if folder.state == "failed":
        folder.mark("running")  # or a start that dies without a word would show why an earlier one failed
    code = local.start(kind, run.runtime.ranks, folder, path, overrides, since)
    if code == local.UNFINISHED:
        click.echo(f"{run.name} was stopped and saved; start it again to resume: {run.folder}", err=True)
    elif code == local.BROKEN:
        click.echo(f"xdist: {run.name} failed: {one_line(folder.reason()) or 'see above'} ({run.folder})", err=True)
    return code


def prepare(
    preparation: "Preparation",
    name: str,
    workers: int = 1,
    part: tuple[int, int] = (1, 1),
    on_bad: Literal["fail", "skip"] = "fail",
) -> None:
    """Make the prepared sets that are missing, or a part of their shards, and say what was cut or left out."""
    from xdist.data.shards import Shards
    from xdist.data.subset import Subset
    from xdist.run.progress import Progress

    preparation.check(list(preparation.folders))
    missing = preparation.missing()
    if not missing:
        return
    progress = Progress(f"prepare {name}", len(missing))
    left_out: list[str] = []
    tokens, begun = 0, time.perf_counter()

    def shard(subset: Subset, facts: dict[str, Any]) -> None:
        nonlocal tokens
        tokens += facts["tokens"]
        progress.note(f"{tokens:,} tokens, {tokens / (time.perf_counter() - begun):,.0f} tokens/s, {subset}")
        progress.advance(0)

    def made(subset: Subset, shards: Shards) -> None:
        left_out.extend(_left_out(str(subset), shards.manifest))
        progress.advance()

    try:
        preparation.make_missing(made, shard, workers, part, on_bad)
    except OSError as error:
        if lacks := not_given(error):
            raise RunError(f"{preparation.data.cache}: {lacks}") from None
        raise
    finally:
        progress.close()
    for line in left_out:
        click.echo(line, err=True)


def finish(preparation: "Preparation") -> None:
    """Write the manifests of sets whose shards were made in parts. Raises UserError for one that lacks any."""
    for subset in preparation.missing():
        if preparation.finish(subset) is None:
            raise UserError(f"{subset}: shards are missing in {preparation.folders[subset]}: run the parts that have not ended")


def verify(preparation: "Preparation") -> None:
    """Check every byte of all prepared sets, and say of each how it is. Raises UserError where one is damaged or missing."""
    from xdist.data.shards import Shards

    wrong = 0
    for subset, folder in preparation.folders.items():
        try:
            found = Shards(folder)
            found.verify()
            click.echo(f"{subset}: {len(found):,} rows are as they were written")
        except UserError as error:
            click.echo(f"{subset}: {error}", err=True)
            wrong += 1
    if wrong:
        raise UserError(f"{wrong} of {len(preparation.folders)} prepared sets are damaged or missing")


# What is counted in running text, as it is shown.
TOLD = {
    "over_long": "{} over-long lines skipped",
    "control": "{} control characters taken out",
    "bad": "{} unreadable lines skipped",
}


def _left_out(subset: str, manifest: dict[str, Any]) -> list[str]:
    told = [text.format(f"{manifest['lines'][key]:,}") for key, text in TOLD.items() if manifest.get("lines", {}).get(key)]
    if manifest["cut"]:
        told.append(f"{manifest['cut']} tokens of {manifest['cut_rows']} rows did not fit and were cut")
    return [f"{subset}: {', '.join(told)}"] if told else []
