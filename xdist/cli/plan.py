"""xdist plan: what a training needs, before there is a machine for it."""

from pathlib import Path

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.completion import keys_of


@click.command(name="plan", short_help="ZeRO stage, batch, memory and hours of a model or run on given GPUs.")
@click.argument("what", metavar="MODEL|RUN.yaml")
@click.argument("overrides", nargs=-1, metavar="[a.b=c]...", shell_complete=keys_of("run"))
@click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="GPUs of one machine.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines.")
@click.option(
    "--gpu-memory", type=click.FloatRange(0, min_open=True), help="GB (10^9 bytes) of one GPU; default: this machine's."
)
@click.option("--precision", type=click.Choice(["bf16", "fp16", "tf32", "fp32"]), help="Default: bf16, or that of the run.")
@click.option(
    "--tokens-per-batch", type=click.IntRange(16), help="Tokens of one micro-batch on one GPU; default: as many as fit."
)
@click.option(
    "--embedding-rows",
    type=click.IntRange(0),
    help="Rows of the embedding that are trained; default: all, of a prepared run those in use.",
)
@click.option("--length", type=click.IntRange(1), default=128, show_default=True, help="Tokens of a sequence, for a MODEL.")
@click.option(
    "--peak",
    type=click.FloatRange(0, min_open=True),
    help="TFLOP/s of one GPU in this precision (H100: 989, A100: 312 in bf16).",
)
@click.option("--measure", is_flag=True, help="Measure the peak on this machine instead, by a matrix product.")
@click.option(
    "--mfu",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the peak that training reaches; default: 0.4, of a measured peak 0.7.",
)
@click.option(
    "--interconnect",
    type=click.FloatRange(0, min_open=True),
    help="GB/s that a GPU sends to others; default: traffic is not counted.",
)
@click.option(
    "--write", type=click.Path(path_type=Path, dir_okay=False), help="Write the DeepSpeed configuration, for runtime.deepspeed."
)
@json_option
def command(
    what: str,
    overrides: tuple[str, ...],
    gpus: int,
    nodes: int,
    gpu_memory: float | None,
    precision: str | None,
    tokens_per_batch: int | None,
    embedding_rows: int | None,
    length: int,
    peak: float | None,
    measure: bool,
    mfu: float | None,
    interconnect: float | None,
    write: Path | None,
    as_json: bool,
) -> None:
    """Say how a model would be trained on given GPUs, from its configuration alone: MODEL is base, large, xl, xxl, demo, a
    folder or a hub id; RUN.yaml gives length, batch, method and steps too.

    Memory is that of one rank at its worst moment. Time is matrix products at a share of the peak, plus traffic without
    overlap.

    \b
    Example:
      xdist plan xl --gpus 8 --gpu-memory 80 --peak 989 --interconnect 300
      xdist plan jobs/runs/xtreme-r/xnli.yaml --gpus 4 --gpu-memory 40 --peak 312 --write zero.json
    """
    from xdist.cli.planned import format_plan
    from xdist.run.tables import show
    from xdist.study.planning import Machine, plan

    machine = Machine(gpus, nodes, gpu_memory, peak, measure, mfu, interconnect)
    found = plan(what, overrides, machine, precision, tokens_per_batch, embedding_rows, length)
    if write:
        found.write(write)
    if as_json:
        print_json(found.facts())
        return
    *lines, train_so = format_plan(found, write).split("\n")
    for line in lines:
        show(line)
    click.echo(train_so)  # to be copied: never broken
