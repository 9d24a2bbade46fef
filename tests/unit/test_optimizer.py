"""The learning rate by hand, and which parameters decay."""

from collections.abc import Callable

import pytest
import torch
from torch import nn, optim

from xdist.config import Model as ModelSection
from xdist.config import Train
from xdist.data.tokenizer import load_tokenizer
from xdist.engine.optimizer import layered_groups, make_optimizer, parameter_groups, rate_factor
from xdist.errors import UserError
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of


@pytest.mark.parametrize(
    "steps, warmup, expected",
    [
        (4, 0, [1, 3 / 4, 2 / 4, 1 / 4]),
        (6, 2, [1 / 3, 2 / 3, 1, 3 / 4, 2 / 4, 1 / 4]),  # two steps of warm-up
        (6, 1, [1 / 2, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5]),
        (8, 0.25, [1 / 3, 2 / 3, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),  # a quarter of the steps
        (3, 10, [1 / 11, 2 / 11, 3 / 11]),  # a warm-up longer than the run
    ],
)
def test_rate_by_hand(steps: int, warmup: float, expected: list[float]) -> None:
    assert [rate_factor(step, steps, warmup) for step in range(steps)] == pytest.approx(expected)
    assert rate_factor(steps, steps, warmup) == pytest.approx(0 if warmup < steps else (steps + 1) / 11)


@pytest.mark.parametrize("warmup", [0, 0.06, 0.5, 1, 17, 999])
def test_rate_starts_above_zero_peaks_near_one_and_ends_near_zero(warmup: float) -> None:
    rates = [rate_factor(step, 1000, warmup) for step in range(1000)]
    assert rates[0] > 0
    assert 0.99 < max(rates) <= 1
    assert warmup == 999 or 0 < rates[-1] < 0.01
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize(
    "decay, expected",
    [
        ("linear", [1 / 2, 1, 3 / 4, 2 / 4, 1 / 4]),
        ("constant", [1 / 2, 1, 1, 1, 1]),
        ("cosine", [1 / 2, 1, (1 + 2**-0.5) / 2, 1 / 2, (1 - 2**-0.5) / 2]),
    ],
)
def test_what_the_rate_does_after_the_warm_up(decay: str, expected: list[float]) -> None:
    assert [rate_factor(step, 5, 1, decay) for step in range(5)] == pytest.approx(expected)


def model() -> nn.Module:
    made = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4))
    made.add_module("frozen", nn.Linear(4, 2).requires_grad_(False))
    return made


def test_biases_and_norms_do_not_decay() -> None:
    made = model()
    names = {id(parameter): name for name, parameter in made.named_parameters()}
    groups = parameter_groups(made, 0.1)
    assert [([names[id(parameter)] for parameter in group["params"]], group["weight_decay"]) for group in groups] == [
        (["0.weight", "1.weight"], 0.1),
        (["1.bias", "2.weight", "2.bias"], 0.0),
    ]


def test_a_partitioned_matrix_is_still_a_matrix() -> None:
    """ZeRO-3 leaves an empty flat tensor and notes the shape before."""
    made = nn.Linear(3, 2)
    for parameter in made.parameters():
        parameter.ds_shape = parameter.shape  # type: ignore[attr-defined]
        parameter.data = parameter.data.new_empty(0)
    decayed, plain = parameter_groups(made, 0.1)
    assert decayed["params"] == [made.weight]
    assert plain["params"] == [made.bias]


def test_adamw_takes_the_run_s_settings() -> None:
    train = Train.model_validate(
        {"tasks": [{"task": "xnli"}], "steps": 1, "learning_rate": 3e-4, "epsilon": 1e-6, "weight_decay": 0.01}
    )
    made = make_optimizer(model(), train, offload=False)
    assert isinstance(made, optim.AdamW)
    assert [(group["lr"], group["eps"], group["weight_decay"]) for group in made.param_groups] == [
        (3e-4, 1e-6, 0.01),
        (3e-4, 1e-6, 0.0),
    ]


def _train(**options: object) -> Train:
    return Train(tasks=({"task": "xnli"},), steps=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert", "deberta-v2", "xlm"])
def test_lower_layers_have_lower_rates(folders: Callable[[str], str], kind: str) -> None:
    """Each parameter once, in a group of its depth; the embeddings have the lowest, heads the full rate."""
    place = folders(kind)
    encoder = load_encoder(ModelSection(backbone=place), load_tokenizer(place), torch.float32)
    made = Model(encoder, {"xnli": family_of(task("xnli"))}, 0)
    names = {id(parameter): name for name, parameter in made.named_parameters()}
    options = _train(learning_rate=1.0, layer_decay=0.5, weight_decay=0.1, betas=(0.8, 0.9))
    groups = make_optimizer(made, options, offload=False).param_groups
    rates = {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}
    assert rates.keys() == set(names.values())
    assert sum(len(group["params"]) for group in groups) == len(names)
    assert {group["betas"] for group in groups} == {(0.8, 0.9)}
    assert {rate for name, rate in rates.items() if name.startswith("heads.")} == {1.0}
    assert set(rates.values()) == {1.0, 0.5, 0.25, 0.125}, "three layers and the embeddings"
    words = next(name for name, parameter in made.named_parameters() if parameter is encoder.get_input_embeddings().weight)
    assert rates[words] == 0.125
    lowest = [rate for name, rate in rates.items() if "layer" in name and ".0." in name and "embed" not in name]
    assert set(lowest) == {0.25}
    one = make_optimizer(made, _train(layer_decay=1.0, learning_rate=2.0), offload=False).param_groups
    assert {group["lr"] for group in one} == {2.0}


def test_layers_that_share_their_weights_have_one_rate(folders: Callable[[str], str]) -> None:
    place = folders("albert")
    made = Model(load_encoder(ModelSection(backbone=place), load_tokenizer(place), torch.float32), {}, 0)
    with pytest.raises(UserError, match="the layers of encoders of type 'albert' share their weights"):
        layered_groups(made, _train(layer_decay=0.9))
