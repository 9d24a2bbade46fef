"""The encoder with its heads: from views of batches without padding to the outputs of their heads."""

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xdist.model.masks import Masks
from xdist.model.sites import delta_of, shifted
from xdist.tasks.batch import Batch, Shift, View
from xdist.tasks.family import Family
from xdist.tasks.mlm import LanguageHead


class Model(nn.Module):
    """`model(*views)` runs the encoder on each view and its head on the hidden states that the head's family selects."""

    def __init__(self, encoder: PreTrainedModel, families: Mapping[str, Family], seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.families = dict(families)
        config = encoder.config
        self.pad: int = config.pad_token_id or 0
        dropout: float | None = getattr(config, "classifier_dropout", None)
        if dropout is None:
            dropout = getattr(config, "hidden_dropout_prob", 0.1)
        self.width: int = config.hidden_size
        # The hidden layer that each head reads: the last where heads are trained.
        self.layers = {name: family.layer(config.num_hidden_layers) for name, family in families.items()}
        self.heads = nn.ModuleDict()
        for name in sorted(families):
            with torch.random.fork_rng(devices=[]):  # a head starts the same whichever other heads there are
                torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]))
                head = families[name].head(config.hidden_size, dropout)
                head.apply(lambda module: _initialise(module, getattr(config, "initializer_range", 0.02)))
            self.heads[name] = head.to(encoder.dtype)
            if isinstance(head, LanguageHead):
                head.tie(encoder)

    @property
    def embedding(self) -> nn.Module:
        return self.encoder.get_input_embeddings()

    def hidden(self, batch: Batch, layer: int | None = None, shifts: Sequence[Shift] = ()) -> Tensor:
        """(T, d) hidden states of a layer, in the order of `batch.tokens`: 0 is the embedding, None the last layer. The layers
        above it are not computed where the encoder is built like BERT. Of `shifts` those before the layers take part."""
        ids, mask = batch.padded(self.pad)
        with shifted(self.encoder, batch, shifts):
            if layer is None or layer == self.encoder.config.num_hidden_layers:
                states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            elif (stack := getattr(self.encoder, "encoder", None)) and isinstance(getattr(stack, "layer", None), nn.ModuleList):
                whole = stack.layer
                stack.layer = whole[:layer]
                try:
                    states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
                finally:
                    stack.layer = whole
            else:
                states = self.encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[layer]
        return states.flatten(0, 1)[batch.padded_index]

    def forward(self, *views: View, masks: Masks | None = None) -> tuple[Tensor, ...]:
        """The outputs of each view. Views of one batch that differ only at the last hidden state share the encoder's work;
        with `masks` every view draws the same dropout."""
        outputs = []
        encoded: dict[object, tuple[Tensor, Masks | None]] = {}
        for view in views:
            head, site = view.batch.head, (view.batch, *(shift for shift in view.shifts if shift.place != "last"))
            if site not in encoded:
                if masks:
                    masks.rewind()
                hidden = self.hidden(view.batch, self.layers[head], view.shifts)
                encoded[site] = hidden, Masks() if masks else None
            hidden, after = encoded[site]
            if after:
                after.rewind()
            for shift in view.shifts:
                if shift.place == "last":
                    hidden = hidden + delta_of(shift, hidden)
            family = self.families[head]
            outputs.append(family.outputs(self.heads[head], hidden[family.select(view.batch)], view.batch))
        if self.training:
            # Every head takes part in every step, with weight 0: else ZeRO-3 trains idle heads differently from ZeRO 0-2.
            hidden, _ = next(iter(encoded.values()))
            for name, head_module in self.heads.items():
                if all(name != view.batch.head for view in views) and any(True for _ in head_module.parameters()):
                    outputs[0] = outputs[0] + 0.0 * head_module(hidden[:1]).sum()
        return tuple(outputs)


def _initialise(module: nn.Module, deviation: float) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=deviation)
        nn.init.zeros_(module.bias)
