"""XLM's own tokenizer, of a few words; needs sacremoses."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

SPECIAL = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{number}>" for number in range(10))]
END = "</w>"


def tiny_xlm_tokenizer(folder: Path, texts: Iterable[str], *, lower: bool, size: int = 300) -> Path:
    """Write vocabulary, merges and settings into `folder`, as the hub has them, and give `folder` back."""
    learnt = Tokenizer(models.BPE(end_of_word_suffix=END))
    learnt.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    learnt.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, end_of_word_suffix=END, show_progress=False))
    model = json.loads(learnt.to_str())["model"]
    pieces = [*SPECIAL, *sorted(model["vocab"], key=model["vocab"].get)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}), encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "XLMTokenizer", "do_lowercase_and_remove_accent": lower}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps({"model_type": "xlm", "pad_token_id": 2, "vocab_size": len(pieces)}))
    return folder
