"""xdist study freeze: what a study is to find out, written down before its first run."""

from pathlib import Path

import click

from xdist.cli.as_json import json_option, print_json
from xdist.cli.options import study_arguments
from xdist.cli.study_read import facts_in


@click.command(name="freeze", short_help="Record hypotheses and planned tests before the first run.")
@study_arguments
@json_option
def command(path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Write the study's digest, its hypotheses and its planned tests into its folder (frozen.json), before its first run.

    The report then says whether what it shows is what was frozen, and if not, what was changed since. Refused once a run has
    started. Give `xdist study run` and `xdist report` the same overrides.

    \b
    Example:
      xdist study freeze jobs/studies/demo.yaml
    """
    from xdist.config import load_study
    from xdist.run.tables import show
    from xdist.study import expand
    from xdist.study.freeze import freeze

    study = load_study(path, overrides)
    graph = expand(study, facts_in(study.folder))
    file, content = freeze(graph)
    if as_json:
        print_json({"file": file, **content})
        return
    for sentence in content["hypotheses"]:
        show(sentence)
    show(f"planned tests: {len(content['tests'])}, {content['correction']}")
    click.echo(f"frozen since {content['written']}, digest {content['digest']}: {file}")
    click.echo(f"next:   xdist study run {' '.join(map(str, (path, *overrides)))}")
