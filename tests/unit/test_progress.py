"""Bars at 80 columns, and what of libraries reaches the user: nothing but errors."""

import io
import logging
import re
import subprocess
import sys
import warnings

import pytest

from xdist.run import libraries
from xdist.run.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def frames(monkeypatch: pytest.MonkeyPatch, title: str, total: int, note: str, in_bytes: bool = False) -> list[str]:
    """What a terminal of 80 columns shows, last line last."""
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = Progress(title, total, in_bytes=in_bytes)
    bar.note(note)
    bar.advance(total // 2)
    bar.close()
    return [
        line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "\n").splitlines()
    ]


@pytest.mark.parametrize("title", ["train xnli", "evaluate target-multilingual-adversarial"])
def test_a_bar_has_count_elapsed_and_time_left_at_80_columns(monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    shown = frames(monkeypatch, title, 123456, "loss 1.781, 123,456 tokens/s of all ranks together, and more")
    assert max(map(len, shown)) <= 80
    last = shown[-1]
    assert re.search(r"61728/123456 \d:\d\d:\d\d left ([\d-]+:[\d-]+:[\d-]+) loss 1\.781", last), last
    assert title in "\n".join(shown)
    assert "…" not in "".join(shown)


def test_bytes_are_shown_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "1.5/3.0 GB" in frames(monkeypatch, "verify", 3_000_000_000, "", in_bytes=True)[-1]


LOUD = """
import warnings
from xdist.run import libraries
libraries.silence()
from deepspeed.runtime.fp16.loss_scaler import LossScaler
LossScaler(1.0).update_scale(True)
warnings.warn_explicit("old", UserWarning, "x.py", 1, module="torch.nn")
from transformers import BertConfig, BertModel
import tempfile
with libraries.unprinted():
    print("built successfully")
tiny = BertConfig(vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=1)
BertModel(tiny).save_pretrained(tempfile.mkdtemp())
warnings.warn_explicit("mine", UserWarning, "x.py", 1, module="plugin")
"""


def test_no_line_of_a_library_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", LOUD], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["x.py:1: UserWarning: mine"]


def test_errors_of_libraries_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        libraries.silence()
    log = logging.getLogger("DeepSpeed")
    assert not log.filter(logging.LogRecord("DeepSpeed", logging.WARNING, "", 0, "x", (), None))
    assert log.filter(logging.LogRecord("DeepSpeed", logging.ERROR, "", 0, "x", (), None))
