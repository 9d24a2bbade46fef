"""A model that was fine-tuned elsewhere, scored as a user types it."""

from pathlib import Path

import torch
from tiny_finetuned import tiny_finetuned
from tiny_kinds import tiny_kind
from transformers import AutoTokenizer
from typing_of_commands import Typed

from xdist.files import read_json
from xdist.tasks.catalog import task

LANGUAGES = ("de", "sw")


def test_a_token_classification_of_xlm_r(typed: Typed, small: Path, tmp_path: Path) -> None:
    """Its predictions are those that transformers' own class makes of the same words, its tags in an order of its own."""
    spans = task("cldr-spans")
    model = tiny_finetuned(tiny_kind(tmp_path / "tagger", "xlm-roberta"), "tagging", spans.labels[::-1])
    words = ("--model", "tagger", "--task", "cldr-spans", "--data", small / "benchmark", "--languages", ",".join(LANGUAGES))
    done = typed("xdist", "evaluate", *words, "--ranks", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "runs/evaluate/tagger-cldr-spans"
    assert set(read_json(out / "scores.json")["tasks"]["cldr-spans"]["languages"]) == set(LANGUAGES)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tagger")
    for code in LANGUAGES:
        expected = []
        for example in spans.examples(small / "benchmark", "test", code):
            encoded = tokenizer([example.words], is_split_into_words=True, return_tensors="pt")
            firsts = [encoded.word_ids(0).index(number) for number in range(len(example.words))]
            with torch.no_grad():
                outputs = model(**encoded).logits[0].argmax(-1)
            expected.append("\n".join(model.config.id2label[int(outputs[place])] for place in firsts))
        found = (out / f"predictions/cldr-spans/test-{code}.tsv").read_text(encoding="utf-8")
        assert found == "\n\n".join(expected) + "\n"
        assert len(set(found.split())) > 1
    again = typed("xdist", "evaluate", *words, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (
        0,
        "tagger-cldr-spans is finished: runs/evaluate/tagger-cldr-spans/scores.json\n",
    )
