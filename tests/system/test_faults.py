"""The fault campaign in small: real two-rank runs that are killed, signalled, robbed of room and damaged end as unhurt ones do.
The long form is benchmarks/fault_campaign.py."""

import json
from pathlib import Path

from typing_of_commands import Typed

CAMPAIGN = Path(__file__).resolve().parents[2] / "benchmarks" / "fault_campaign.py"
# What the distributed tests cannot do to their process groups; the rest is in the campaign.
KINDS = ("kill-rank", "flip", "terminal", "save-kill-rank")


def test_hurt_runs_end_like_unhurt_ones(loaded: Typed, tmp_path: Path) -> None:
    """The run at a terminal and the one whose writing is slow are started, the others are forked."""
    words = [
        "--runs",
        str(len(KINDS)),
        "--kinds",
        ",".join(KINDS),
        "--steps",
        "40",
        "--folder",
        str(tmp_path),
        "--limit",
        "200",
        "--save",
        "sync",  # except for the last kind, which is killed while it writes and trains
    ]
    done = loaded("python", CAMPAIGN, *words, timeout=580)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    logs = "\n".join(path.read_text()[-1500:] for path in sorted(tmp_path.glob("*.log")))
    assert (result["wrong"], result["hangs"]) == (0, 0), f"{result['notes']}\n{logs}"
    assert result["faults"] == result["finished"] == len(KINDS)
    assert result["steps_repeated_max"] <= 5
    assert result["steps_repeated_while_saving_max"] <= 2 * 5  # and the steps in which the newest one was written
    assert result["steps_repeated_after_damage_max"] <= 2 * 5  # the checkpoint before the damaged one is used
