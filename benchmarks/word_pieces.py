"""Words of tagging rows in the pieces of running text: how many have them when encoded one by one, and when joined.

    python benchmarks/word_pieces.py                    # UD-POS of ../shared/data; --data, --vocabulary

A Gemma-like and a byte-level BPE vocabulary are learnt from the words of those rows. A word counts as right if the pieces of
its row are those that overlap with it in the sentence (its words joined by single blanks). The last line is one JSON object:
by tokenizer the share of right words in per cent, `separate` and `joined`, over all languages and by language.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from tiny_bpe import byte_level, gemma_like, llama3_like  # noqa: E402
from transformers import PreTrainedTokenizerBase  # noqa: E402

from xdist.config.data import Joining  # noqa: E402
from xdist.formats.examples import Tagged  # noqa: E402
from xdist.tasks.catalog import task  # noqa: E402
from xdist.tasks.family import family_of  # noqa: E402

KINDS = {"Gemma-like": gemma_like, "byte-level": byte_level, "Llama-3-like": llama3_like}
JOININGS: tuple[Joining, ...] = ("separate", "joined")


def in_rows(sentences: list[Tagged], tokenizer: PreTrainedTokenizerBase, joining: Joining) -> Iterator[list[list[int]]]:
    """The pieces of each word of each sentence, as rows have them."""
    family = family_of(task("udpos"))
    family.joining = joining
    for row in family.encode(sentences, tokenizer, 1 << 20):
        bounds = [*row["words"].tolist(), len(row["tokens"]) - 1]
        yield [list(row["tokens"][low:high]) for low, high in pairwise(bounds)]


def in_text(sentence: Tagged, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The pieces that overlap with each word in the sentence; a blank belongs to the word after it."""
    encoded = tokenizer(" ".join(sentence.words), add_special_tokens=False, return_offsets_mapping=True)
    found, at = [], 0
    for word in sentence.words:
        low, high = max(at - 1, 0), at + len(word)
        pieces = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        found.append([piece for piece, (begin, end) in pieces if low <= begin and end <= high and begin < end])
        at = high + 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--sentences", type=int, default=500, help="of each language")
    options = parser.parse_args()
    files = sorted((options.data / "udpos").glob("test-*.tsv"))
    if not files:
        print(f"skipped: no UD-POS files below {options.data} (udpos/test-xx.tsv)")
        print(json.dumps({"skipped": True}))
        return
    rows = {path.stem.removeprefix("test-"): [] for path in files}
    for code in rows:
        rows[code] = list(task("udpos").examples(options.data, "test", code))[: options.sentences]
    texts = [" ".join(sentence.words) for sentences in rows.values() for sentence in sentences]
    result: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'tokenizer':<14}{'language':<10}{'words':>8}{'separate':>11}{'joined':>9}   right words, %")
    for kind, learnt in KINDS.items():
        tokenizer = learnt(texts, options.vocabulary)
        counts = {joining: dict.fromkeys(rows, 0) for joining in JOININGS}
        words = {code: sum(len(sentence.words) for sentence in sentences) for code, sentences in rows.items()}
        for code, sentences in rows.items():
            expected = [in_text(sentence, tokenizer) for sentence in sentences]
            for joining in JOININGS:
                for right, made in zip(expected, in_rows(sentences, tokenizer, joining), strict=True):
                    counts[joining][code] += sum(a == b for a, b in zip(right, made, strict=True))
        shares = {
            joining: {
                "all": 100 * sum(counts[joining].values()) / sum(words.values()),
                **{code: 100 * counts[joining][code] / words[code] for code in rows},
            }
            for joining in JOININGS
        }
        for code in ("all", *rows):
            number = sum(words.values()) if code == "all" else words[code]
            print(f"{kind:<14}{code:<10}{number:>8}" + "".join(f"{shares[joining][code]:>10.2f}" for joining in JOININGS))
        result[kind] = {j: {code: round(share, 3) for code, share in found.items()} for j, found in shares.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
