"""Shipped DeepSpeed configurations hold, and what DeepSpeed would ignore or choke on is told in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import xdist
from xdist.config import Run
from xdist.errors import UserError
from xdist.runtime import distributed, ds_config

SHIPPED = sorted(path.stem for path in ds_config.shipped("ds_configs").glob("*.json"))


def run_with(deepspeed: object, clip: float = 1.0, train: bool = True, **runtime: object) -> Run:
    return Run.model_validate(
        {
            "name": "small",
            "folder": "out",
            "model": {"backbone": "encoder"},
            "data": {"root": "benchmark"},
            "train": {"tasks": [{"task": "xnli"}], "steps": 5, "clip": clip} if train else None,
            "evaluate": {"tasks": ["xnli"]},
            "runtime": {"deepspeed": str(deepspeed), **runtime},
        }
    )


def error(path: Path, values: object, precision: str = "fp32") -> str:
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        ds_config.resolve(run_with(path, precision=precision))
    message = str(caught.value).removeprefix(f"{path.parent}/")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_deepspeed_takes_what_is_shipped(name: str, precision: str) -> None:
    """Without the compiled operators that offloading needs when it runs."""
    from deepspeed.runtime.config import DeepSpeedConfig

    config = DeepSpeedConfig(ds_config.resolve(run_with(name, clip=0.7, precision=precision)))
    stage = int(name[4])
    assert config.zero_optimization_stage == stage
    assert bool(config.bfloat16_config.enabled) == (precision == "bf16")
    assert config.gradient_clipping == (0.7 if stage or precision == "bf16" else 0.0)
    assert config.gradient_accumulation_steps == 1
    assert (config.zero_config.offload_optimizer is not None) == name.endswith(("offload", "nvme"))


def test_every_stage_is_shipped() -> None:
    assert {"zero1", "zero2", "zero3", "zero3_offload", "zero3_nvme"} <= set(SHIPPED)


def test_bf16_sums_gradients_in_fp32_where_zero_can() -> None:
    resolved = {name: ds_config.resolve(run_with(name, precision="bf16")) for name in ("zero0", "zero2")}
    assert [values["bf16"] for values in resolved.values()] == [{"enabled": True}] * 2
    assert resolved["zero2"]["data_types"] == {"grad_accum_dtype": "fp32"}
    assert "data_types" not in resolved["zero0"]
    assert "bf16" not in ds_config.resolve(run_with("zero2"))


def test_a_run_that_only_evaluates_needs_no_clipping() -> None:
    assert ds_config.resolve(run_with("zero2", train=False))["gradient_clipping"] == 0.0


@pytest.mark.parametrize(
    "values, message",
    [
        ({"zero_optimisation": {}}, "a.json: unknown key 'zero_optimisation': did you mean 'zero_optimization'?"),
        ({"train_batch_size": 8}, "a.json: train_batch_size: xdist sets this itself; use train.batch_size"),
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
        ('{"bf16": {},\n}', "a.json:2: not valid JSON"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, values: object, message: str) -> None:
    assert error(tmp_path / "a.json", values).startswith(message)


@pytest.mark.parametrize("enabled, precision", [(True, "fp32"), (False, "bf16")])
def test_precision_is_said_once(tmp_path: Path, enabled: bool, precision: str) -> None:
    """Else clipping would be done twice, or by nobody."""
    message = error(tmp_path / "a.json", {"bf16": {"enabled": enabled}}, precision=precision)
    assert message == f"a.json: bf16.enabled: contradicts runtime.precision={precision}; leave it out"
    agreeing: dict[str, Any] = {"bf16": {"enabled": not enabled}}
    (tmp_path / "a.json").write_text(json.dumps(agreeing))
    assert ds_config.resolve(run_with(tmp_path / "a.json", precision=precision))["bf16"] == agreeing["bf16"]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown DeepSpeed configuration 'zer02': did you mean 'zero2'"):
        ds_config.find("zer02")
    with pytest.raises(UserError, match="no such file"):
        ds_config.find(str(tmp_path / "a.json"))


def test_a_wheel_carries_the_folder_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "xdist"
    (package / "jobs").mkdir(parents=True)
    (package.parent / "jobs").mkdir()  # another package's
    monkeypatch.setattr(xdist, "__file__", str(package / "__init__.py"))
    assert ds_config.shipped("jobs") == package / "jobs"
    (package / "jobs").rmdir()  # as in a checkout
    assert ds_config.shipped("jobs") == package.parent / "jobs"


@pytest.mark.parametrize("hardware", [True, False])
def test_without_a_word_on_precision_it_is_the_file_s_or_the_hardware_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hardware: bool
) -> None:
    monkeypatch.setattr(distributed, "has_bf16", lambda: hardware)
    path = tmp_path / "a.json"
    for values, expected in (
        ({}, hardware),
        ({"bf16": {"enabled": True}}, True),
        ({"bf16": {"enabled": False}}, False),
        ({"torch_autocast": {"enabled": True, "dtype": "bfloat16"}}, False),
    ):
        path.write_text(json.dumps({**values, "zero_optimization": {"stage": 2}}), encoding="utf-8")
        config = ds_config.resolve(run_with(path))
        assert config.get("bf16", {}).get("enabled", False) == expected
        assert ds_config.dtype(config) == (torch.bfloat16 if expected else torch.float32)
