"""Hidden layers: to the bit what transformers gives, in the two kinds used most; others in test_admission_states.py."""

import pytest
import torch
from batch_of import batch_of
from transformers import AutoModel

from xdist.demo.tiny import tiny_encoder
from xdist.model.model import Model
from xdist.tasks.catalog import TASKS
from xdist.tasks.catalog.retrieval import sentence_layer

LAYERS = 4
ROWS = [[[0, 7, 9, 11, 2]], [[0, 5, 2]], [[0, 5, 6, 2], [0, 4, 8, 10, 12, 2]]]


@pytest.fixture(scope="module", params=["xlm-roberta", "bert"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp(request.param) / "encoder"
    tiny_encoder(folder, ["names of all kinds of things"] * 9, layers=LAYERS, vocabulary=60, kind=request.param)
    return Model(AutoModel.from_pretrained(folder, add_pooling_layer=False), {}, seed=1).eval()


@pytest.mark.parametrize("layer", [*range(LAYERS + 1), None])
def test_hidden_layer_is_that_of_transformers(model: Model, layer: int | None) -> None:
    batch = batch_of(ROWS)
    ids, mask = batch.padded(model.pad)
    with torch.no_grad():
        states = model.encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        expected = states[LAYERS if layer is None else layer][mask.bool()]
        assert torch.equal(model.hidden(batch, layer), expected)
        assert torch.equal(model.hidden(batch), states[-1][mask.bool()])  # the encoder is complete again


def test_layers_of_sentence_vectors() -> None:
    assert {depth: sentence_layer(depth) for depth in (2, 6, 12, 24, 36, 48)} == {2: 1, 6: 4, 12: 8, 24: 14, 36: 21, 48: 28}
    by_layer = {name: task.layer(12) for name, task in TASKS.ours().items() if task.layer}
    assert by_layer == {**dict.fromkeys(("tatoeba", "bucc2018", "ntrex", "flores200", "bible-verses"), 8), "cldr-names": 12}
