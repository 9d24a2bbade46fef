"""The head of a model that was fine-tuned elsewhere: its labels, the tasks it is for, and the files it is read from."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_finetuned import model_of, shuffled, tiny_finetuned
from tiny_kinds import tiny_kind
from torch import Tensor

from xdist.errors import UserError
from xdist.files import digest, file_digest, read_json, write_json, write_text
from xdist.model.finetuned import Finetuned, read_finetuned
from xdist.model.folder import carry_heads, check_finetuned
from xdist.study import Facts
from xdist.tasks.catalog import task

TASKS = {"classification": "xnli", "multiple-choice": "siqa", "tagging": "udpos", "span-qa": "squad"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`made(family)`: the folder of an XLM-R with a head for the family's task, its labels shuffled."""
    root = tmp_path_factory.mktemp("finetuned")

    def folder(family: str) -> Path:
        place = root / family
        if not place.exists():
            tiny_finetuned(tiny_kind(place, "xlm-roberta"), family, shuffled(TASKS[family]))
        return place

    return folder


@pytest.fixture
def copied(made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """The same in a folder to spoil."""
    return lambda family: Path(shutil.copytree(made(family), tmp_path / family))


def refused(folder: Path, name: str, labels: list[str] | None = None) -> str:
    """The one line that an evaluation ends with, and that is said before it starts."""
    said = []
    for check in (
        lambda: carry_heads(str(folder), model_of(folder, name), labels, needed=True),
        lambda: check_finetuned(str(folder), [task(name)], labels),
    ):
        with pytest.raises(UserError) as error:
            check()
        said.append(str(error.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]
    return said[0]


def head_of(folder: Path, name: str, labels: list[str] | None = None) -> dict[str, Tensor]:
    model = model_of(folder, name)
    assert carry_heads(str(folder), model, labels, needed=True) == ([task(name).head], [])
    check_finetuned(str(folder), [task(name)], labels)
    return model.heads[task(name).head].state_dict()


def test_labels_that_are_given_say_what_the_outputs_stand_for(copied: Callable[[str], Path]) -> None:
    folder = copied("classification")
    expected, given = head_of(folder, "xnli"), shuffled("xnli")
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}})
    assert refused(folder, "xnli") == (
        f"{folder}/config.json: id2label names LABEL_0, LABEL_1, LABEL_2; the labels of 'xnli' are contradiction, entailment, "
        "neutral: say which output is which, in their order: model.labels=[…]"
    )
    found = head_of(folder, "xnli", given)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    turned = head_of(folder, "xnli", [given[1], given[0], given[2]])
    assert torch.equal(turned["4.bias"].sort().values, expected["4.bias"].sort().values)
    assert not torch.equal(turned["4.bias"], expected["4.bias"])


@pytest.mark.parametrize(
    "names",
    [
        {"0": "Contradiction", "1": "Entailment", "2": "Neutral"},  # another spelling is not guessed
        {"0": "contradiction", "1": "entailment", "2": "entailment"},
        {"0": "contradiction", "1": "entailment", "3": "neutral"},
        {"0": "contradiction", "1": "entailment"},
        ["contradiction", "entailment", "neutral"],
        {},
    ],
)
def test_names_that_are_not_the_task_s(copied: Callable[[str], Path], names: Any) -> None:
    folder = copied("classification")
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "id2label": names})
    with pytest.raises(UserError, match=r"id2label names .*; the labels of 'xnli' are contradiction, entailment, neutral: say"):
        check_finetuned(str(folder), [task("xnli")])


@pytest.mark.parametrize(
    "family, name, labels, said",
    [
        (
            "classification",
            "xnli",
            ["contradiction", "entailment"],
            "model.labels names contradiction, entailment; the labels of",
        ),
        ("classification", "udpos", None, "the head of XLMRobertaForSequenceClassification does not fit 'udpos' (tagging)"),
        ("classification", "cldr-topic", None, "the labels of 'cldr-topic' are territory,"),
        ("span-qa", "xquad", ["start", "end"], "model.labels: the head of XLMRobertaForQuestionAnswering in"),
    ],
)
def test_tasks_that_a_head_is_not_for(made: Callable[[str], Path], family: str, name: str, labels: Any, said: str) -> None:
    assert said in refused(made(family), name, labels)


def test_labels_without_a_head_that_they_could_be_of(tmp_path: Path) -> None:
    folder = tiny_kind(tmp_path / "encoder", "xlm-roberta")
    assert "holds no head that was fine-tuned elsewhere" in refused(folder, "xnli", list(task("xnli").labels))
    check_finetuned(str(folder), [task("xnli")])  # that there is no head is said where a head is searched
    assert carry_heads(str(folder), model_of(folder, "xnli")) == ([], [])


def test_a_head_that_is_not_needed_or_not_there_to_be_filled(made: Callable[[str], Path]) -> None:
    folder = made("classification")
    assert carry_heads(str(folder), model_of(folder, "tatoeba"), needed=True) == ([], ["XLMRobertaForSequenceClassification"])
    check_finetuned(str(folder), [task("tatoeba")])
    # In training every head that fits begins with it, the others start from scratch, for any given labels.
    for labels in (None, shuffled("xnli")):
        assert carry_heads(str(folder), model_of(folder, "xnli", "udpos"), labels) == (["xnli"], [])
    with pytest.raises(UserError, match="does not fit 'udpos'"):
        carry_heads(str(folder), model_of(folder, "udpos"), shuffled("xnli"))


def test_a_head_serves_every_task_of_its_family_and_labels(made: Callable[[str], Path]) -> None:
    folder = made("multiple-choice")
    assert head_of(folder, "xcopa").keys() == head_of(folder, "siqa").keys()
    check_finetuned(str(made("span-qa")), [task("squad"), task("tydiqa"), task("mlqa")])


def test_weights_in_shards(made: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tiny_kind(tmp_path / "model", "xlm-roberta")
    tiny_finetuned(folder, "classification", shuffled("xnli"), max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    found, expected = head_of(folder, "xnli"), head_of(made("classification"), "xnli")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def spoilt(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_weights_that_are_not_there_or_of_another_size(copied: Callable[[str], Path]) -> None:
    folder = copied("tagging")
    spoilt(folder, lambda weights: weights.pop("classifier.bias"))
    assert refused(folder, "udpos") == f"{folder}: 1 weights of the head are missing, such as 'classifier.bias'"
    spoilt(folder, lambda weights: weights.update({"classifier.bias": torch.zeros(18)}))
    assert refused(folder, "udpos") == f"{folder}: classifier.bias is (18,), its config.json says (17,)"


def test_an_answer_has_two_ends(tmp_path: Path) -> None:
    folder = tiny_kind(tmp_path / "model", "bert")
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "num_labels": 3})
    config = {**read_json(folder / "config.json"), "architectures": ["BertForQuestionAnswering"]}
    write_json(folder / "config.json", config)
    assert (
        refused(folder, "squad")
        == f"{folder}: qa_outputs.weight of BertForQuestionAnswering is (3, 32), head 'squad' needs (2, 32)"
    )


def test_pickled_weights_are_not_read(copied: Callable[[str], Path]) -> None:
    folder = copied("tagging")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert refused(folder, "udpos") == (
        f"{folder}: its weights are pickled (pytorch_model.bin), which are not read: save the model as safetensors"
    )


def test_what_is_no_file_of_weights_or_no_class(copied: Callable[[str], Path]) -> None:
    folder = copied("tagging")
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match="the weights cannot be read: "):
        check_finetuned(str(folder), [task("udpos")])
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "architectures": ["MyForTokenClassification"]})
    with pytest.raises(UserError, match="transformers has no class MyForTokenClassification"):
        check_finetuned(str(folder), [task("udpos")])


@pytest.mark.parametrize(
    "architectures", [None, [], ["XLMRobertaForMaskedLM"], ["XLMRobertaModel"], "XLMForTokenClassification", 3]
)
def test_encoders_without_a_head(tmp_path: Path, architectures: Any) -> None:
    write_json(tmp_path / "config.json", {"model_type": "xlm-roberta", "architectures": architectures})
    assert read_finetuned(str(tmp_path)) is None
    (tmp_path / "config.json").write_text("[1]")
    assert read_finetuned(str(tmp_path)) is None
    assert read_finetuned(str(tmp_path / "nowhere")) is None
    assert read_finetuned("./no/hub id") is None


def test_a_hub_id_is_read_from_the_hub_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--some--tagger"
    snapshot = place / "snapshots" / ("0" * 40)
    write_json(snapshot / "config.json", {"architectures": ["BertForTokenClassification"], "id2label": {"1": "B", "0": "A"}})
    write_text(place / "refs/main", "0" * 40)
    assert read_finetuned("some/tagger") == Finetuned(snapshot, "BertForTokenClassification", "tagging", ("A", "B"))
    assert read_finetuned("some/other") is None


def test_a_study_begins_anew_where_a_head_that_was_left_is_carried_over(made: Callable[[str], Path], tmp_path: Path) -> None:
    """Runs that began with the same files and a fresh head trained to other models; all others keep their keys."""
    encoder = tiny_kind(tmp_path / "encoder", "xlm-roberta")
    for folder, same in ((encoder, True), (made("tagging"), False)):
        files = sorted(folder / name for name in ("config.json", "model.safetensors", "tokenizer.json"))
        of_files = digest([(path.name, file_digest(path)) for path in files])
        assert (Facts().backbone(str(folder)) == of_files) == same
