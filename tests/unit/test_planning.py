"""`xdist plan`: shapes are those of transformers, work is what the methods make, and what is recommended holds."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from batch_of import batch_of
from click.testing import CliRunner
from passes_of import context_of, trained
from resolved_of import data_of, prepared_of, resolved_of
from tiny import tiny_benchmark, tiny_model
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaXLConfig, XLMRobertaXLModel

from xdist.cli import main
from xdist.config import Model as Section
from xdist.config import Run
from xdist.config.method import StepCost
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.data.vocabulary import used_rows
from xdist.errors import UserError
from xdist.estimate import recommend
from xdist.estimate.hours import flops, forecast, measure_peak, spoken_time, traffic, work
from xdist.estimate.memory import Setting, copied_memory, memory, moments
from xdist.estimate.memory import count_trained as trained_parameters
from xdist.estimate.recommend import GB
from xdist.estimate.shapes import shape_of
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.robust.adversarial import Adversarial
from xdist.robust.subword import Subword
from xdist.run import ds_config
from xdist.study.estimate import _prepared
from xdist.study.planning import Machine, plan, plan_run
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of
from xdist.tasks.limits import LOGITS

PARTS = ("parameters", "gradients", "optimizer", "communication", "activations", "logits")
MILLIONS = {"base": 277, "large": 559, "xl": 3476, "xxl": 10696}


@pytest.mark.parametrize("name", ["base", "large", "xl", "xxl"])
def test_parameters_are_those_of_transformers(name: str) -> None:
    shape = shape_of(name)
    config, kind = (XLMRobertaXLConfig, XLMRobertaXLModel) if "xl" in name else (XLMRobertaConfig, XLMRobertaModel)
    sizes = {"hidden_size": shape.width, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads}
    with torch.device("meta"):
        made = kind(
            config(
                vocab_size=shape.pieces,
                intermediate_size=shape.inner,
                max_position_embeddings=514,
                type_vocab_size=1,
                **sizes,
            ),
            add_pooling_layer=False,
        )
    assert shape.parameters == sum(parameter.numel() for parameter in made.parameters())
    assert shape.embedding == made.get_input_embeddings().weight.numel()
    layers = [parameter for layer in made.encoder.layer for parameter in layer.parameters()]
    assert shape.matrices == sum(parameter.numel() for parameter in layers if parameter.dim() == 2)
    assert round(shape.parameters / 1e6) == MILLIONS[name]


def test_other_encoders_are_counted_on_the_meta_device(tmp_path: Path) -> None:
    values = {"model_type": "electra", "vocab_size": 900, "embedding_size": 32, "hidden_size": 32, "num_hidden_layers": 3}
    values |= {"num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 40}
    (tmp_path / "config.json").write_text(json.dumps(values))
    shape = shape_of(str(tmp_path))
    assert (shape.pieces, shape.width, shape.layers, shape.inner) == (900, 32, 3, 64)
    assert 900 * 32 + shape.matrices < shape.parameters < 900 * 32 + 1.3 * shape.matrices


@pytest.mark.parametrize(
    "name, millions, hub",
    [
        ("mbert", 177, "google-bert/bert-base-multilingual-cased"),
        ("xlm-100", 571, "FacebookAI/xlm-mlm-100-1280"),
        ("mmbert-small", 140, "jhu-clsp/mmBERT-small"),
        ("mmbert-base", 307, "jhu-clsp/mmBERT-base"),
        ("eurobert-210m", 212, "EuroBERT/EuroBERT-210m"),
        ("mdeberta-v3-base", 278, "microsoft/mdeberta-v3-base"),
    ],
)
def test_encoders_that_xlm_r_is_compared_with_have_their_published_sizes(name: str, millions: int, hub: str) -> None:
    """What EuroBERT has in addition to its encoder, a matrix for words, is not counted."""
    shape = shape_of(name)
    assert round(shape.parameters / 1e6) == millions
    assert shape_of(hub) == shape
    assert 0 < shape.matrices < shape.parameters - shape.embedding
    assert shape.layer * shape.layers == pytest.approx(shape.matrices, rel=0.01)


def test_a_plan_of_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(UserError, match="model type 'gpt2' is not taken: a decoder"):
        shape_of(str(tmp_path))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("planning")
    tiny_benchmark(folder / "benchmark")
    backbone = str(tiny_model(folder / "encoder", folder / "benchmark"))
    encoder = load_encoder(Section(backbone=backbone), load_tokenizer(backbone), torch.float32)
    return Model(encoder, {"head": family_of(task("cldr-topic"))}, 1)


METHODS: list[Any] = [
    [],
    {"method": "adversarial", "steps": 3},
    {"method": "adversarial", "steps": 2, "loss": "kl", "random_start": True, "clean": 0.5},
    {"method": "free", "steps": 3},
    {"method": "random", "draws": 2},
    {"method": "random", "draws": 3, "place": "last"},
    {"method": "consistency"},
    [{"method": "adversarial", "steps": 2, "clean": 0.5}, {"method": "consistency"}],
    [{"method": "random", "draws": 2}, {"method": "adversarial"}, {"method": "consistency"}],
    [{"method": "random", "draws": 2, "place": "last"}, {"method": "consistency"}],
]


@pytest.mark.parametrize("robust", METHODS)
def test_work_is_what_the_methods_make(model: Model, robust: Any) -> None:
    run = Run.model_validate(
        {"name": "a", "folder": "a", "model": {"backbone": "a"}, "data": {"root": "a"}}
        | {"train": {"tasks": [{"task": "cldr-topic"}], "steps": 1}, "robust": robust}
    )
    forwards = backwards = 0

    def count(_: object, __: object, output: Any) -> None:
        nonlocal forwards, backwards
        forwards += 1

        def came(gradient: torch.Tensor) -> None:
            nonlocal backwards
            backwards += 1

        if output.last_hidden_state.requires_grad:
            output.last_hidden_state.register_hook(came)

    handle = model.encoder.register_forward_hook(count)
    batch = batch_of([[[0, 30, 31, 2]], [[0, 42, 2]]], labels=[0, 1], head="head")
    trained(model, run.methods, context_of(model, batch, step=0))
    handle.remove()
    model.zero_grad()
    expected = work(run.methods)
    assert forwards == expected.trained + expected.looked
    assert backwards == expected.trained + expected.climbed


def test_work_of_every_second_step_is_the_mean() -> None:
    assert work([Adversarial(method="adversarial", steps=3, every=2)]) == StepCost(
        clean=0.5, moved=0.5, looked=1.5, climbed=1.5
    )
    assert work([Adversarial(method="adversarial", steps=1)]).forwards(checkpointing=False) == 5  # (3 + 2 K) / 3 of plain
    assert work([]).forwards(checkpointing=True) == 4


def test_flops_are_those_of_the_published_table() -> None:
    """Forward FLOPs per token at 512 tokens; embedding and norms left out."""
    table = {"base": (189e6, 384e6), "large": (655e6, 512e6), "xl": (5.85e9, 1.29e9), "xxl": (19.7e9, 2.06e9)}
    for name, (encoder, head) in table.items():
        shape = shape_of(name)
        assert flops(shape, 512) == pytest.approx(encoder, rel=0.02)
        assert flops(shape, 512, head=1) - flops(shape, 512) == pytest.approx(head, rel=0.01)


def test_stages_hold_less_and_send_more() -> None:
    shape = shape_of("xl")
    settings = [Setting(ranks=8, stage=stage, bf16=True, tokens=1024, micro_batches=2) for stage in (0, 1, 2, 3)]
    assert sorted(settings, key=lambda one: -memory(shape, one).total) == settings
    sent = [traffic(shape, one, StepCost()) for one in settings]
    assert sent[3] > sent[2] > sent[0]
    assert traffic(shape, Setting(), StepCost()) == 0
    # 16 bytes of states for each parameter, as published: weights, gradients, and the optimizer's.
    alone = moments(shape, Setting(stage=0, bf16=False))["optimizer steps"]
    assert alone.total - alone.activations == 16 * shape.parameters


def test_rows_of_the_embedding_that_rest_need_no_states() -> None:
    shape = shape_of("base")
    assert trained_parameters(shape, 2533) == shape.parameters - (250002 - 2533) * 768
    whole, few = (memory(shape, Setting(ranks=2, stage=2, tokens=64, trained_rows=rows)) for rows in (None, 2533))
    assert few.optimizer < 0.32 * whole.optimizer
    assert few.parameters < 0.32 * whole.parameters  # the others are in main memory
    assert few.gradients < 0.4 * whole.gradients


# GPUs, GB of each, model: what experience recommends.
@pytest.mark.parametrize(
    "name, gpus, gigabytes, stages, offload",
    [
        ("base", 1, 24, {2}, "none"),
        ("large", 8, 40, {1, 2}, "none"),
        ("xl", 8, 80, {1, 2}, "none"),
        ("xxl", 8, 40, {3}, "none"),
        ("xl", 1, 40, {3}, "optimizer"),
        ("xxl", 2, 8, {3}, "all"),
    ],
)
def test_recommended_stages(name: str, gpus: int, gigabytes: float, stages: set[int], offload: str) -> None:
    found = recommended(name, gpus, gigabytes)
    assert (found.stage in stages, found.offload) == (True, offload)
    assert memory(shape_of(name), found).total <= recommend.usable(gigabytes * GB)


def recommended(name: str, gpus: int, gigabytes: float, tokens: int | None = None, **given: Any) -> Setting:
    start = Setting(ranks=gpus, bf16=True)
    options = {"step_tokens": None, "views": 1.0, "head": 0.0, **given}
    return recommend.recommend(shape_of(name), start, gigabytes * GB, tokens=tokens, **options)


def test_a_batch_is_no_larger_than_a_ranks_share_of_the_step() -> None:
    assert recommended("base", 4, 80, step_tokens=20_000).tokens == 5 * 1024
    split = recommended("large", 2, 24, step_tokens=1_000_000)
    assert split.micro_batches == -(-500_000 // split.tokens)
    assert recommended("base", 4, 80, views=2.0, tokens=3000).tokens == 6000


def test_logits_of_a_large_vocabulary_are_counted_as_they_exist_at_once() -> None:
    few, many = (recommended("base", 4, 80, tokens=tokens, head=0.15).logits for tokens in (1024, 32768))
    assert few == 154 * shape_of("base").pieces < many == LOGITS


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UserError, match=r"xxl does not fit: .* GB on each of 2 GPUs, .* more GPUs"):
        recommended("xxl", 2, 4)


def typed(*words: object) -> Any:
    return CliRunner().invoke(main, ["plan", *map(str, words)])


@pytest.mark.parametrize("words", [["xl", "--gpus", 4], ["base", "--precision", "fp32"], ["xxl", "--gpus", 8]])
def test_the_configuration_written_loads_in_deepspeed(tmp_path: Path, words: list[Any]) -> None:
    from deepspeed.runtime.config import DeepSpeedConfig

    file = tmp_path / "zero.json"
    done = typed(*words, "--gpu-memory", 40, "--peak", 312, "--write", file, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert json.loads(file.read_text()) == facts["ds_config"]
    config = DeepSpeedConfig(dict(ds_config.settings(file, facts["precision"], clip=1.0).values))
    assert config.zero_optimization_stage == facts["zero_stage"]
    assert facts["memory"]["total"] == pytest.approx(sum(facts["memory"][part] for part in PARTS))
    assert facts["tokens_per_second"] > 0


def test_a_run_tells_its_steps_and_method(tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text(
        json.dumps({"model_type": "xlm-roberta", "vocab_size": 250002, "hidden_size": 768, "num_hidden_layers": 12})[:-1]
        + ', "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 514, "type_vocab_size": 1}'
    )
    run = {
        "name": "planned",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(encoder)},
        "data": {"root": str(tmp_path / "data"), "cache": str(tmp_path / "cache"), "max_length": 128},
        "train": {"tasks": [{"task": "xnli"}], "steps": 1000, "batch_size": 32},
        "robust": {"method": "adversarial", "steps": 1},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    found = {}
    for method in ("adversarial", "none"):
        words = [tmp_path / "run.yaml", f"robust.method={method}", "--gpus", 2, "--gpu-memory", 24, "--peak", 100, "--json"]
        done = typed(*words)
        assert done.exit_code == 0, done.output
        found[method] = json.loads(done.stdout)
    plain = found["none"]
    # 1000 steps of at most 32 x 128 tokens, 3 forward passes each, at 0.4 of 2 x 100 TFLOP/s.
    seconds = 1000 * 32 * 128 * 3 * flops(shape_of("base"), 128) / (0.4 * 200e12)
    assert plain["gpu_hours"] == pytest.approx(2 * seconds / 3600, rel=1e-3)
    assert found["adversarial"]["gpu_hours"] == pytest.approx(plain["gpu_hours"] * 5 / 3, rel=1e-3)
    # Of a run that leaves it to the hardware, a plan for GPUs is in what they compute in.
    assert plain["precision"] == "bf16"
    for precision, more in (("fp32", False), ("tf32", False), ("fp16", True)):
        facts = json.loads(typed(*words[:1], f"runtime.precision={precision}", *words[2:]).stdout)
        assert (facts["precision"], facts["overrides"][0]) == (precision, f"runtime.precision={precision}")
        assert (facts["memory"]["total"] == plain["memory"]["total"]) == more


def test_a_prepared_set_is_not_that_of_a_longer_code(tmp_path: Path) -> None:
    for name, age in (("wikiann-train-be-1111", 2), ("wikiann-train-be-x-old-2222", 1), ("mlm-train-sr-Latn-3333", 1)):
        manifest = tmp_path / name / "manifest.json"
        manifest.parent.mkdir()
        manifest.write_text("{}")
        os.utime(manifest, (10 - age, 10 - age))
    assert _prepared(tmp_path, Subset(task("wikiann"), "train", "be")) == tmp_path / "wikiann-train-be-1111/manifest.json"
    assert _prepared(tmp_path, Subset(task("mlm"), "train", "sr")) is None
    assert _prepared(tmp_path, Subset(task("mlm"), "train", "sr-Latn")) is not None


def test_of_a_prepared_run_the_rows_in_use_are_known(tmp_path: Path) -> None:
    tiny_benchmark(tmp_path / "benchmark")
    run = Run.model_validate(
        {
            "name": "prepared",
            "folder": str(tmp_path / "run"),
            "model": {"backbone": str(tiny_model(tmp_path / "encoder", tmp_path / "benchmark"))},
            "data": {"root": str(tmp_path / "benchmark"), "cache": str(tmp_path / "cache")},
            "train": {"tasks": [{"task": "cldr-topic", "languages": ["en", "de"]}], "steps": 5},
        }
    )
    machine = Machine(memory=4)
    assert plan_run(resolved_of(run), machine).setting.trained_rows is None
    tokenizer = load_tokenizer(run.model.backbone)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    trained_ids = used_rows(run.model, data_of(run, preparation), tokenizer)
    assert trained_ids is not None
    found = plan_run(resolved_of(run), machine)
    assert found.setting.trained_rows is not None
    # Special pieces are trained whether they are used or not.
    assert 0 <= len(trained_ids) - found.setting.trained_rows <= len(tokenizer.all_special_ids)
    assert not found.length_is_bound
    assert found.facts()["host_memory_of_copies"] == found.main_memory["copied"] > 0
    waits = run.model_copy(update={"runtime": run.runtime.model_copy(update={"save": "sync"})})
    assert plan_run(resolved_of(waits), machine).facts()["host_memory"] == 0
    rewritten = run.model_copy(update={"robust": Subword(method="subword")})
    assert plan_run(resolved_of(rewritten), machine).setting.trained_rows is None


@pytest.mark.parametrize(
    "words, said",
    [
        (["xlm-roberta-lagre", "--gpu-memory", 80], "did you mean 'xlm-roberta-large'?"),
        (["base", "train.steps=4", "--gpu-memory", 80], "only a run has keys to override"),
        (["missing.yaml", "--gpu-memory", 80], "cannot be read"),
        (["./nowhere", "--gpu-memory", 80], "./nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line(words: list[Any], said: str) -> None:
    done = typed(*words)
    assert (done.exit_code, said in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.output


@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_a_machine_that_takes_longer_than_its_time_is_measured_once(seconds: float) -> None:
    assert 1e-6 < measure_peak(64, 64, False, seconds) < 1e3


def test_text_names_the_parts(tmp_path: Path) -> None:
    done = typed("large", "--gpus", 8, "--gpu-memory", 80, "--measure", "--interconnect", 300)
    assert done.exit_code == 0, done.output
    for text in ("xlm-roberta-large: 559 M parameters", "activations", "tokens/s over all GPUs", "runtime.precision=bf16"):
        assert text in done.stdout


def test_main_memory_holds_the_copies_of_states_that_are_saved() -> None:
    shape, whole = shape_of("xl"), 12 * shape_of("xl").parameters
    zero = {stage: copied_memory(shape, Setting(ranks=8, stage=stage, bf16=True), 4) for stage in (0, 1, 3)}
    weights = 2 * shape.parameters  # which rank 0 writes, but at ZeRO 3
    assert zero == {0: whole + weights, 1: whole / 2 + weights, 3: whole / 2}
    assert "copies of states while they are saved" in typed("xl", "--gpus", 8, "--gpu-memory", 80).output


def test_memory_is_told_by_the_most_of_each_part_and_the_worst_moment() -> None:
    found = plan("xl", (), Machine(gpus=8, memory=80))
    every = moments(found.shape, found.setting)
    assert found.memory == every[found.worst]
    assert all(found.most[name] == max(one.parts()[name] for one in every.values()) for name in found.most)
    assert sum(found.most.values()) > found.memory.total
    said = typed("xl", "--gpus", 8, "--gpu-memory", 80).output
    assert f"when the {found.worst}" in said
    assert re.search(rf"gradients +{found.most['gradients'] / GB:.2f}\n", said)


def test_what_offload_leaves_room_for_is_not_computed_again() -> None:
    tried = list(recommend.ways(2, True))
    for offload in ("optimizer", "all"):
        assert tried.index((3, False, offload)) + 1 == tried.index((3, True, offload))


def test_a_step_takes_its_products_or_its_launches_whichever_is_longer() -> None:
    setting = Setting(ranks=1, bf16=True, stage=2, tokens=1024)
    given = {"step_tokens": 1024.0, "attended": 32.0, "head": 0.0, "reached": 0.4, "interconnect": None}
    slow, fast = (forecast(shape_of("base"), setting, StepCost(), peak=peak, **given) for peak in (1e12, 1e15))  # type: ignore[arg-type]
    assert slow.seconds == slow.compute > slow.launches
    assert fast.seconds == fast.launches == slow.launches > fast.compute
    twice = forecast(shape_of("base"), replace(setting, micro_batches=2), StepCost(), peak=1e15, **given)  # type: ignore[arg-type]
    assert twice.launches == 2 * fast.launches


@pytest.mark.parametrize(
    "hours, said",
    [
        (0.00001, "less than a second"),
        (0.005, "18 seconds"),
        (0.1, "6.0 minutes"),
        (2.25, "2.2 hours"),
        (1234.5, "1,234 hours"),
    ],
)
def test_no_time_is_zero_hours(hours: float, said: str) -> None:
    assert spoken_time(hours) == said


def test_an_anchor_a_teacher_and_frozen_layers_are_counted(tmp_path: Path) -> None:
    """The anchor is a second copy and reads the English half, a teacher is complete before training and reads each row once,
    and layers that stay as they are have neither states nor a backward pass."""
    root = tiny_benchmark(tmp_path / "benchmark")
    backbone = tiny_model(tmp_path / "encoder", root)
    common = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(backbone), "vocabulary": "full"},
        "data": {"root": str(root), "cache": str(tmp_path / "prepared"), "max_length": 32},
    }
    topics = [{"task": "cldr-topic", "languages": ["en"], "weight": 3}]
    pairs = [{"task": "parallel", "languages": ["de", "sw"], "weight": 1}]
    machine, shape = Machine(gpus=2, memory=8.0, peak=1.0), shape_of(str(backbone))

    def planned(train: dict[str, Any], **model: Any) -> Any:
        values = {**common, "model": {**common["model"], **model}, "train": {"steps": 10, "batch_size": 12, **train}}  # type: ignore[dict-item]
        return plan_run(resolved_of(Run.model_validate(values)), machine)

    plain, held = planned({"tasks": [*topics, *pairs], "parallel": {"anchor": 0}}), planned({"tasks": [*topics, *pairs]})
    assert held.setting == replace(plain.setting, anchor=True)
    assert held.memory.parameters - plain.memory.parameters == plain.setting.size * shape.parameters
    # A pair is two sentences: of 3 * 32 + 64 tokens 64 are pairs', half of them English.
    assert held.work.looked == pytest.approx(64 / (3 * 32 + 64) / 2)
    assert held.forecast.flops_per_token > plain.forecast.flops_per_token

    words = {"tasks": pairs, "parallel": {"loss": "words", "links": "x"}}
    whole, half = planned(words), planned(words, frozen_layers=1)
    assert not whole.setting.anchor
    assert half.setting == replace(whole.setting, frozen_layers=1, trained_rows=0, bucket=half.setting.bucket)
    heads = planned({"tasks": topics}, frozen_layers=shape.layers)
    assert heads.setting.frozen_layers == shape.layers
    assert heads.memory.total < planned({"tasks": topics}, frozen_layers=1).memory.total
    left = trained_parameters(shape, 0, None, 1)
    assert left == shape.parameters - shape.embedding - shape.positions * shape.width - shape.layer
    assert half.memory.optimizer == 12 * left / 2
    assert half.forecast.flops_per_token == pytest.approx(whole.forecast.flops_per_token * (1 + 2 / 2) / 3, rel=1e-6)

    taught = planned({"tasks": topics, "distil": {"teacher": str(backbone)}})
    assert taught.setting.teacher == shape.parameters
    assert moments(shape, taught.setting)["teacher is computed"].parameters == 4 * shape.parameters
    assert planned({"tasks": topics}).setting.teacher == 0
    text = typed(_written(tmp_path, common, words), "--gpus", 2, "--gpu-memory", 8, "model.frozen_layers=1").output
    assert "of 2 layers the lowest 1 and all embeddings stay as they are" in text


def _written(folder: Path, common: dict[str, Any], train: dict[str, Any]) -> Path:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**common, "train": {"steps": 10, **train}}))
    return path
