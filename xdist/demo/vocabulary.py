"""XLM-R vocabularies: a SentencePiece unigram model and the Hugging Face tokenizer that gives the same ids.

SentencePiece numbers `<unk> <s> </s>` and then the pieces; XLM-R numbers `<s> <pad> </s> <unk>`, the pieces, `<mask>`. So
a piece has id i in the model file and id i + 1 in the tokenizer (Conneau et al. 2020, arXiv 1911.02116).

The two agree on composed text (NFC), but where a grapheme cluster of less than six bytes begins with a character that
normalisation replaces ("Ŀ" with the Thai sara am): there the fast tokenizer of every XLM-R, from the hub or from here, loses
the rest of the cluster. On decomposed text it may lose a combining mark or leave it uncomposed for the same reason.
"""

import io
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
from google.protobuf.runtime_version import VersionError
from transformers import AddedToken, XLMRobertaTokenizer

# Classes that are made at import, unseen by a type checker. A release of SentencePiece has them for one major version of
# protobuf; transformers' copy is for any, but cannot be loaded next to them.
proto: Any
try:
    from sentencepiece import sentencepiece_model_pb2 as proto
except VersionError:
    from transformers.utils import sentencepiece_model_pb2_new as proto

sentencepiece.set_min_log_level(2)  # errors only

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
MASK = "<mask>"
SENTENCEPIECE_FILE = "sentencepiece.bpe.model"  # the name that XLM-R's files gave it, though the model is a unigram one


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Pieces in the tokenizer's order, `<s>` first and `<mask>` last; one log-probability each; SentencePiece's
    compiled normalisation rules."""

    pieces: list[str]
    scores: list[float]
    charsmap: bytes


def nfkc_charsmap(characters: Mapping[str, str]) -> bytes:
    """SentencePiece's nmt_nfkc rules as they were when a vocabulary was made, compiled.

    `characters` is what that version maps single characters to. Later versions know more characters and treat some
    differently (the zero-width joiner was a space), so rules for sequences are taken from the installed version where
    each of their characters was known, and rules for single characters from `characters`.
    """
    rules = dict(sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc").decompile())
    later = {source for source in rules if len(source) == 1 and source not in characters}
    known = {source: target for source, target in rules.items() if len(source) > 1 and later.isdisjoint(source)}
    return _compile({**known, **characters})


def _compile(rules: Mapping[str, str]) -> bytes:
    def code_points(text: str) -> str:
        return " ".join(f"{ord(character):X}" for character in text)

    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rules.tsv"
        lines = (f"{code_points(source)}\t{code_points(target)}\n" for source, target in sorted(rules.items()))
        table.write_text("".join(lines), encoding="ascii")
        compiled = sentencepiece.SentencePieceNormalizer(rule_tsv=str(table))
    return bytes(proto.NormalizerSpec.FromString(compiled.serialized_normalizer_spec()).precompiled_charsmap)


def train_vocabulary(texts: Iterable[str], size: int) -> Vocabulary:
    """A unigram vocabulary of at most `size` pieces (fewer for little text), the same for the same texts.

    Raises RuntimeError (from SentencePiece) where `texts` hold nothing, or more than `size` characters to be covered.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in texts for line in text.splitlines()),  # long ones would be passed over
        model_writer=model,
        vocab_size=size - 2,  # <pad> and <mask> are the tokenizer's own
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        character_coverage=0.98,
        num_threads=1,  # with more, sums are taken in another order
        minloglevel=2,
    )
    trained = proto.ModelProto.FromString(model.getvalue())
    learnt = trained.pieces[3:]  # after <unk> <s> </s>
    return Vocabulary(
        pieces=[*SPECIAL, *(piece.piece for piece in learnt), MASK],
        scores=[*(0.0 for _ in SPECIAL), *(piece.score for piece in learnt), 0.0],
        charsmap=trained.normalizer_spec.precompiled_charsmap,
    )


def write_tokenizer(folder: Path, vocabulary: Vocabulary, *, max_length: int) -> None:
    """Writes the SentencePiece model, tokenizer.json and tokenizer_config.json. `max_length` is in tokens, `<s>` and
    `</s>` included."""
    _write_sentencepiece(folder / SENTENCEPIECE_FILE, vocabulary)
    tokenizer = XLMRobertaTokenizer(
        vocab=list(zip(vocabulary.pieces, vocabulary.scores, strict=True)),
        _spm_precompiled_charsmap=vocabulary.charsmap,  # type: ignore[arg-type]  # bytes, although it declares text
        mask_token=AddedToken(MASK, lstrip=True, special=True),  # type: ignore[arg-type]
        model_max_length=max_length,
    )
    tokenizer.save_pretrained(folder)


def _write_sentencepiece(path: Path, vocabulary: Vocabulary) -> None:
    kinds = proto.ModelProto.SentencePiece
    model = proto.ModelProto()
    model.pieces.add(piece="<unk>", score=0.0, type=kinds.UNKNOWN)
    model.pieces.add(piece="<s>", score=0.0, type=kinds.CONTROL)
    model.pieces.add(piece="</s>", score=0.0, type=kinds.CONTROL)
    ordinary = slice(len(SPECIAL), -1)
    for piece, score in zip(vocabulary.pieces[ordinary], vocabulary.scores[ordinary], strict=True):
        model.pieces.add(piece=piece, score=score)
    model.trainer_spec.model_type = proto.TrainerSpec.UNIGRAM
    model.trainer_spec.vocab_size = len(model.pieces)
    model.normalizer_spec.name = "nmt_nfkc"
    model.normalizer_spec.precompiled_charsmap = vocabulary.charsmap
    path.write_bytes(model.SerializeToString(deterministic=True))
