"""A run's description: strict, with every error in one line by file, line and key."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from resolved_of import chosen_of

from xdist.config import load_run, recorded_run
from xdist.errors import UserError

TEXT = """\
name: small
folder: out
model:
  backbone: encoder
data: {root: benchmark}
train:
  tasks:
    - task: xnli
      languages: [en, de]
    - task: udpos
  steps: 50
robust:
  method: adversarial
evaluate:
  tasks: [xnli]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "run.yaml").write_text(TEXT, encoding="utf-8")
    return tmp_path / "run.yaml"


def error(path: Path, *overrides: str) -> str:
    """The one line that a user reads, without the folder of the file."""
    with pytest.raises(UserError) as caught:
        load_run(path, overrides)
    message = str(caught.value).replace(f"{path.parent}/", "")
    assert "\n" not in message
    return message


def test_overrides_reach_into_sections_and_lists(path: Path) -> None:
    run = load_run(path, ["train.tasks.1.languages=[en, sw]", "train.steps=7", "runtime.deepspeed=zero3", "train.steps=9"])
    assert run.train
    assert run.train.tasks[1].languages == ("en", "sw")
    assert run.train.tasks[0].languages == ("en", "de")
    assert run.train.steps == 9
    assert run.runtime.deepspeed == "zero3"
    assert load_run(path, ["train.steps=null", "train.epochs=0.5"]).train.epochs == 0.5  # type: ignore[union-attr]


@pytest.mark.parametrize("written", ["1e-5", "1E-5", "1.0e-5", "0.00001", "1.e-05"])
def test_a_number_is_a_number(path: Path, written: str) -> None:
    run = load_run(path, [f"train.learning_rate={written}"])
    assert run.train
    assert run.train.learning_rate == 1e-5
    path.write_text(TEXT.replace("steps: 50", f"steps: 50\n  learning_rate: {written}"))
    assert load_run(path).train.learning_rate == 1e-5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("steps: 50", "step: 50", "run.yaml:11: train: unknown key 'step': did you mean 'steps'?"),
        ("languages: [en, de]", "langs: [en]", "run.yaml:9: train.tasks.0: unknown key 'langs': did you mean 'languages'?"),
        (
            "method: adversarial",
            "method: adverserial",
            "run.yaml:13: robust.method: unknown method 'adverserial': did you mean",
        ),
        ("steps: 50", "steps: 0", "run.yaml:11: train.steps: Input should be greater than or equal to 1"),
        ("steps: 50", "steps: 50\n  epochs: 1", "run.yaml:6: train: give either steps or epochs"),
        ("folder: out\n", "", "run.yaml:1: 'folder' is required"),
        ("  backbone: encoder", "  dropout: 0.1", "run.yaml:3: model: 'backbone' is required"),
        ("folder: out", "folder: out\nname: again", "run.yaml:3: name: this key appears here twice"),
        ("    - task: udpos", "    - task: udpos\n      task: panx", "run.yaml:11: train.tasks.1.task: this key appears here"),
        ("folder: out", "folder: {{ place }}", "run.yaml:2: a key is one word; quote a value that has braces"),
        ("tasks: [xnli]", "tasks: xnli", "run.yaml:15: evaluate.tasks: expected a list"),
        ("tasks: [xnli]", "tasks: [xnli]\n  languages: en", "run.yaml:16: evaluate.languages: expected a list"),
        ("    - task: udpos", "    - udpos", "run.yaml:10: train.tasks.1: expected 'key: value' lines"),
        ("folder: out", "folder: [out", "run.yaml:3: expected ',' or ']', but got ':'"),
        ("folder: out", "folder: out\x07", "run.yaml:2: the character U+0007 is not allowed in YAML"),
        ("tasks: [xnli]", "tasks: &all [*all]", "run.yaml:15: the alias '*all' refers to nothing that is complete before it"),
        ("steps: 50", "steps: !!python/name:os.system 50", "run.yaml:11: the tag '!!python/name:os.system' is not known"),
        (TEXT, "", "run.yaml: 'name' is required"),
        (TEXT, "- small\n", "run.yaml:1: expected 'key: value' lines"),
    ],
)
def test_mistakes_in_the_file(path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    assert error(path).startswith(message)


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            ["robust.stepz=3"],
            "robust.stepz=3 (command line): robust: method 'adversarial': unknown key 'stepz': did you mean 'step",
        ),
        (
            ["robust.steps=3", "robust.method=random"],
            "robust.steps=3 (command line): robust: method 'random': unknown key 'steps'",
        ),
        (["robust={radius: 1}"], "robust={radius: 1} (command line): robust: 'method' is required"),
        (["robust=[{method: free, radius: -1}]"], "robust=[{method: free, radius: -1}] (command line): robust.0.radius: Input"),
        (
            ["robust=[{method: free}, {method: random, plase: last}]"],
            "robust=[{method: free}, {method: random, plase: last}] (com",
        ),
        (
            ["robust=[{method: consistency}, {method: free}]"],
            "robust=[{method: consistency}, {method: free}] (command line): robu",
        ),
        (["robust.loss=kl"], "run.yaml:12: robust: loss: kl needs random_start: true"),
        (["robust.method=none", "robust.stepz=3"], "robust.stepz=3 (command line): robust: method 'none': unknown key 'stepz'"),
        (["robust=random"], "robust=random (command line): robust: expected 'key: value' lines"),
        (["robust.method=substitution"], "run.yaml:12: robust: 'synonyms' is required"),
        (
            ["evaluate.smoothing={drawz: 3}"],
            "evaluate.smoothing={drawz: 3} (command line): evaluate.smoothing: unknown key 'drawz'",
        ),
    ],
)
def test_mistakes_in_a_method(path: Path, overrides: list[str], message: str) -> None:
    assert error(path, *overrides).startswith(message)


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            ["train.tasks=[{task: xnli, langs: [en]}]"],
            "train.tasks=[{task: xnli, langs: [en]}] (command line): train.tasks.0: ",
        ),
        (
            ["train.tasks.0.weight=x", "train.tasks=[{task: [1]}]"],
            "train.tasks=[{task: [1]}] (command line): train.tasks.0.task: ",
        ),
    ],
)
def test_what_an_override_replaces_is_not_where_its_mistakes_are(path: Path, overrides: list[str], message: str) -> None:
    assert error(path, *overrides).startswith(message)


# By the word of an earlier version: what it is now, and what is said of it.
EARLIER = {
    "{method: subword, p: 0.5}": ("{method: subword, probability: 0.5}", "method 'subword': 'p' is called 'probability' now"),
    "{method: code_switch, dictionaries: d, languages: [de], p: 0}": (
        "{method: code_switch, dictionaries: d, languages: [de], probability: 0}",
        "method 'code_switch': 'p' is called 'probability' now",
    ),
    "{method: consistency, noise: normal, scale: 0.1}": (
        "{method: consistency, noise: gaussian, scale: 0.1}",
        "method 'consistency': noise: 'normal' is called 'gaussian' now",
    ),
}


@pytest.mark.parametrize("before", EARLIER)
def test_a_word_of_an_earlier_version_is_reported_and_read_where_xdist_wrote_it(path: Path, before: str) -> None:
    now, said = EARLIER[before]
    assert error(path, f"robust={before}") == f"robust={before} (command line): robust: {said}"
    assert error(path, f"robust=[{{method: random}}, {before}]").endswith(f" (command line): robust.1: {said}")
    path.write_text(TEXT.replace("robust:\n  method: adversarial", f"robust: {before}"))
    assert error(path) == f"run.yaml:12: robust: {said}"
    record = path.rename(path.with_name("config.yaml"))
    for run in (load_run(record), recorded_run(record)):  # a job that continues, for any reader
        record.write_text(TEXT.replace("robust:\n  method: adversarial", f"robust: {now}"))
        assert run.dump() == load_run(record).dump()
        assert run.identity == load_run(record).identity


def test_an_error_points_at_what_replaced_a_whole_section(path: Path) -> None:
    path.write_text(TEXT.replace("robust:\n  method: adversarial", "robust:\n  - method: free\n    radius: 1"))
    assert error(path, "robust=[{method: free, radius: -1}]").startswith("robust=[{method: free, radius: -1}] (command line): ")
    assert error(path, "robust.0.radius=-2", "robust=[{method: free, radius: -1}]").startswith(
        "robust=[{method: free, radius: -1}]"
    )


def test_a_method_is_changed_by_an_override(path: Path) -> None:
    path.write_text(TEXT.replace("adversarial", "adversarial\n  radius: 0.2\n  random_start: true"))
    (adversarial,) = load_run(path).methods
    assert load_run(path, ["robust.method=none"]).methods == ()  # the options of another method are left out
    assert load_run(path, ["robust.method=none"]).identity == load_run(path, ["robust={method: none}"]).identity
    (free,) = load_run(path, ["robust.method=free"]).methods  # it knows both options
    assert (free.method, free.radius, free.random_start) == ("free", 0.2, True)  # type: ignore[union-attr]
    assert "method 'random': unknown key 'random_start'" in error(path, "robust.method=random")
    listed = load_run(path, ["robust=[{method: adversarial, radius: 0.2, random_start: true}]"])
    assert listed.methods == (adversarial,)
    assert listed.identity == load_run(path).identity
    assert load_run(path, ["robust=[]"]).methods == ()


@pytest.mark.parametrize(
    "override, message",
    [
        ("train.stepz=5", "train.stepz=5 (command line): train: unknown key 'stepz': did you mean 'steps'?"),
        ("trian.steps=5", "trian.steps=5 (command line): unknown key 'trian': did you mean 'train'?"),
        (
            "train.learning_rate=.inf",
            "train.learning_rate=.inf (command line): train.learning_rate: Input should be a finite number",
        ),
        ("train.steps=many", "train.steps=many (command line): train.steps: Input should be a valid integer"),
        ("train.tasks.2.task=x", "train.tasks.2.task=x: 'train.tasks' is a list of 2, it has no '2'"),
        ("train.steps.x=1", "train.steps.x=1: 'train.steps' holds a single value, it has no 'x'"),
        ("train.steps=[", "train.steps=[: the value is not valid YAML"),
        ("train.steps", "train.steps: an override has the form key.subkey=value"),
        ("=5", "=5: an override has the form key.subkey=value"),
        ("train..steps=5", "train..steps=5: an override has the form key.subkey=value"),
        ("evaluate.languages=en", "evaluate.languages=en (command line): evaluate.languages: expected a list"),
        ("name=a b", "name=a b (command line): name: String should match pattern"),
    ],
)
def test_mistakes_in_an_override(path: Path, override: str, message: str) -> None:
    assert error(path, override).startswith(message)


def test_a_run_must_do_something(path: Path) -> None:
    assert "give 'train', 'evaluate' or both" in error(path, "train=null", "evaluate=null")


def test_files_that_cannot_be_read(path: Path) -> None:
    assert error(path.parent / "other.yaml").startswith("other.yaml: cannot be read")
    path.write_bytes(b"name: \xff\n")
    assert error(path) == "run.yaml: byte 6 is not UTF-8"


def test_an_error_points_at_the_line_or_override_of_a_key(path: Path) -> None:
    run = load_run(path, ["train.tasks.1.task=panx"])
    assert str(run.error(("train", "tasks", 0, "languages", 1), "no")) == f"{path}:9: train.tasks.0.languages.1: no"
    assert str(run.error(("train", "tasks", 1, "task"), "no")).startswith("train.tasks.1.task=panx (command line): ")
    assert str(run.error(("seed",), "no")) == f"{path}:1: seed: no"


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_identity_is_what_is_trained_and_nothing_else(path: Path) -> None:
    run = load_run(path)
    for name, section in run:
        keys = list(type(section).model_fields) if isinstance(section, BaseModel) else []
        changed = [section.model_copy(update={key: "something else"}) for key in keys] or ["something else"]
        for value in changed:
            other = run.model_copy(update={name: value})
            grouped = name == "model" and value.pretraining is not None  # it groups reports, and trains nothing otherwise
            ordered = name == "data" and value.block != 1  # the order of what is trained on
            decides = ordered or (name in {"seed", "model", "train", "robust", "merge", "plugins"} and not grouped)
            assert (other.identity != run.identity) == decides, value


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["robust=[{method: random, place: last}, {method: consistency, weight: 0.5}]", "evaluate.smoothing={draws: 4}"],
        ["robust={method: substitution, synonyms: {en: words.json}}"],
        ["train=null", "data.max_length=64"],
        ["evaluate=null", "train.learning_rate=1e-5", "train.tasks.0.weight=0.1", "model.dropout=0", "name='2024'"],
        ["train.steps=null", "train.epochs=1.5", "evaluate.languages=[en, sw]", "folder=ordner ä", "runtime.precision=bf16"],
    ],
)
def test_what_is_written_is_read_again(path: Path, overrides: list[str]) -> None:
    run = load_run(path, overrides)
    again = path.with_name("again.yaml")
    again.write_text(yaml.safe_dump(run.dump(), sort_keys=False, allow_unicode=True), encoding="utf-8")
    assert load_run(again).dump() == run.dump()
    assert load_run(again).identity == run.identity


def test_selection_needs_dev_sets_and_what_can_be_scored(path: Path) -> None:
    def refused(*overrides: str) -> str:
        with pytest.raises(UserError) as caught:
            chosen_of(load_run(path, overrides))
        return str(caught.value).replace(f"{path.parent}/", "")

    chosen = chosen_of(load_run(path, ["train.select={every: 10, languages: [en, de]}"]))
    assert [str(subset) for subset in chosen] == ["xnli dev en", "xnli dev de", "udpos dev en", "udpos dev de"]
    assert chosen_of(load_run(path)) == []
    assert refused("train.select={every: 10, languages: [en, dd]}").startswith("train.select={every: 10, languages: [en, dd]}")
    pairs = "train.tasks=[{task: squad-sentences}]"
    assert refused(pairs, "train.select={every: 5}").endswith(
        "train.select.by: 'squad-sentences' has no score on dev; give by: loss"
    )
    assert refused("train.tasks=[{task: mewslix-pairs}]", "train.select={every: 5}").endswith(
        "leave it out to keep the last model"
    )
    assert "every" in error(path, "train.select={by: loss}")
    assert "train.select.by: unknown value 'los': did you mean 'loss'?" in error(path, "train.select={every: 1, by: los}")


KNOWN = """\
name: known
folder: out
seed: 7
model: {backbone: encoder, dropout: 0.1, labels: [a, "no", '0']}
data: {root: benchmark}
train:
  tasks: [{task: xnli, languages: [en, sw], weight: 2}, {task: panx, limit: 1000}]
  steps: 1e3
  learning_rate: 2e-5
  warmup: 0.06
  schedule: [{at: .5, weights: {xnli: 1, panx: 0}}]
  select: {every: 10, by: loss}
robust:
  - {method: adversarial, radius: 1e-1, random_start: true, norm: linf}
  - {method: consistency, weight: 2, noise: gaussian}
"""


def test_what_a_run_is_outlives_the_way_that_yaml_is_read(path: Path) -> None:
    """The digest was taken by version 0.1.0's reader: another one would make runs that were started start again."""
    path.write_text(KNOWN)
    assert load_run(path).identity == "819070fcbbb4bc5a"
