"""What is wrong with a run is the same line at every door, before anything is started or written."""

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from resolved_of import deepspeed_of, resolved_of
from safetensors.torch import load_file, save_file
from tiny import tiny_benchmark, tiny_model

import xdist
from xdist import private
from xdist.cli import main
from xdist.config import load_run
from xdist.errors import UserError
from xdist.languages import CC100
from xdist.model.lineage import FILE, dump_lineage
from xdist.resolve.encoder import read_encoder
from xdist.resolve.resolved import Resolved, resolve
from xdist.resolve.subsets import Subsets
from xdist.run.folder import RunFolder


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resolve")
    tiny_benchmark(folder / "benchmark")
    tiny_model(folder / "encoder", folder / "benchmark")
    return folder


@pytest.fixture(autouse=True)
def place(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("benchmark", "encoder"):
        (tmp_path / name).symlink_to(material / name)
    (tmp_path / "slurm.yaml").write_text("kind: slurm\ntime_limit: 1h\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def described(**changes: Any) -> dict[str, Any]:
    """A run in order except for `changes`, whose keys are joined by two underscores."""
    run: dict[str, Any] = {
        "name": "mine",
        "folder": "out",
        "model": {"backbone": "encoder"},
        "data": {"root": "benchmark", "cache": "prepared"},
        "train": {"tasks": [{"task": "cldr-topic", "languages": ["en"]}], "steps": 2},
        "evaluate": {"tasks": ["cldr-topic"]},
    }
    for key, value in changes.items():
        place = run
        *parents, last = key.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return run


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def train(run: dict[str, Any]) -> Result:
    Path("run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    return typed("train", "run.yaml", "--dry-run")


def evaluate(run: dict[str, Any]) -> Result:
    Path("run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    return typed("evaluate", "run.yaml", "--dry-run")


def prepare(run: dict[str, Any]) -> Result:
    Path("run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    return typed("prepare", "run.yaml", "--dry-run")


def submit(run: dict[str, Any]) -> Result:
    Path("run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    return typed("submit", "run.yaml", "--cluster", "slurm.yaml", "--dry-run")


def start(run: dict[str, Any]) -> Result:
    """What rank 0 does first."""
    Path("run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    work = "train" if "train" in run else "evaluate"
    try:
        resolve(load_run(Path("run.yaml")), work)  # type: ignore[arg-type]
    except UserError as error:
        return Result(CliRunner(), b"", f"xdist: {error}\n".encode(), b"", None, 2, None)
    return Result(CliRunner(), b"", b"", b"", None, 0, None)


def study_of(run: dict[str, Any]) -> None:
    Path("run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    Path("study.yaml").write_text(
        yaml.safe_dump({"name": "study", "folder": "studied", "stages": {"only": {"run": "run.yaml"}}})
    )


def study_submit(run: dict[str, Any]) -> Result:
    study_of(run)
    return typed("study", "submit", "study.yaml", "--cluster", "slurm.yaml", "--dry-run")


def study_run(run: dict[str, Any]) -> Result:
    study_of(run)
    return typed("study", "run", "study.yaml", "--dry-run")


DOORS = [train, prepare, submit, start, study_submit, study_run]
SCORED = {"train": None, "evaluate__tasks": ["cldr-topic"]}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a root that is not there": ({"data__root": "nowhere"}, "data.root: nowhere: no such folder"),
    "no training file": (
        {"train__tasks": [{"task": "xnli"}]},
        "benchmark/xnli/train-en.tsv: no such file (xnli train en)",
    ),
    "no running text": (
        {"train__tasks": [{"task": "mlm", "languages": ["yo", "sw"]}], "evaluate": None},
        "benchmark/mlm/sw.txt: no such file (mlm train sw)",
    ),
    "no file to score": ({"evaluate__tasks": ["xnli"]}, "evaluate.tasks.0: no language of 'xnli' has its files, such as "),
    "no encoder": ({"model__backbone": "./nowhere"}, "./nowhere: no such folder"),
    "no model folder": ({"model__backbone": "./benchmark"}, "benchmark: is not a model folder (no config.json)"),
    "a decoder": ({"model__backbone": "./decoder"}, "./decoder: model type 'gpt2' is not taken: a decoder: "),
    "layers that cannot be computed again": (
        {"model": {"backbone": "./albert", "gradient_checkpointing": True}},
        "model.gradient_checkpointing: encoders of type 'albert' cannot compute their layers again; leave it out",
    ),
    "a family that a kind has not": (
        {"model__backbone": "./xlm", "train__tasks": [{"task": "squad"}], "evaluate": None},
        "./xlm: no span-qa ('squad') with 'xlm': ",
    ),
    "a language that the encoder was not taught": (
        {"model__backbone": "./xlm", "evaluate__languages": ["sw"]},
        "./xlm: was not trained on 'sw' (cldr-topic test sw), but de, en",
    ),
    "more tokens than positions": (
        {"data__max_length": 513},
        "data.max_length: data.max_length=513 is more than the 512 tokens that encoder has positions for",
    ),
    "a layer too many": (
        {"evaluate": {"tasks": ["cldr-names"], "layer": 3}},
        "evaluate.layer: there is no layer 3: encoder has 2",
    ),
    "a head that is not trained": (
        {"evaluate__tasks": ["cldr-spans"]},
        "/model: holds no head 'cldr-spans' (it has: cldr-topic); train that task first",
    ),
    "no such task": ({"train__tasks": [{"task": "cldr-topics"}]}, "train.tasks.0.task: unknown task 'cldr-topics'"),
    "no such language": (
        {"train__tasks": [{"task": "cldr-topic", "languages": ["sv"]}]},
        "train.tasks.0.languages.0: task 'cldr-topic': unknown language 'sv'",
    ),
    "no such DeepSpeed file": ({"runtime__deepspeed": "zer02"}, "unknown DeepSpeed configuration 'zer02'"),
    "a DeepSpeed key misspelt": (
        {"runtime__deepspeed": "./misspelt.json"},
        "misspelt.json: zero_optimization: unknown key 'stag': did you mean 'stage'?",
    ),
    "an impossible DeepSpeed value": (
        {"runtime__deepspeed": "./impossible.json"},
        "impossible.json: zero_optimization.stage: Input should be 0, 1, 2",
    ),
    "no word list": (
        {"robust": {"method": "substitution", "synonyms": "words.json"}},
        "robust: words.json: no such file",
    ),
    "a list of words that is none": (
        {"robust": {"method": "substitution", "synonyms": "strings.json"}},
        "robust: strings.json: key 'the': expected a list of words, found str",
    ),
    "a list of words of no language": (
        {"robust": {"method": "substitution", "synonyms": {"en": "good.json", "xx": "good.json"}}},
        "robust: synonyms: unknown language 'xx'",
    ),
    "a dictionary that is none": (
        {"robust": {"method": "code_switch", "dictionaries": ".", "languages": ["de"]}},
        "robust: en-de.txt:1: expected 'source TAB target' or 'source target', found 'only'",
    ),
    "no dev set": (
        {"train__tasks": [{"task": "cldr-spans"}], "train__select": {"every": 1, "languages": ["qu"]}},
        "benchmark/cldr-spans/dev-qu.tsv: no such file (cldr-spans dev qu)",
    ),
}


@pytest.fixture
def files(place: Path) -> None:
    (place / "misspelt.json").write_text(json.dumps({"zero_optimization": {"stag": 2}}))
    (place / "impossible.json").write_text(json.dumps({"zero_optimization": {"stage": 7}}))
    (place / "benchmark/mlm").mkdir(exist_ok=True)
    (place / "benchmark/mlm/yo.txt").write_text("Ọjọ́ dára.\n")
    (place / "strings.json").write_text('{"the": "a"}')
    (place / "good.json").write_text('{"good": ["fine"]}')
    (place / "en-de.txt").write_text("only\n")
    (place / "benchmark/squad").mkdir(exist_ok=True)
    (place / "benchmark/squad/train-v1.1.json").touch()
    sizes = {"num_hidden_layers": 2, "vocab_size": 400, "max_position_embeddings": 512}
    languages = {"n_langs": 2, "lang2id": {"en": 0, "de": 1}}
    for kind, folder in (("gpt2", "decoder"), ("albert", "albert"), ("xlm", "xlm")):
        (place / folder).mkdir()
        (place / folder / "config.json").write_text(json.dumps({"model_type": kind, **sizes, **languages}))
        tables = {"embeddings.word_embeddings.weight": torch.zeros(400, 64)}
        save_file(
            {**tables, "embeddings.position_embeddings.weight": torch.zeros(512, 64)}, place / folder / "model.safetensors"
        )


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.usefixtures("files")
def test_a_mistake_is_the_same_line_at_every_door(mistake: str, door: Callable[[dict[str, Any]], Result], place: Path) -> None:
    changes, expected = MISTAKES[mistake]
    result = door(described(**changes))
    assert result.exit_code == 2, (result.output, result.exception)
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (place / "out").exists()
    assert not (place / "prepared").exists()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_a_run_in_order_passes_every_door(door: Callable[[dict[str, Any]], Result], place: Path) -> None:
    result = door(described())
    assert result.exit_code == 0, (result.output, result.exception)
    assert not (place / "out").exists()


FP16 = "runtime.precision=fp16: DeepSpeed does not train in it on a CPU (valid here: fp32, bf16)"


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_fp16_is_refused_where_it_would_start_on_a_cpu(
    door: Callable[[dict[str, Any]], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where jobs are submitted or rows are prepared, for machines that may have GPUs. Some CPUs have it."""
    monkeypatch.setattr(private, "trains_in_fp16", lambda: False)
    result = door(described(runtime__precision="fp16"))
    here = door in (train, start, study_run)
    assert (result.exit_code, FP16 in result.stderr) == (2 * here, here), result.output


def test_a_run_that_was_begun_in_fp16_stays_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "trains_in_fp16", lambda: False)
    (place / "begun.yaml").write_text(yaml.safe_dump(described(runtime__precision="fp16")))
    RunFolder(place / "out").open(load_run(place / "begun.yaml"), deepspeed_of({}), {})
    for door in (train, start, prepare):
        result = door(described())
        assert (result.exit_code, FP16 in result.stderr) == ((0, False) if door is prepare else (2, True)), result.output


@pytest.mark.parametrize("door", [evaluate, prepare, submit, start, study_submit], ids=lambda door: door.__name__)
def test_a_backbone_without_the_head_that_is_scored(door: Callable[[dict[str, Any]], Result]) -> None:
    run = described()
    del run["train"]
    result = door(run)
    assert result.exit_code == 2
    assert "encoder: holds no head 'cldr-topic' (it has: none); train that task first" in result.stderr


def test_data_that_lie_elsewhere_are_one_warning(place: Path) -> None:
    (place / "slurm.yaml").write_text("kind: slurm\ntime_limit: 1h\ndata: remote\n")
    result = submit(described(data__root="/on/the/cluster"))
    assert result.exit_code == 0, result.output
    assert "/on/the/cluster: not checked: cluster.data is remote" in result.stderr
    assert submit(described(data__root="/on/the/cluster", runtime__deepspeed="zer02")).exit_code == 2


def test_a_file_that_cannot_be_read_is_found_before_the_start(place: Path) -> None:
    (place / "benchmark").unlink()
    tiny_benchmark(place / "benchmark")
    path = place / "benchmark" / "cldr-topic" / "train-en.tsv"
    path.write_text("no tab here\n" + path.read_text())
    for door in (train, prepare, submit, study_submit):
        result = door(described())
        assert result.exit_code == 2
        assert "benchmark/cldr-topic/train-en.tsv:1:" in result.stderr
    path.write_text("")
    assert "benchmark/cldr-topic/train-en.tsv: " in train(described()).stderr


def test_the_model_of_an_earlier_stage_counts_as_there(place: Path) -> None:
    """Its positions, layers and heads are known before it is trained."""
    run = described()
    second = {key: run[key] for key in ("data", "train", "evaluate")}
    stages = {"first": {"run": described()}, "second": {"run": {**second, "model": run["model"]}, "after": "first"}}
    Path("study.yaml").write_text(yaml.safe_dump({"name": "study", "folder": "studied", "stages": stages}))
    result = typed("study", "submit", "study.yaml", "--cluster", "slurm.yaml", "--dry-run")
    assert result.exit_code == 0, (result.output, result.exception)
    stages["second"]["run"]["evaluate"] = {"tasks": ["cldr-names"], "layer": 5}  # type: ignore[index]
    Path("study.yaml").write_text(yaml.safe_dump({"name": "study", "folder": "studied", "stages": stages}))
    result = typed("study", "submit", "study.yaml", "--cluster", "slurm.yaml", "--dry-run")
    assert "evaluate.layer: there is no layer 5: encoder has 2" in result.stderr


def test_what_is_resolved(place: Path) -> None:
    path = place / "run.yaml"
    path.write_text(yaml.safe_dump(described(evaluate__tasks=["cldr-topic", "cldr-names"]), sort_keys=False))
    found = resolve(load_run(path))
    assert [str(subset) for subset in found.subsets.training] == ["cldr-topic train en"]
    assert {subset.language for subset in found.subsets.evaluation if subset.task.name == "cldr-topic"} == {"en", "de", "sw"}
    assert list(found.heads) == ["cldr-topic"]
    assert found.encoder
    assert (found.encoder.layers, found.encoder.positions, found.encoder.heads) == (2, 512, {})
    assert (found.deepspeed.name, found.deepspeed.precision) == ("zero0", "fp32")
    assert found.found.lineage[-1].description["precision"] == "fp32"  # which `auto` became
    RunFolder(Path("out")).open(load_run(path), deepspeed_of({"bf16": {"enabled": True}}), {})
    begun = resolve(load_run(path)).deepspeed  # where it was started `auto` had become these
    assert (begun.name, begun.precision) == ("zero2", "bf16")
    assert resolve(load_run(path, ["runtime.deepspeed=zero3"])).deepspeed.name == "zero3"
    assert found.scored_model == "out/model"
    with pytest.raises(AttributeError):
        found.run = found.run  # type: ignore[misc]


def test_facts_of_files_are_those_of_transformers(material: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    encoder, config = read_encoder(str(material / "encoder")), AutoConfig.from_pretrained(material / "encoder")
    assert encoder
    assert (encoder.kind, encoder.layers, encoder.rows) == (config.model_type, config.num_hidden_layers, config.vocab_size)
    assert max(AutoTokenizer.from_pretrained(material / "encoder").get_vocab().values()) < encoder.rows


def test_a_tokenizer_of_another_encoder(material: Path, tmp_path: Path) -> None:
    folder = tmp_path / "smaller"
    folder.mkdir()
    for path in (material / "encoder").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "vocab_size": 10}))
    weights = load_file(folder / "model.safetensors")
    cut = {name: value[:10].clone() for name, value in weights.items() if name.endswith("word_embeddings.weight")}
    save_file({**weights, **cut}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"the tokenizer's ids reach \d+, the encoder's embedding has 10 rows"):
        read_encoder(str(folder))


def test_few_functions_take_the_run() -> None:
    """What they need they are given; the doors resolve."""
    package = Path(xdist.__file__).parent
    taking = [
        f"{path.relative_to(package)}:{node.name}"
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.annotation
        and {name.strip("'\" ") for name in ast.unparse(argument.annotation).replace("|", ",").split(",")} & {"Run", "Resolved"}
    ]
    assert len(taking) <= 20, taking


def test_subsets_are_found_once(place: Path) -> None:
    path = place / "run.yaml"
    path.write_text(yaml.safe_dump(described(), sort_keys=False))
    subsets = Subsets(load_run(path))
    assert subsets.training is subsets.training


def test_what_an_encoder_has_read_is_as_the_run_says_else_as_an_earlier_training_of_it_did(place: Path) -> None:
    def of(**changes: Any) -> str:
        Path("run.yaml").write_text(yaml.safe_dump(described(**changes)))
        return resolve(load_run(Path("run.yaml"))).request.pretraining["name"]

    assert of() == "none"  # a tiny encoder is in no list
    assert of(model__pretraining="mmbert") == "mmbert"
    Path("mine.txt").write_text("en 3\n")
    record = resolve(load_run(Path("run.yaml"), ["model.pretraining=mine.txt"])).request.pretraining
    assert record["sizes"] == {"en": 3.0}
    # The complete list is kept with the model: its file may not be there.
    trained = resolve(load_run(Path("run.yaml"), ["model.pretraining=mine.txt"])).lineage
    shutil.copytree("encoder", "trained", symlinks=False)
    (Path("trained") / FILE).write_text(json.dumps(dump_lineage(trained)))
    Path("mine.txt").unlink()
    continued = resolve(load_run(Path("run.yaml"), ["model.pretraining=null", "model.backbone=trained"]))
    assert continued.request.pretraining == record
    with pytest.raises(UserError, match=r"model\.pretraining: unknown pre-training list 'mine\.txt'"):
        of(model__pretraining="mine.txt")


def test_running_text_that_an_encoder_is_trained_on_is_told_beside_its_list(place: Path) -> None:
    tasks = [{"task": "mlm", "languages": ["yo", "ht"]}, {"task": "cldr-topic", "languages": ["en"]}]
    Path("run.yaml").write_text(yaml.safe_dump(described(train__tasks=tasks)))
    request = resolved_of(load_run(Path("run.yaml"))).request
    assert request.read_since == ["ht", "yo"]
    Path("run.yaml").write_text(yaml.safe_dump(described()))
    assert resolved_of(load_run(Path("run.yaml"))).request.read_since == []


def test_languages_are_asked_for_by_what_the_encoder_has_read(place: Path) -> None:
    def of(*languages: str, **changes: Any) -> list[str]:
        Path("run.yaml").write_text(yaml.safe_dump(described(evaluate__languages=list(languages), **changes)))
        return [subset.language for subset in resolve(load_run(Path("run.yaml"))).subsets.evaluation]

    cc100: dict[str, Any] = {"model__pretraining": "cc100"}
    everywhere = of("group:tail", "group:head", **cc100)
    assert set(everywhere) == {code for code in everywhere if CC100.group(code) != "unknown"}
    assert of("group:high", **cc100) == [code for code in everywhere if CC100.group(code) == "high"] != []
    assert of("sw", "group:high", **cc100) == ["sw", *of("group:high", **cc100)]
    # Ranks that do not see the encoder take what rank 0 found.
    found = resolve(load_run(Path("run.yaml"))).found
    elsewhere = load_run(Path("run.yaml"), ["model.backbone=not/here", "model.pretraining=null"])
    assert list(map(str, Resolved.of(elsewhere, found).subsets.evaluation)) == list(found.evaluation)
    with pytest.raises(UserError, match=r"evaluate\.languages: unknown group 'group:hihg': did you mean 'group:high'"):
        of("group:hihg", **cc100)
    with pytest.raises(UserError, match=r"evaluate\.languages: what the encoder has read is not known"):
        of("group:high")
    with pytest.raises(UserError, match=r"evaluate\.languages: no language of cldr-topic is seen \(CC-100\)"):
        of("group:seen", **cc100)


def test_the_fallback_of_language_adapters_is_one_of_them_in_any_code() -> None:
    def refused(fallback: str) -> str:
        adapter = {"kind": "bottleneck", "languages": {"eng_Latn": {"model": "nowhere"}}, "fallback": fallback}
        Path("run.yaml").write_text(yaml.safe_dump(described(model__adapter=adapter)))
        run = load_run(Path("run.yaml"))
        with pytest.raises(UserError) as error:
            Resolved(run, Subsets(run)).check_adapter()
        return str(error.value)

    assert "model.adapter.fallback: unknown language with an adapter 'sw': (valid: eng_Latn)" in refused("sw")
    assert "model.adapter.languages.eng_Latn.model: nowhere: no such folder" in refused("en")


@pytest.mark.parametrize("method", ["substitution", "code_switch"])
def test_words_of_no_language_that_is_trained_on_are_a_line(place: Path, method: str) -> None:
    """They would change nothing, and nobody would know. One language of several is enough."""
    (place / "synonyms.json").write_text('{"good": ["fine"]}')
    (place / "en-fr.txt").write_text("good bon\n")
    section = {
        "substitution": {"method": "substitution", "synonyms": "synonyms.json"},
        "code_switch": {"method": "code_switch", "dictionaries": ".", "languages": ["fr"]},
    }[method]
    run = described(robust=[{"method": "adversarial", "radius": 0.1}, section] if method == "substitution" else section)
    (place / "run.yaml").write_text(yaml.safe_dump(run))
    for languages, code in (("[de]", 2), ("[en, de]", 0)):
        done = typed("train", "run.yaml", f"train.tasks=[{{task: cldr-topic, languages: {languages}}}]", "--dry-run")
        assert done.exit_code == code, done.output
        said = f"{method} has no words of what is trained on (de), so it would change nothing" in done.output
        assert said == (code == 2)
