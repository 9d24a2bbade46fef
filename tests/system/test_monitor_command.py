"""xdist monitor: a real TensorBoard, asked what runs it shows."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from xdist.config import load_run
from xdist.run.folder import RunFolder
from xdist.run.sinks import Sinks, Start


def test_runs_are_shown_by_name_on_this_machine_only(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run = {
            "name": f"mine/{name}",
            "folder": str(tmp_path / "runs" / name),
            "model": {"backbone": "encoder"},
            "data": {"root": "benchmark"},
            "train": {"tasks": [{"task": "xnli"}], "steps": 10},
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
        folder = RunFolder(tmp_path / "runs" / name)
        folder.open(load_run(tmp_path / "run.yaml"), None, {})
        sinks = Sinks(("jsonl", "tensorboard"), Start(folder.path, "one", {}, 0))
        sinks.scalars(1, {"train/loss": 2.0})
        sinks.close()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [str(Path(sys.executable).with_name("xdist")), "monitor", "runs", "--port", str(port)]
    # A separate session, ended as a whole: the command waits for the TensorBoard below it.
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert _runs(port, process) == ["mine-one", "mine-two"]
        tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
        listening = [line.split()[1] for table in tables for line in table if line.split()[3] == "0A"]
        assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # SIGINT is ignored by what a shell started in the background
        process.wait(timeout=60)


def _runs(port: int, process: subprocess.Popen[bytes]) -> list[str]:
    """What TensorBoard lists, once it has read two runs."""
    limit = time.monotonic() + 200
    found: list[str] = []
    while len(found) < 2:
        assert process.poll() is None
        assert time.monotonic() < limit, found
        time.sleep(0.3)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs", timeout=20) as answer:
                found = json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            continue
    return sorted(found)
