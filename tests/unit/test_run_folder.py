"""A run folder says what it holds and how it ended, and refuses another run."""

from pathlib import Path

import pytest
from resolved_of import deepspeed_of

from xdist.config import Run, recorded_run
from xdist.errors import BusyError, UserError
from xdist.files import read_json
from xdist.run.folder import MARKS, PACKAGES, RunFolder, RunState, environment
from xdist.run.lock import RunLock


def run_of(**changes: object) -> Run:
    values = {
        "name": "small",
        "folder": "out",
        "model": {"backbone": "encoder"},
        "data": {"root": "benchmark"},
        "train": {"tasks": [{"task": "xnli"}], "steps": 5},
    }
    return Run.model_validate({**values, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A folder in which a run has started."""
    made = RunFolder(tmp_path / "run")
    assert made.state == "new"
    made.open(run_of(), deepspeed_of({"bf16": {"enabled": True}}), {"xnli train en": "0123"})
    return made


def test_one_mark_at_a_time(folder: RunFolder) -> None:
    assert folder.state == "running"
    assert folder.reason() == ""
    for state, reason in (("unfinished", ""), ("failed", "rank 1: out of memory"), ("finished", "")):
        folder.mark(state, reason)  # type: ignore[arg-type]
        assert folder.state == state
        assert folder.reason() == reason
        assert len([name for name in ("finished", "failed", "unfinished") if (folder.path / name).exists()]) == 1
    folder.mark("running")
    assert folder.state == "running"


def test_open_writes_what_was_asked_for(folder: RunFolder) -> None:
    assert read_json(folder.deepspeed) == {"bf16": {"enabled": True}}
    assert read_json(folder.data) == {"xnli train en": "0123"}
    assert read_json(folder.path / "environment.json") == environment()
    folder.check(run_of())


def test_starting_again_takes_marks_away_but_no_request_to_stop(folder: RunFolder) -> None:
    folder.mark("failed", "why")
    folder.stop.touch()  # while ranks start
    folder.open(run_of(), None, {"xnli train en": "0123"})
    assert folder.state == "running"
    assert folder.stop.exists()


def test_a_run_at_work_is_announced_by_nobody_else(folder: RunFolder) -> None:
    folder.mark("failed", "an earlier start")
    folder.stop.touch()
    lock = RunLock(folder.path)
    lock.take("xdist train")
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    with pytest.raises(BusyError, match="is running here"):
        folder.announce(run_of(runtime={"ranks": 4}))
    assert before == {path: path.read_bytes() for path in folder.path.iterdir()}
    lock.release()


@pytest.mark.parametrize("end", MARKS)
def test_an_end_answers_a_request_to_stop(folder: RunFolder, end: RunState) -> None:
    folder.stop.touch()
    folder.mark("running")
    assert folder.stop.exists()
    folder.mark(end)
    assert not folder.stop.exists()


def test_what_changes_no_result_may_change(folder: RunFolder) -> None:
    folder.check(run_of(name="other", evaluate={"tasks": ["xnli"]}, runtime={"ranks": 4}))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"seed": 2}, "seed was 1, is 2"),
        ({"model": {"backbone": "other"}}, "model.backbone was encoder, is other"),
        ({"robust": {"method": "adversarial"}}, "robust.method was none, is adversarial"),
        ({"train": {"tasks": [{"task": "xnli"}], "epochs": 1}}, "train.steps was 5, is None"),
        ({"train": {"tasks": [{"task": "xnli", "languages": ["sw"]}], "steps": 5}}, "train.tasks.0.languages.0 was en, is sw"),
        ({"train": None, "evaluate": {"tasks": ["xnli"]}}, "train was {"),
    ],
)
def test_another_run_is_refused_by_its_first_difference(folder: RunFolder, changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        folder.check(run_of(**changes))
    assert f"this folder holds another run: {said}" in str(caught.value)
    before = folder.config.read_bytes()
    with pytest.raises(UserError):
        folder.open(run_of(**changes), None, {})
    assert folder.config.read_bytes() == before


@pytest.mark.parametrize("other", ["none", "random", "free"])
def test_a_run_perturbed_by_another_method_is_refused(tmp_path: Path, other: str) -> None:
    """Methods have options that others have not."""
    folder = RunFolder(tmp_path / "perturbed")
    folder.open(run_of(robust={"method": "adversarial", "radius": 0.1}), None, {})
    with pytest.raises(UserError, match=f"this folder holds another run: robust.method was adversarial, is {other}"):
        folder.check(run_of(robust={"method": other}))


def test_other_data_are_refused(folder: RunFolder) -> None:
    folder.check_data({"xnli train en": "0123", "xnli train de": "4567"})
    for fingerprints in ({"xnli train en": "9999"}, {}):
        with pytest.raises(UserError, match="of 'xnli train en' changed since this run began; put them back, or"):
            folder.check_data(fingerprints)
        with pytest.raises(UserError, match="changed"):
            folder.open(run_of(), None, fingerprints)
    assert read_json(folder.data) == {"xnli train en": "0123"}


def test_another_precision_is_refused_once_there_is_a_checkpoint(folder: RunFolder) -> None:
    data = {"xnli train en": "0123"}
    folder.open(run_of(), deepspeed_of({}), data)
    (folder.checkpoints / "step-00000003").mkdir(parents=True)
    folder.open(run_of(), deepspeed_of({"bf16": {"enabled": False}}), data)
    with pytest.raises(UserError, match=r"was started in fp32, here it would resume in bf16: runtime\.precision=fp32"):
        folder.open(run_of(), deepspeed_of({"bf16": {"enabled": True}}), data)
    folder.model.mkdir()  # trained: what is left is to evaluate
    folder.open(run_of(), deepspeed_of({"bf16": {"enabled": True}}), data)


def test_what_auto_became_is_written_down_and_stays(folder: RunFolder) -> None:
    """Also where the run is announced, or continues, on a machine that would choose otherwise."""
    for _ in range(2):
        assert recorded_run(folder.config).runtime.precision == "bf16"
        assert folder.precision == "bf16"
        folder.announce(run_of())
    folder.open(run_of(runtime={"precision": "tf32"}), deepspeed_of({}), read_json(folder.data))  # no checkpoint yet
    assert folder.precision == "tf32"


def test_rows_in_another_order_are_another_run(folder: RunFolder) -> None:
    with pytest.raises(UserError, match=r"this folder holds another run: data\.block was 1, is 64"):
        folder.check(run_of(data={"root": "benchmark", "block": 64}))


def test_what_is_chosen_later_is_written_down_and_stays(tmp_path: Path) -> None:
    """As the tokens of a micro-batch, which trying decides on; a number that the run says is left alone."""
    folder = RunFolder(tmp_path / "run")
    folder.open(run_of(runtime={"micro_batch_tokens": "auto"}), deepspeed_of({}), {})
    assert folder.micro_batch_tokens is None
    folder.chose(micro_batch_tokens=4096)
    for _ in range(2):
        assert (folder.micro_batch_tokens, folder.zero) == (4096, "zero2")
        folder.open(run_of(runtime={"micro_batch_tokens": "auto"}), deepspeed_of({}), {})
    folder.open(run_of(runtime={"micro_batch_tokens": 512}), deepspeed_of({}), {})
    folder.chose(micro_batch_tokens=4096)
    assert folder.micro_batch_tokens == 512


def test_tf32_goes_on_from_fp32(folder: RunFolder) -> None:
    """A CPU has only that."""
    folder.open(run_of(runtime={"precision": "tf32"}), deepspeed_of({}), {"xnli train en": "0123"})
    (folder.checkpoints / "step-00000003").mkdir(parents=True)
    folder.open(run_of(runtime={"precision": "tf32"}), deepspeed_of({}), {"xnli train en": "0123"})
    with pytest.raises(UserError, match=r"was started in tf32, here it would resume in bf16: runtime\.precision=tf32"):
        folder.check_precision(deepspeed_of({"bf16": {"enabled": True}}))


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hidden").touch()
    (tmp_path / "stop").touch()  # a start was asked to stop before it wrote anything
    RunFolder(tmp_path).check(run_of())
    (tmp_path / "thesis.tex").write_text("dear to someone")
    with pytest.raises(UserError, match="is not a run folder and not empty"):
        RunFolder(tmp_path).check(run_of())
    with pytest.raises(UserError, match="is a file, not a run folder"):
        RunFolder(tmp_path / "thesis.tex").check(run_of())


def test_a_broken_config_is_named(folder: RunFolder) -> None:
    folder.config.write_text(folder.config.read_text() + "speed: 3\n")
    with pytest.raises(UserError, match=r"config\.yaml:\d+: unknown key 'speed'"):
        folder.check(run_of())


def test_environment_holds_no_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_a-secret")
    found = environment()
    assert found.keys() <= {"xdist", "python", "platform", *PACKAGES}
    assert {"xdist", "torch", "deepspeed"} <= found.keys()
    assert "hf_a-secret" not in str(found)


def test_what_killed_writers_left_is_removed_and_nothing_else(folder: RunFolder) -> None:
    predictions = folder.predictions / "xnli"
    predictions.mkdir(parents=True)
    folder.checkpoints.mkdir()
    kept = [folder.config, folder.path / ".lock", folder.path / ".notes.markdown", predictions / "test-sw.tsv", folder.digests]
    left = [
        folder.path / ".config.yaml.ab12_xyz",
        folder.checkpoints / ".latest.0123abcd",
        predictions / ".test-sw.tsv.zzzzzzzz",
    ]
    left += [folder.path / ".finished.00000000", folder.path / ".model.abcdefgh" / "config.json"]
    for path in (*kept, *left):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folder.clear()
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in left)
    assert not (folder.path / ".model.abcdefgh").exists()


def test_a_log_alone_is_no_foreign_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log.touch()
    folder.check(run_of())
