"""The encoder with its heads: from views of batches without padding to the outputs of their heads."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xdist.model import branches, languages, packed, segments
from xdist.model.adapters import held, speaking
from xdist.model.alignment import Alignment
from xdist.model.heads import FormedHead, make_head, sequence_means
from xdist.model.kinds import kind_of
from xdist.model.layers import can_cut, keep_lower_layers
from xdist.model.masks import Masks
from xdist.model.sites import delta_of, shift_inputs
from xdist.model.syntax import attached as syntax
from xdist.tasks.batch import Batch, Mixture, Shift, View
from xdist.tasks.family import Family
from xdist.tasks.mlm import LanguageHead
from xdist.tasks.parallel import ParallelText, english_side, means


class Model(nn.Module):
    """`model(*views)` runs the encoder on each view and its head on the hidden states that the head's family selects."""

    def __init__(self, encoder: PreTrainedModel, families: Mapping[str, Family], seed: int, pack: bool = True) -> None:
        """With `pack` the encoder sees the tokens of a batch in one row without padding, where it is built for that."""
        super().__init__()
        self.encoder = encoder
        self.packed = pack and packed.can_pack(encoder.config)
        if self.packed:
            packed.enable_packing(encoder)
        self.families = dict(families)
        config = encoder.config
        self.pad: int = config.pad_token_id or 0
        self.width: int = config.hidden_size
        # The hidden layer that each head reads: the last where heads are trained.
        self.layers = {name: family.layer(config.num_hidden_layers) for name, family in families.items()}
        # A copy that stays as it is, of what training began with, where a family of those trained compares with it.
        self.anchor: PreTrainedModel | None = None
        # The place and the digest of the model that an adapter is trained on, and that is not saved with it.
        self.stands_on: tuple[str, str] | None = None
        self.alignment: Alignment | None = None  # of languages with English, where one was fitted
        self._read: syntax.TreesRead | None = None  # with its trees, by the last `hidden`
        # Of each view of the last forward that trained the losses of distances and depths, (S,) each, where the encoder reads
        # trees. self.tree_losses: tuple[tuple[Tensor, Tensor], ...] = ()
        self.heads = nn.ModuleDict()
        for name in sorted(families):
            with torch.random.fork_rng(devices=[]):  # a head starts the same with any other heads
                torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]))
                head = make_head(families[name], config)
                head.apply(lambda module: _initialise(module, getattr(config, "initializer_range", 0.02)))
            self.heads[name] = head.to(encoder.dtype)
            if isinstance(head, LanguageHead):
                head.tie(encoder)
                speaking.invert_before(encoder, head)

    @property
    def embedding(self) -> nn.Module:
        return self.encoder.get_input_embeddings()

    def hidden(
        self,
        batch: Batch,
        layer: int | None = None,
        shifts: Sequence[Shift] = (),
        mixture: Mixture | None = None,
        below: list[Tensor] | None = None,
    ) -> Tensor:
        """(T, d) hidden states of a layer, in the order of `batch.tokens`, as transformers' `hidden_states` has them: 0 is the
        embedding, None the last layer. The layers above it are not computed where the kind of encoder has a known stack. Of
        `shifts` those before the layers take part. `mixture` and `below` as in `branches.states`."""
        with shift_inputs(self.encoder, batch, shifts), syntax.reading_trees(self.encoder, batch) as self._read:
            if self.alignment is None:
                return batch.of_tokens(self._states(self.encoder, batch, layer, mixture, below))
            last = self.encoder.config.num_hidden_layers if layer is None else layer
            with self.alignment.map_inside(self.encoder, batch, last):
                states = batch.of_tokens(self._states(self.encoder, batch, layer))
            return self.alignment.map_states(batch, states) if self.alignment.layer == last else states

    def _inputs(self, encoder: PreTrainedModel, batch: Batch) -> dict[str, Any]:
        if self.packed:
            return packed.packed_inputs(encoder, batch)
        ids, mask = batch.padded(self.pad)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if (types := segments.segments_of(encoder, batch)) is not None:
            inputs["token_type_ids"] = batch.in_rectangle(types, 0)
        if (spoken := languages.language_numbers(encoder, batch)) is not None:
            inputs["langs"] = batch.in_rectangle(spoken, 0)
        return inputs

    def _states(
        self,
        encoder: PreTrainedModel,
        batch: Batch,
        layer: int | None,
        mixture: Mixture | None = None,
        below: list[Tensor] | None = None,
    ) -> Tensor:
        """The hidden states of a layer in the layout of the inputs; of branches (T, d)."""
        last = encoder.config.num_hidden_layers
        at = last if layer is None else layer
        if (having := branches.branches_of(encoder)) and at > last - having.index.layers:
            return branches.branch_states(self._inputs, encoder, batch, at, mixture, [] if below is None else below)
        with speaking.reading_batch(encoder, batch):
            return self._run_encoder(encoder, batch, layer)

    def _run_encoder(self, encoder: PreTrainedModel, batch: Batch, layer: int | None) -> Tensor:
        inputs = self._inputs(encoder, batch)
        if layer is None or layer == encoder.config.num_hidden_layers:
            return cast(Tensor, encoder(**inputs).last_hidden_state)
        if self.training and encoder is self.encoder:
            # Every layer takes part in every step, as every head does.
            outputs = encoder(**inputs, output_hidden_states=True)
            return cast(Tensor, outputs.hidden_states[layer] + 0.0 * outputs.last_hidden_state)
        if can_cut(kind := kind_of(encoder.config)):
            # One layer for the embedding too: DeBERTa's stack cannot do without any.
            with keep_lower_layers(encoder, kind, max(layer, 1)):
                outputs = encoder(**inputs, output_hidden_states=layer == 0)
            return cast(Tensor, outputs.last_hidden_state if layer else outputs.hidden_states[0])
        return cast(Tensor, encoder(**inputs, output_hidden_states=True).hidden_states[layer])

    def forward(self, *views: View, masks: Masks | None = None) -> tuple[Tensor, ...]:
        """The outputs of each view. Views of one batch that differ only at the last hidden state share the encoder's work;
        with `masks` every view draws the same dropout."""
        outputs = []
        encoded: dict[object, tuple[Tensor, Masks | None]] = {}
        lower: dict[object, list[Tensor]] = {}  # states under branches, which views share that are mixed differently
        of_trees: dict[object, tuple[Tensor, Tensor]] = {}
        sites = []
        for view in views:
            under = (view.batch, *(shift for shift in view.shifts if shift.place != "last"))
            head, site = view.batch.head, (view.mixture, *under)
            if site not in encoded:
                if masks:
                    masks.rewind()
                # Dropout that is drawn again the same begins with the lowest layer.
                below = None if masks else lower.setdefault(under, [])
                hidden = self.hidden(view.batch, self.layers[head], view.shifts, view.mixture, below)
                encoded[site] = hidden, Masks() if masks else None
                if self.training and self._read is not None:
                    of_trees[site] = syntax.tree_losses(self.encoder, self._read)
            sites.append(site)
            hidden, after = encoded[site]
            if after:
                after.rewind()
            for shift in view.shifts:
                if shift.place == "last":
                    hidden = hidden + delta_of(shift, hidden)
            outputs.append(self._outputs(head, hidden, view.batch))
        if self.training:
            # Every head takes part in every step, with weight 0: else ZeRO-3 trains idle heads differently from ZeRO 0-2.
            hidden, _ = next(iter(encoded.values()))
            for name, head_module in self.heads.items():
                if all(name != view.batch.head for view in views) and any(True for _ in head_module.parameters()):
                    # A sum over a vocabulary has no room in fp16, and 0 times infinity is no number.
                    outputs[0] = outputs[0] + 0.0 * head_module(hidden[:1]).float().sum()
        self._read, self.tree_losses = None, tuple(of_trees[site] for site in sites if site in of_trees)
        return tuple(outputs)

    def keep_anchor(self, anchor: PreTrainedModel) -> None:
        """Keep `anchor` next to the encoder: it is never trained, and never saved."""
        self.anchor = anchor.requires_grad_(False).eval()
        if self.packed:
            packed.enable_packing(anchor)

    def is_saved(self, name: str) -> bool:
        """Whether the parameter of this name is part of the model that is saved: not the anchor, and nothing of the model that
        an adapter is added to."""
        if not name.startswith("encoder."):
            return not name.startswith("anchor.")
        own = held.trained_of(self.encoder)
        return self.stands_on is None or (own is not None and own.names(name))

    def train(self, mode: bool = True) -> "Model":
        super().train(mode)
        if self.anchor is not None:
            self.anchor.eval()
        return self

    @torch.no_grad()
    def _of_anchor(self, anchor: PreTrainedModel, batch: Batch, layer: int) -> Tensor:
        """(R, d) the English sentences of a batch of parallel text as the anchor has them."""
        english = english_side(batch)
        return means(english.of_tokens(self._states(anchor, english, layer)), english)

    def _outputs(self, name: str, hidden: Tensor, batch: Batch) -> Tensor:
        family, head = self.families[name], self.heads[name]
        if isinstance(head, FormedHead) and head.pooling != "first":
            return head.of_sequences(hidden, partial(sequence_means, batch=batch))
        outputs = family.outputs(head, hidden[family.select(batch)], batch)
        if self.anchor is None or not isinstance(family, ParallelText) or not family.anchored:
            return outputs
        return torch.cat([outputs, self._of_anchor(self.anchor, batch, self.layers[name])])


def _initialise(module: nn.Module, deviation: float) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=deviation)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
