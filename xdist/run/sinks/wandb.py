"""Weights & Biases, for runs that name it: `runtime.sinks: [tensorboard, wandb]`, with the extra `wandb` installed.

Where WANDB_MODE is not set it stays offline: what a run logs is kept in wandb/ of its folder, and `wandb sync` sends it. All
starts of a run are one run there, by an id in the run folder.
"""

import io
import os
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from html import escape
from importlib.util import find_spec
from typing import Any

from xdist.errors import UserError
from xdist.files import write_text
from xdist.run.sinks.sink import Sink, Start

ID = "wandb-id"
MISSING = "needs the package wandb: pip install 'xdist-xtreme[wandb]'"


class WeightsAndBiases(Sink):
    """Its own step is not the run's, since an evaluation adds to steps that are past: every value is shown over `step`. Of what
    an earlier start logged after the step that this one resumes from, the later value of a step is used."""

    name = "wandb"

    @classmethod
    def check(cls) -> None:
        found = find_spec("wandb")
        if found is None or found.origin is None:  # a folder wandb/ of runs, as it leaves them, is no package
            raise UserError(MISSING)

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self.check()
        import wandb

        place = start.folder / ID
        if not place.is_file():
            write_text(place, secrets.token_hex(4) + "\n")
        self._wandb, id = wandb, place.read_text(encoding="utf-8").strip()
        # It names the files of a start by its second: those of two in one second would be written over each other.
        while any(start.folder.glob(f"wandb/*run-{datetime.now():%Y%m%d_%H%M%S}-{id}")):
            time.sleep(0.1)
        self._run = wandb.init(
            id=id,
            name=start.name,
            dir=str(start.folder),
            config=dict(start.config),
            project=os.environ.get("WANDB_PROJECT", "xdist"),
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True, save_code=False, disable_git=True),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def text(self, step: int, name: str, markdown: str) -> None:
        self._run.log({"step": step, name: self._wandb.Html(f"<pre>{escape(markdown)}</pre>")})

    def figure(self, step: int, name: str, png: bytes) -> None:
        from PIL import Image

        self._run.log({"step": step, name: self._wandb.Image(Image.open(io.BytesIO(png)))})

    def hparams(self, values: Mapping[str, Any], metrics: Mapping[str, float], run: str = "") -> None:
        """Its configuration exists already; scores become the summary, by which runs are compared."""
        if not run:
            self._run.summary.update(dict(metrics))

    def close(self) -> None:
        self._run.finish()
