"""A pod reads how its run ended after rank 0, which may be in another and slower pod, has said so."""

import threading
import time
from pathlib import Path

import pytest

from xdist.launch import pod
from xdist.runtime.run_folder import RunFolder


def test_a_pod_waits_for_the_word_of_rank_0(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.config.write_text("")
    assert folder.state == "running"
    slower = threading.Timer(0.3, folder.mark, ("failed", "user error: no such encoder"))
    slower.start()
    pod.await_mark(folder)
    slower.join()
    assert folder.user_error


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod, "MARK_SECONDS", 0.3)
    begun = time.monotonic()
    pod.await_mark(RunFolder(tmp_path))
    assert 0.3 <= time.monotonic() - begun < 5
