"""xdist study submit up to the scheduler: which jobs it is given, waiting for which, and what a second time submits."""

import json
import os
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from tiny import tiny_benchmark

from xdist.cli import main
from xdist.config import load_study
from xdist.files import shipped
from xdist.run.folder import RunFolder
from xdist.study import Facts, Graph, expand

SBATCH = 'number=$(($(wc -l <"$0.log") + 101)); echo "$@" >>"$0.log"; echo "$number"'
# A job that has no such file is not known any more.
SQUEUE = 'for last; do :; done; cat "$0.${last#--jobs=}" || { echo "error: Invalid job id specified" >&2; exit 1; }'
SCANCEL = 'echo "$1" >>"$0.log"; echo "CANCELLED None" >"$(dirname "$0")/squeue.$1"'
KUBECTL = """echo "$@" >>"$0.log"
[ "$1" = get ] || exit 0
cat "$0.$3" || { echo "Error from server (NotFound): no such job" >&2; exit 1; }
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_benchmark(tmp_path / "benchmark")
    common = {"data": {"root": "benchmark"}, "model": {"backbone": "some/encoder"}}
    train = {"tasks": [{"task": "cldr-topic"}], "steps": 3, "batch_size": 8}
    study = {
        "name": "small",
        "folder": "out",
        "stages": {
            "first": {"run": {**common, "train": train}},
            "second": {
                "run": {**common, "train": {**train, "steps": 4}, "evaluate": {"tasks": ["cldr-names"]}},
                "after": "first",
            },
        },
        "axes": {
            "first": {"none": {"first": None}, "there": {}},
            "robust": {"plain": {}, "noisy": {"second": {"robust": {"method": "random"}}}},
        },
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("kubectl", KUBECTL), ("scancel", SCANCEL)):
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
        (commands / f"{name}.log").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    return tmp_path


def submit(kind: str = "slurm", *words: str) -> Result:
    cluster = shipped("jobs") / "clusters" / f"{kind}.yaml"
    return CliRunner().invoke(main, ["study", "submit", "study.yaml", "--cluster", str(cluster), *words])


def rows(done: Result) -> dict[str, list[str]]:
    """By run, what the table says of it."""
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    return {words[0]: words[1:] for words in lines if words and words[0].startswith(("first-", "second-"))}


def graph(place: Path) -> Graph:
    return expand(load_study(place / "study.yaml"), Facts())


def handed_over(place: Path) -> list[tuple[str, str]]:
    """Per job, the stage of its run and what it waits for."""
    found = []
    for line in (place / "commands" / "sbatch.log").read_text().splitlines():
        words = shlex.split(line)
        waits = [word.removeprefix("--dependency=afterok:") for word in words if word.startswith("--dependency=")]
        assert ("--kill-on-invalid-dep=yes" in words) == bool(waits)
        found.append((Path(words[-1]).parts[-3].split("-")[0], *waits))
    return [(stage, *waits, "")[:2] for stage, *waits in found]


def queued(place: Path, **states: str) -> None:
    for job, state in states.items():
        (place / "commands" / f"squeue.{job.removeprefix('job')}").write_text(state)


def test_each_run_is_one_job_after_the_one_it_begins_with(place: Path) -> None:
    dry = submit("slurm", "--dry-run")
    assert "5 would be submitted" in dry.stdout
    assert rows(dry)["first-there-s1"] == ["would", "be", "submitted"]
    assert not (place / "out").exists()
    assert handed_over(place) == []
    done = rows(submit("slurm", "--after", "7"))
    assert handed_over(place) == [("second", "7"), ("second", "7"), ("first", "7"), ("second", "103"), ("second", "103")]
    assert done["first-there-s1"] == ["103", "submitted"]
    assert done["second-there-noisy-s1"] == ["105", "submitted", "first-there-s1", "103"]
    status = CliRunner().invoke(main, ["study", "status", "study.yaml"])
    assert "5 queued" in " ".join(status.stdout.split())


def test_dry_run_writes_all_texts_where_it_is_told_to(place: Path) -> None:
    dry = submit("slurm", "--dry-run", "--texts", "texts")
    assert "5 files in texts" in dry.stderr
    assert not (place / "out").exists()
    names = [path.name for path in sorted((place / "texts").iterdir())]
    assert names == sorted(row for row in rows(dry))
    written = {path.parent.name: path.read_text() for path in (place / "texts").glob("*/job.sbatch")}
    rows(submit())
    given = {node.run.name: (node.run.folder / "job" / "job.sbatch").read_text() for node in graph(place).nodes.values()}
    assert written == given
    again = submit("slurm", "--dry-run", "--texts", "texts")
    assert (again.exit_code, again.stderr) == (2, "xdist: texts: already exists; name a new folder\n")
    alone = submit("slurm", "--texts", "more")
    assert (alone.exit_code, "--texts: needs --dry-run" in alone.stderr) == (2, True)


def test_again_submits_only_what_is_neither_done_nor_queued(place: Path) -> None:
    rows(submit())
    queued(place, job101="RUNNING None", job102="COMPLETED None", job103="FAILED None", job104="PENDING Dependency")
    plain, noisy, first, *_ = graph(place).nodes.values()
    RunFolder(noisy.run.folder).mark("failed", "rank 1: it broke")
    RunFolder(first.run.folder).mark("failed", "rank 1: it broke")
    done = rows(submit())
    assert done[plain.run.name] == ["101", "waits", "or", "runs", "already"]
    assert done[noisy.run.name] == ["106", "submitted"]
    assert done[first.run.name] == ["107", "submitted"]
    # Its job waited for one that failed; SLURM will cancel it in a while.
    assert done["second-there-plain-s1"] == ["108", "submitted", "first-there-s1", "107"]
    assert (place / "commands" / "scancel.log").read_text() == "104\n"
    assert handed_over(place)[5:] == [("second", ""), ("first", ""), ("second", "107"), ("second", "107")]


def test_finished_runs_are_left_and_waited_for_no_more(place: Path) -> None:
    rows(submit())
    queued(place, job101="RUNNING None", job102="RUNNING None")
    first = next(node for node in graph(place).nodes.values() if node.stage == "first")
    RunFolder(first.run.folder).mark("finished")
    done = rows(submit())
    assert done[first.run.name] == ["finished"]
    assert handed_over(place)[5:] == [("second", ""), ("second", "")]


def test_what_a_full_queue_refused_is_submitted_when_there_is_room(place: Path) -> None:
    said = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size)"
    refuses = f'[ "$(wc -l <"$0.log")" != 2 ] || [ -e "$0.room" ] || {{ touch "$0.room"; echo "{said}" >&2; exit 1; }}'
    (place / "commands" / "sbatch").write_text(f"#!/bin/sh\n{refuses}\n{SBATCH}\n")
    queued(place, job101="RUNNING None", job102="PENDING Priority")
    assert submit().exit_code == 2  # at once, without the option to wait
    (place / "commands" / "sbatch.room").unlink()
    assert len(handed_over(place)) == 2
    waited = submit("slurm", "--retry-every", "1")
    assert waited.stderr.count("no room in the queue; tried again every 1 s\n") == 1
    done = rows(waited)
    assert {words[1] for words in done.values()} == {"waits", "submitted"}
    assert len(handed_over(place)) == 5
    assert submit("slurm", "--retry-every", "0").exit_code == 2


def test_a_job_that_is_refused_while_none_is_queued_is_not_tried_for_ever(place: Path) -> None:
    said = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size)"
    (place / "commands" / "sbatch").write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    done = submit("slurm", "--retry-every", "1")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)


def test_on_kubernetes_what_waits_is_submitted_later(place: Path) -> None:
    plain, noisy, first, *_ = graph(place).nodes.values()
    done = submit("kubernetes")
    assert "2 runs wait for others; when these have ended: xdist study submit study.yaml" in done.stdout
    found = rows(done)
    job = found[first.run.name][0].rsplit("/", 1)[-1]
    assert found["second-there-plain-s1"][:3] == ["submit", "again", "then"]
    applied = (place / "commands" / "kubectl.log").read_text().count("apply")
    assert applied == 3
    assert plain.run.folder != noisy.run.folder
    objects = list((place / "out" / "runs").glob("*/job/job.yaml"))
    for path in objects:
        name = next(one for one in yaml.safe_load_all(path.read_text()) if one["kind"] == "TrainJob")["metadata"]["name"]
        states = [{"type": "Complete", "status": "True"}] if name == job else []
        (place / "commands" / f"kubectl.{name}").write_text(json.dumps({"status": {"conditions": states}}))
    again = rows(submit("kubernetes"))
    assert again[first.run.name] == ["finished"]
    assert again["second-there-plain-s1"][-1] == "submitted"
    assert (place / "commands" / "kubectl.log").read_text().count("apply") == 5
    for path in (place / "out" / "runs").glob("*/job/job.json"):
        done_well = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
        name = json.loads(path.read_text())["job"].rsplit("/", 1)[-1]
        (place / "commands" / f"kubectl.{name}").write_text(json.dumps(done_well))
    assert {*map(tuple, rows(submit("kubernetes")).values())} == {("finished",)}
    more = rows(submit("kubernetes", "stages.second.set.evaluate.tasks=[cldr-names, cldr-topic]"))
    assert {name: words[-1] for name, words in more.items()} == {
        name: "finished" if name.startswith("first-") else "submitted" for name in more
    }


def test_what_cannot_be_is_one_line_before_anything_is_submitted(place: Path) -> None:
    for words, said in (
        (("kubernetes", "--after", "1"), "--after: needs a cluster of kind slurm"),
        (("local",), "a cluster of kind 'local' has no queue; `xdist study run` does the runs on this machine"),
        (("slurm", "--set", "nods=1"), "unknown key 'nods'"),
        (("slurm", "all.runtime.deepspeed=zero9"), "second-none-plain-s1: "),
    ):
        done = submit(*words)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
        assert said in done.stderr
    assert handed_over(place) == []
    (place / "commands" / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: no more jobs' >&2\nexit 1\n")
    done = submit()
    assert (done.exit_code, done.stderr) == (2, "xdist: sbatch: no more jobs\n")


SCONTROL = (
    """if [ "$*" = "show config" ]; then echo "MaxArraySize            = $(cat "$0.largest")"; else echo "$@" >>"$0.log"; fi"""
)


@pytest.fixture
def arrays(place: Path) -> Path:
    """A SLURM that takes arrays, of which the log of sbatch has one line each."""
    commands = place / "commands"
    (commands / "scontrol").write_text(f"#!/bin/sh\n{SCONTROL}\n")
    (commands / "scontrol").chmod(0o755)
    (commands / "scontrol.log").touch()
    (commands / "scontrol.largest").write_text("1001")
    return place


def changed(place: Path) -> list[str]:
    return (place / "commands" / "scontrol.log").read_text().splitlines()


def submitted_arrays(place: Path) -> list[str]:
    """What sbatch was called with, each array by its folder."""
    words = [line.split() for line in (place / "commands" / "sbatch.log").read_text().splitlines()]
    assert all(one[:-1] == ["--parsable", "--hold", "--kill-on-invalid-dep=yes"] for one in words)
    return [Path(one[-1]).parent.name for one in words]


def test_at_once_is_one_array_whose_elements_wait_for_others_of_it(arrays: Path) -> None:
    done = rows(submit("slurm", "--at-once", "2", "--after", "7"))
    assert submitted_arrays(arrays) == ["1"]
    nodes = list(graph(arrays).nodes.values())
    names = [node.run.name for node in nodes]
    assert [name.split("-")[0] for name in names] == ["second", "second", "first", "second", "second"]
    assert changed(arrays) == [
        "update JobId=101_[1,2,3] Dependency=afterok:7",
        "update JobId=101_[4,5] Dependency=afterok:101_3",
        "release 101",
    ]
    folder = arrays / "out" / "arrays" / "1"
    assert {path.name for path in folder.iterdir()} == {"array.sbatch", "1", "2", "3", "4", "5"}
    text = (folder / "array.sbatch").read_text()
    assert "#SBATCH --array=1-5%2\n" in text
    for number, node in enumerate(nodes, start=1):
        assert (folder / str(number)).resolve() == node.run.folder.resolve()
        assert json.loads((node.run.folder / "job" / "job.json").read_text())["job"] == f"101_{number}"
        assert f"# {number} {node.run.name}\n" in text
        assert done[node.run.name][:2] == [f"101_{number}", "submitted"]
    queued(arrays, **{f"job101_{number}": "PENDING JobArrayTaskLimit" for number in range(1, 6)})
    assert {tuple(words[1:]) for words in rows(submit("slurm", "--at-once", "2")).values()} >= {
        ("waits", "or", "runs", "already")
    }
    assert submitted_arrays(arrays) == ["1"]


def test_a_second_array_waits_for_jobs_of_the_first(arrays: Path) -> None:
    rows(submit("slurm", "--at-once", "2"))
    queued(arrays, job101_1="RUNNING None", job101_2="FAILED None", job101_3="RUNNING None", job101_4="FAILED None")
    queued(arrays, job101_5="PENDING Dependency")
    (arrays / "commands" / "scontrol.log").write_text("")
    rows(submit("slurm", "--at-once", "3"))
    assert submitted_arrays(arrays) == ["1", "2"]
    assert changed(arrays) == ["update JobId=102_[2] Dependency=afterok:101_3", "release 102"]


def test_dry_run_writes_the_text_of_the_arrays_too(arrays: Path) -> None:
    (arrays / "commands" / "scontrol.largest").write_text("4")
    dry = submit("slurm", "--dry-run", "--texts", "texts", "--at-once", "2")
    assert dry.stderr == "2 arrays, at most 2 runs of each at a time\n7 files in texts\n"
    written = {path.parent.name: path.read_text() for path in (arrays / "texts" / "arrays").glob("*/array.sbatch")}
    rows(submit("slurm", "--at-once", "2"))
    given = {path.parent.name: path.read_text() for path in (arrays / "out" / "arrays").glob("*/array.sbatch")}
    assert written == given
    assert sorted(given) == submitted_arrays(arrays) == ["1", "2"]


def test_a_queue_without_room_for_all_gets_as_many_as_it_takes_and_later_the_others(arrays: Path) -> None:
    said = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size)"
    # How many it has room for, at each call.
    room = 'read -r room <"$0.rooms"; sed -i 1d "$0.rooms"; [ "$(grep -c "^# [0-9]" "$4")" -le "$room" ]'
    (arrays / "commands" / "sbatch").write_text(f'#!/bin/sh\n{room} || {{ echo "{said}" >&2; exit 1; }}\n{SBATCH}\n')
    (arrays / "commands" / "sbatch.rooms").write_text("2\n2\n1\n0\n9\n")
    queued(arrays, job101_1="RUNNING None", job101_2="RUNNING None")
    done = submit("slurm", "--at-once", "2", "--retry-every", "1")
    assert done.stderr == "3 runs: no room in the queue; tried again every 1 s\n"
    assert [words[0] for words in rows(done).values()] == ["101_1", "101_2", "102_1", "102_2", "102_3"]
    assert changed(arrays) == ["release 101", "update JobId=102_[2,3] Dependency=afterok:102_1", "release 102"]
    assert sorted(path.name for path in (arrays / "out" / "arrays").iterdir()) == ["1", "2"]


def test_an_array_that_could_not_be_set_up_is_taken_back(arrays: Path) -> None:
    scontrol = arrays / "commands" / "scontrol"
    whole = scontrol.read_text()
    scontrol.write_text(f'{whole}case "$*" in update*) echo "scontrol: error: Access denied" >&2; exit 1;; esac\n')
    done = submit("slurm", "--at-once", "2")
    assert (done.exit_code, done.stderr) == (2, "xdist: scontrol: Access denied\n")
    assert (arrays / "commands" / "scancel.log").read_text() == "101\n"
    assert list((arrays / "out" / "arrays").iterdir()) == []
    # Killed there, it leaves an array that is held: the next start cancels it first.
    held = arrays / "out" / "arrays" / "1" / "held"
    held.parent.mkdir()
    held.write_text("slurm 101")
    queued(arrays, job101="PENDING JobHeldUser")
    scontrol.write_text(whole)
    rows(submit("slurm", "--at-once", "2"))
    assert (arrays / "commands" / "scancel.log").read_text() == "101\n101\n"
    assert submitted_arrays(arrays) == ["1", "2"]
    assert not held.exists()


def test_arrays_need_a_scheduler_that_has_them(place: Path) -> None:
    done = submit("kubernetes", "--at-once", "2")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "--at-once: needs a cluster of kind slurm" in done.stderr
