"""Shipped DeepSpeed configurations hold, and what DeepSpeed would ignore or fail on is reported in one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xdist import files, private
from xdist.config.runtime import AskedPrecision as Said
from xdist.config.runtime import Precision
from xdist.errors import UserError
from xdist.estimate.shapes import shape_of
from xdist.files import shipped
from xdist.run import distributed, ds_config
from xdist.run.ds_config import DeepSpeed

SHIPPED = sorted(path.stem for path in shipped("ds_configs").glob("*.json"))


def settings(deepspeed: object, precision: Said = "auto", clip: float | None = 1.0) -> DeepSpeed:
    return ds_config.settings(ds_config.find(str(deepspeed)), precision, clip)


def error(path: Path, values: object, precision: Said = "fp32") -> str:
    if isinstance(values, bytes):
        path.write_bytes(values)
    else:
        path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        settings(path, precision)
    message = str(caught.value).removeprefix(f"{path.parent}/")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_deepspeed_takes_what_is_shipped(name: str, precision: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiled operators that offloading needs when it runs. As its own file it is checked against
    DeepSpeed's classes, too, which a shipped one need not be again."""
    from deepspeed.runtime.config import DeepSpeedConfig

    monkeypatch.setattr(private, "trains_in_fp16", lambda: True)
    typed = settings(name, precision, clip=0.7)
    config = DeepSpeedConfig(dict(typed.values))
    stage = int(name[4])
    own = tmp_path / "own.json"
    own.write_bytes((shipped("ds_configs") / f"{name}.json").read_bytes())
    assert replace(settings(own, precision, clip=0.7), path=typed.path) == typed
    assert (typed.stage, typed.precision) == (stage, precision)
    assert typed.offload == ("all" if name.endswith(("offload", "nvme")) else "none")
    assert typed.bucket == (config.zero_config.reduce_bucket_size if stage else None)
    assert config.zero_optimization_stage == stage
    assert bool(config.bfloat16_config.enabled) == (precision == "bf16")
    assert bool(config.float16_config.enabled) == (precision == "fp16")
    assert config.float16_config.loss_scale == (2.0**16 if precision == "fp16" else 0.0)  # 0: DeepSpeed would move it
    assert config.gradient_clipping == (0.7 if stage or precision != "fp32" else 0.0)
    assert typed.ops == {"zero3_offload": ["cpu_adam"], "zero3_nvme": ["cpu_adam", "async_io"]}.get(name, [])
    assert config.gradient_accumulation_steps == 1
    assert (config.zero_config.offload_optimizer is not None) == name.endswith(("offload", "nvme"))


def test_every_stage_is_shipped() -> None:
    assert {"zero1", "zero2", "zero3", "zero3_offload", "zero3_nvme"} <= set(SHIPPED)


def test_bf16_sums_gradients_in_fp32_where_zero_can() -> None:
    resolved = {name: settings(name, "bf16").values for name in ("zero0", "zero2")}
    assert [values["bf16"] for values in resolved.values()] == [{"enabled": True}] * 2
    assert resolved["zero2"]["data_types"] == {"grad_accum_dtype": "fp32"}
    # At ZeRO 0 the engine sums in fp32, where DeepSpeed is not to round on the way from rank to rank.
    assert "data_types" not in resolved["zero0"]
    assert [values.get("communication_data_type") for values in resolved.values()] == ["fp32", None]
    assert "bf16" not in settings("zero2").values


def test_a_run_that_only_evaluates_needs_no_clipping() -> None:
    assert settings("zero2", clip=None).values["gradient_clipping"] == 0.0


@pytest.mark.parametrize(
    "values, message",
    [
        ({"zero_optimisation": {}}, "a.json: unknown key 'zero_optimisation': did you mean 'zero_optimization'?"),
        ({"train_batch_size": 8}, "a.json: train_batch_size: xdist sets this itself; use train.batch_size"),
        ({"fp16": {"enabled": True}}, "a.json: fp16: xdist sets this itself; use runtime.precision=fp16"),
        ({"gradient_clipping": 1}, "a.json: gradient_clipping: xdist sets this itself; use train.clip"),
        (
            {"zero_optimization": {"stage": 2, "reduce_bucket_size": "auto"}},
            'a.json: zero_optimization.reduce_bucket_size: DeepSpeed does not understand "auto"',
        ),
        ({"zero_optimization": {"stag": 2}}, "a.json: zero_optimization: unknown key 'stag': did you mean 'stage'?"),
        ({"zero_optimization": {"stage": 4}}, "a.json: zero_optimization.stage: Input should be 0, 1, 2"),
        ({"zero_optimization": {"offload_param": {"devise": "cpu"}}}, "a.json: zero_optimization.offload_param: unknown key"),
        ({"zero_optimization": True}, "a.json: zero_optimization: expected a JSON object"),
        ([], "a.json:1: expected a JSON object"),
        ('{"bf16": {},\n}', "a.json:2: not JSON"),
        # DeepSpeed would take the last one, turn text into what it needs, or ignore the key.
        ('{"zero_optimization": {"stage": 2, "stage": 3}}', "a.json: stage: this key appears here twice"),
        ('{"bf16": {}, "bf16": {}}', "a.json: bf16: this key appears here twice"),
        (b'{"x": "\xe9"}', "a.json:1: not UTF-8: byte 0xe9 at offset 7"),
        ({"zero_optimization": {"stage": "2"}}, "a.json: zero_optimization.stage: expected a number"),
        ({"zero_optimization": {"stage": True}}, "a.json: zero_optimization.stage: expected a number"),
        ({"zero_optimization": {"overlap_comm": "no"}}, "a.json: zero_optimization.overlap_comm: expected true or false"),
        ({"zero_optimization": {"contiguous_gradients": 1}}, "a.json: zero_optimization.contiguous_gradients: expected true"),
        (
            {"zero_optimization": {"stage3_max_live_parameters": "1e9"}},
            "a.json: zero_optimization.stage3_max_live_parameters: e",
        ),
        (
            {"zero_optimization": {"stage": 3, "offload_param": {"pin_memory": "yes"}}},
            "a.json: zero_optimization.offload_param.pin_memory: expected true or false",
        ),
        ({"bf16": {"enabled": "true"}}, "a.json: bf16.enabled: expected true or false"),
        ({"bf16": {"enable": True}}, "a.json: bf16: unknown key 'enable': did you mean 'enabled'?"),
        ({"bf16": True}, "a.json: bf16: expected a JSON object"),
        ({"wall_clock_breakdown": "no"}, "a.json: wall_clock_breakdown: expected true or false"),
        ({"aio": {"thread_count": 1}}, "a.json: aio: unknown key 'thread_count'"),
        ({"aio": {"queue_depth": "8"}}, "a.json: aio.queue_depth: expected a number"),
        ({"data_types": {"grad_accum_dtype": "float32"}}, "a.json: data_types.grad_accum_dtype: unknown value 'float32'"),
        ({"communication_data_type": "fp64"}, "a.json: communication_data_type: unknown value 'fp64': did you mean 'fp16'?"),
        (
            {"zero_optimization": {"stage": 1, "overlap_comm": True}},
            "a.json: zero_optimization.overlap_comm: works from stage 2 on, and this is stage 1",
        ),
        (
            {"zero_optimization": {"stage": 2, "offload_param": {"device": "cpu"}}},
            "a.json: zero_optimization.offload_param: works from stage 3 on, and this is stage 2",
        ),
        (
            {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "nvme"}}},
            "a.json: zero_optimization.offload_optimizer.nvme_path: is required for device nvme",
        ),
        (
            {"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme", "nvme_path": "~/nvme"}}},
            "a.json: zero_optimization.offload_param.nvme_path: '~/nvme': is a path for DeepSpeed, where '~' and '$' are",
        ),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, values: object, message: str) -> None:
    assert error(tmp_path / "a.json", values).startswith(message)


@pytest.mark.parametrize("enabled, precision", [(True, "fp32"), (False, "bf16")])
def test_precision_is_said_once(tmp_path: Path, enabled: bool, precision: Said) -> None:
    """Else clipping would be done twice, or not at all."""
    message = error(tmp_path / "a.json", {"bf16": {"enabled": enabled}}, precision=precision)
    assert message == f"a.json: bf16.enabled: contradicts runtime.precision={precision}; leave it out"
    (tmp_path / "a.json").write_text(json.dumps({"bf16": {"enabled": not enabled}}))
    assert settings(tmp_path / "a.json", precision).values["bf16"] == {"enabled": not enabled}


@pytest.mark.parametrize("text", ["\ufeff{zero}", "{zero}"])
def test_numbers_as_people_write_them(tmp_path: Path, text: str) -> None:
    """5e8 is a number of elements, and an editor of Windows begins a file with a mark."""
    path = tmp_path / "a.json"
    zero = '{"zero_optimization": {"stage": 2, "reduce_bucket_size": 5e8}}'
    path.write_text(text.replace("{zero}", zero), encoding="utf-8")
    assert settings(path).bucket == 500_000_000


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown DeepSpeed configuration 'zer02': did you mean 'zero2'"):
        ds_config.find("zer02")
    with pytest.raises(UserError, match="no such file"):
        ds_config.find(str(tmp_path / "a.json"))


def test_a_wheel_carries_the_folder_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "xdist"
    (package / "jobs").mkdir(parents=True)
    (package.parent / "jobs").mkdir()  # another package's
    monkeypatch.setattr(files, "PACKAGE", package)
    assert shipped("jobs") == package / "jobs"
    (package / "jobs").rmdir()  # as in a checkout
    assert shipped("jobs") == package.parent / "jobs"


def hardware(monkeypatch: pytest.MonkeyPatch, gpu: bool, bf16: bool = False, tensor_cores: bool = False) -> None:
    monkeypatch.setattr(distributed, "on_gpu", lambda: gpu)
    monkeypatch.setattr(distributed, "_has_bf16", lambda: bf16)
    monkeypatch.setattr(distributed, "_has_tensor_cores", lambda: tensor_cores)
    monkeypatch.setattr(private, "trains_in_fp16", lambda: tensor_cores)


OLD, VOLTA, AMPERE = (True, False, False), (True, False, True), (True, True, True)


@pytest.mark.parametrize(
    "device, asked, becomes",
    [
        ((False,), "auto", "fp32"),
        (OLD, "auto", "fp32"),
        (VOLTA, "auto", "fp16"),
        (AMPERE, "auto", "bf16"),
        ((False,), "tf32", "fp32"),
        (VOLTA, "tf32", "fp32"),
        (AMPERE, "tf32", "tf32"),
        (AMPERE, "fp16", "fp16"),
        ((False,), "bf16", "bf16"),
    ],
)
def test_what_a_precision_becomes_on_a_device(
    monkeypatch: pytest.MonkeyPatch, device: tuple[bool, ...], asked: Said, becomes: str
) -> None:
    hardware(monkeypatch, *device)
    found = settings("zero2", asked)
    assert found.precision == becomes
    assert found.half == (becomes in ("bf16", "fp16"))
    assert found.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}.get(becomes, torch.float32)


@pytest.mark.parametrize(
    "device, line",
    [
        ((False,), "DeepSpeed does not train in it on a CPU (valid here: fp32, bf16)"),
        (OLD, "this GPU is too old for it (valid here: fp32, tf32)"),
    ],
)
def test_fp16_where_there_is_none(monkeypatch: pytest.MonkeyPatch, device: tuple[bool, ...], line: str) -> None:
    hardware(monkeypatch, *device)
    with pytest.raises(UserError) as caught:
        settings("zero2", "fp16")
    assert str(caught.value) == f"runtime.precision=fp16: {line}"


@pytest.mark.parametrize(
    "model, precision, name",
    [
        ("demo", "bf16", "zero1"),
        ("base", "fp16", "zero1"),
        ("large", "bf16", "zero1"),
        ("base", "tf32", "zero0"),
        ("large", "fp32", "zero0"),
        ("xl", "bf16", "zero3"),
        ("xxl", "fp32", "zero3"),
    ],
)
def test_what_auto_is_follows_size_and_precision(model: str, precision: Precision, name: str) -> None:
    assert ds_config.choose_file(shape_of(model).parameters, precision) == name
    assert ds_config.find(name).is_file()


def test_auto_of_an_encoder_that_is_not_here() -> None:
    assert ds_config.choose_file(None, "bf16") == "zero1"


@pytest.mark.parametrize("bf16", [True, False])
def test_without_a_word_on_precision_it_is_the_file_s_or_the_hardware_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bf16: bool
) -> None:
    hardware(monkeypatch, True, bf16)
    path = tmp_path / "a.json"
    for values, expected in (
        ({}, bf16),
        ({"bf16": {"enabled": True}}, True),
        ({"bf16": {"enabled": False}}, False),
        ({"torch_autocast": {"enabled": True, "dtype": "bfloat16"}}, False),
    ):
        path.write_text(json.dumps({**values, "zero_optimization": {"stage": 2}}), encoding="utf-8")
        found = settings(path)
        assert found.values.get("bf16", {}).get("enabled", False) == expected
        assert found.dtype == (torch.bfloat16 if expected else torch.float32)
