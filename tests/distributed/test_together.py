"""What one rank alone does or finds wrong reaches all."""

import socket

import pytest
from distributed.group import Group, process

SAYS = "no such file"
ELSEWHERE = f"{SAYS} (rank 1 on host {socket.gethostname()})"


def test_a_result_of_rank_0_reaches_all(two: Group) -> None:
    results = two.run("together", where="first", rank=-1, kind="")
    assert [result["called"] for result in results] == [True, False]
    assert [(result["value"], result["error"]) for result in results] == [({"rank": 0}, None)] * 2


def test_each_rank_keeps_its_own_result(two: Group) -> None:
    results = two.run("together", where="each", rank=-1, kind="")
    assert [(result["value"], result["error"]) for result in results] == [({"rank": 0}, None), ({"rank": 1}, None)]


@pytest.mark.parametrize(
    "where, rank, raised, everywhere",
    [
        ("first", 0, "UserError", ["UserError", SAYS]),
        ("first", 0, "BusyError", ["BusyError", SAYS]),
        ("first", 0, "RunError", ["RunError", SAYS]),
        ("each", 0, "UserError", ["UserError", SAYS]),
        ("each", 1, "UserError", ["UserError", ELSEWHERE]),
        ("each", 1, "OwnError", ["UserError", ELSEWHERE]),  # rank 0 says it for all
        ("each", 1, "RankError", ["RunError", ELSEWHERE]),
    ],
)
def test_a_mistake_of_one_is_raised_on_all(two: Group, where: str, rank: int, raised: str, everywhere: list[str]) -> None:
    results = two.run("together", where=where, rank=rank, kind=raised)
    assert [(result["value"], result["error"]) for result in results] == [(None, everywhere)] * 2


@pytest.mark.parametrize("where, rank", [("first", 0), ("each", 1)])
def test_what_breaks_on_one_ends_the_run_on_all(two: Group, where: str, rank: int) -> None:
    results = two.run("together", where=where, rank=rank, kind="none of ours")
    assert results[rank]["error"] == ["OSError", SAYS]
    assert results[1 - rank]["error"][0] == "RunError"
    assert results[1 - rank]["error"][1].startswith(f"rank {rank}: OSError: {SAYS}")


def test_a_port_that_is_taken_is_one_line() -> None:
    """As where two runs on one machine are started with the default port."""
    program = "from xdist.run import distributed\ndistributed.init()"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        where = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        refused = process(program, stderr=True, **where)
        assert refused.wait(timeout=120) == 1
    assert refused.stderr
    line = f"port {port}, where the ranks have to meet, is in use; choose another (--master_port)"
    assert refused.stderr.read().splitlines()[-1] == f"xdist.errors.RunError: {line}"
