"""Ranks leave nothing behind in shared memory, however they end: a machine on which many runs were killed would fill up."""

from pathlib import Path

from distributed.group import Group


def test_nothing_of_the_collective_has_a_name_while_it_is_used() -> None:
    # As DeepSpeed's launcher says it; without it the ranks would meet over gloo alone.
    two = Group(2, LOCAL_SIZE="2")
    try:
        found = two.run("shared_memory")
        mapped = [Path(f"/proc/{process.pid}/maps").read_text() for process in two.ranks]
    finally:
        two.close()
    assert found == [[], []]
    assert all("deepspeed_allreduce_buffer" in maps for maps in mapped)
