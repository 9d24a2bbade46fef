"""xdist monitor: TensorBoard over runs."""

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from xdist.cli.options import say_wrong


@click.command(name="monitor", short_help="TensorBoard over the runs below a folder, on this machine only.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN|FOLDER]...")
@click.option(
    "--cluster",
    "cluster_path",
    metavar="CLUSTER.yaml",
    type=click.Path(path_type=Path),
    help="Print the configuration for this cluster (Kubernetes: a Deployment), to be piped into its command.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=6006, show_default=True)
def command(paths: tuple[Path, ...], cluster_path: Path | None, port: int) -> None:
    """Start TensorBoard on 127.0.0.1 with the runs that PATHS name (default: all below runs), each under its run's name.

    On a cluster reach it by: ssh -L 6006:127.0.0.1:6006 LOGIN_NODE

    \b
    Example:
      xdist monitor runs/demo
      xdist monitor --cluster jobs/clusters/kubernetes.yaml | kubectl apply -f -
    """
    if cluster_path:
        from xdist.errors import UserError
        from xdist.launch.clusters import kind_of, load_cluster

        cluster = load_cluster(cluster_path)
        text = kind_of(cluster).tensorboard(cluster)
        if text is None:
            raise UserError(
                f"{cluster_path}: is of kind '{cluster.kind}'; there run `xdist monitor` where the run folders are seen"
            )
        click.echo(text, nl=False)
        return
    from xdist.launch.status import find_runs, link_events

    with tempfile.TemporaryDirectory(prefix="xdist-monitor-") as folder:
        names, wrong = link_events(find_runs(paths or (Path("runs"),)), Path(folder))
        say_wrong(wrong, all_of_them=not names)
        click.echo(f"{', '.join(names)}: http://127.0.0.1:{port}", err=True)
        words = [sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--host", "127.0.0.1", "--port", str(port)]
        try:
            sys.exit(subprocess.run(words, check=False).returncode)
        except KeyboardInterrupt:
            sys.exit(0)
