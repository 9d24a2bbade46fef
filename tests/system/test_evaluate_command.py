"""A model that was fine-tuned elsewhere, scored as a user types it."""

import torch
from elsewhere import LANGUAGES, Scored
from transformers import AutoTokenizer
from typing_of_commands import Typed

from xdist.files import read_json
from xdist.tasks.catalog import task


def test_a_token_classification_of_xlm_r(loaded: Typed, elsewhere: Scored) -> None:
    """Its predictions are those that transformers' own class makes of the same words, its tags in their own order."""
    entry, model, place = task("udpos"), elsewhere.model, elsewhere.place
    out = place / "runs/evaluate/tagger-udpos"
    assert set(read_json(out / "scores.json")["tasks"]["udpos"]["languages"]) == set(LANGUAGES)
    tokenizer = AutoTokenizer.from_pretrained(place / "models/tagger")
    for code in LANGUAGES:
        expected = []
        for example in entry.examples(place / "download", "test", code):
            encoded = tokenizer([example.words], is_split_into_words=True, return_tensors="pt")
            firsts = [encoded.word_ids(0).index(number) for number in range(len(example.words))]
            with torch.no_grad():
                outputs = model(**encoded).logits[0].argmax(-1)
            expected.append("\n".join(model.config.id2label[int(outputs[place])] for place in firsts))
        found = (out / f"predictions/udpos/test-{code}.tsv").read_text(encoding="utf-8")
        assert found == "\n\n".join(expected) + "\n"
        assert len(set(found.split())) > 1
    again = loaded("xdist", "evaluate", *elsewhere.typed, cwd=place)
    assert again.returncode == 0
    assert again.stdout.startswith("tagger-udpos is finished: runs/evaluate/tagger-udpos/scores.json\n")
    assert "folder: runs/evaluate/tagger-udpos\n" in again.stdout
