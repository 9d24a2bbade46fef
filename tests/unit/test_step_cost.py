"""What a training step costs in things that no machine changes: matrix products, places, logits, parameters, balance.

Bounds are what the code needed when they were written; less is welcome, and then the bound comes down too. The bytes that ranks
reduce are counted in tests/distributed/test_same_result.py.
"""

import numpy as np
import pytest
import torch
from batch_of import batch_of
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import XLMRobertaConfig, XLMRobertaModel

from xdist.data.deal import deal
from xdist.engine.optimizer import parameter_groups
from xdist.model.model import Model
from xdist.tasks.batch import Batch, View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

# Tokens of the first 32 pairs of an English paraphrase set, as XLM-R's vocabulary cuts them.
LENGTHS = [
    58,
    41,
    47,
    62,
    29,
    90,
    53,
    44,
    37,
    71,
    49,
    55,
    33,
    40,
    66,
    51,
    45,
    60,
    38,
    83,
    27,
    50,
    57,
    42,
    35,
    76,
    48,
    54,
    31,
    64,
    46,
    59,
]
TOKENS = sum(LENGTHS)
WIDTH, PIECES = 32, 200
MASKED = list(range(0, TOKENS, 7))


def model(head: str, pack: bool = True) -> Model:
    config = XLMRobertaConfig(
        vocab_size=PIECES,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=100,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return Model(XLMRobertaModel(config, add_pooling_layer=False), {head: family_of(task(head))}, 1, pack)


def batch(head: str) -> Batch:
    made = batch_of([[[5] * length] for length in LENGTHS], labels=[0] * len(LENGTHS), head=head)
    if head == "mlm":
        made.targets = {"masked": torch.tensor(MASKED), "label": torch.zeros(len(MASKED), dtype=torch.long)}
    return made


def products(made: Model, head: str) -> int:
    """Multiplications and additions of the matrix products of one forward and backward pass, those of attention left out."""
    one = batch(head)

    def product(_sum: list[int], left: list[int], right: list[int], **_options: object) -> int:
        return 2 * left[0] * left[1] * right[1]

    in_place = {torch.ops.aten.addmm_: product}  # which the counter does not know
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        (outputs,) = made(View(one))
        made.families[head].loss(outputs, one).backward()
    return counter.get_total_flops()


def weights(module: nn.Module) -> int:
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))


@pytest.mark.parametrize("pack, places", [(True, TOKENS), (False, len(LENGTHS) * max(LENGTHS))])
def test_layers_multiply_tokens_alone(pack: bool, places: int) -> None:
    made = model("xnli", pack)
    assert products(made, "xnli") == 6 * (places * weights(made.encoder) + len(LENGTHS) * weights(made.heads))


def test_logits_are_of_masked_positions_alone() -> None:
    made = model("mlm")
    head = len(MASKED) * (weights(made.heads) + PIECES * WIDTH)
    assert products(made, "mlm") == 6 * (TOKENS * weights(made.encoder) + head)


def test_attention_pads_little() -> None:
    packing = batch("xnli").packing
    pairs = sum(bucket.sequences * bucket.length**2 for bucket in packing.buckets)
    assert packing.places / TOKENS < 1.06
    assert pairs / sum(length * length for length in LENGTHS) < 1.1
    assert len(packing.buckets) <= 8


@pytest.mark.parametrize("frozen", [False, True])
def test_trained_parameters(frozen: bool) -> None:
    made = model("xnli")
    made.embedding.requires_grad_(not frozen)
    layer = 4 * (WIDTH * WIDTH + WIDTH) + 2 * WIDTH * 64 + 64 + WIDTH + 4 * WIDTH
    embeddings = (0 if frozen else PIECES * WIDTH) + 100 * WIDTH + WIDTH + 2 * WIDTH
    trained = sum(parameter.numel() for group in parameter_groups(made, 0.0) for parameter in group["params"])
    head = WIDTH * WIDTH + WIDTH + 3 * WIDTH + 3
    assert trained == 2 * layer + embeddings + head


@pytest.mark.parametrize("world, imbalance", [(2, 0.1), (4, 0.5), (8, 1.5)])
def test_ranks_carry_equal_tokens(world: int, imbalance: float) -> None:
    loads = np.zeros(world, np.int64)
    hands = deal(np.array(LENGTHS), world, 256, packed=True, loads=loads)
    assert 100 * (loads.max() / loads.mean() - 1) < imbalance
    assert len(hands[0]) <= -(-TOKENS // (world * 256)) + 1


def test_heads_of_a_step_balance_each_other() -> None:
    """Three heads of one row each over two ranks: the second goes where the first did not."""
    loads = np.zeros(2, np.int64)
    for tokens in (90, 60, 40):
        deal(np.array([tokens]), 2, 256, packed=True, loads=loads)
    assert sorted(loads.tolist()) == [90, 100]
