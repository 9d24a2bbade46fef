"""CoNLL-U files for the texts of a task: trees and tags drawn from the texts themselves, of no meaning."""

import random
from collections.abc import Iterable
from pathlib import Path

from xdist.data.trees import texts_of
from xdist.formats.tagging import UPOS_TAGS
from xdist.tasks.catalog import Task


def tiny_parses(
    folder: Path, root: Path, task: Task, languages: Iterable[str], splits: Iterable[str] = ("train", "dev", "test")
) -> str:
    """Write those of each split and language, and give their path as `model.syntax.parses` has it."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        for language in languages:
            examples = task.examples(root, split, language)
            texts = dict.fromkeys(text for example in examples for text in texts_of(example))
            path = folder / f"{task.name}-{split}-{language}.conllu"
            path.write_text("\n".join(map(_lines, texts)), encoding="utf-8")
    return str(folder / f"{task.name}-{{split}}-{{language}}.conllu")


def _lines(text: str) -> str:
    draw, words = random.Random(text), text.split()
    order = draw.sample(range(1, len(words) + 1), len(words))
    heads = {word: draw.choice(order[:at]) if at else 0 for at, word in enumerate(order)}
    rows = [
        [number, word, "_", draw.choice(UPOS_TAGS), "_", "_", heads[number], "dep", "_", "_"]
        for number, word in enumerate(words, 1)
    ]
    return f"# text = {text}\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows)
