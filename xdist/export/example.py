"""The example of loading that a card begins with: lines of Python that run as they are."""

import re

FIRST = "# this folder, or its id on the hub"
_NAMED = re.compile(rf'^name = ".*"  {re.escape(FIRST)}$', re.MULTILINE)

LOGITS = "model(**inputs).logits"
# By family: what is encoded, and the lines that show what comes out.
BY_FAMILY = {
    "classification": ('"A text."', (f"label = {LOGITS}.argmax(-1).item()", "print(model.config.id2label[label])")),
    "tagging": (
        '"Some words of a text"',
        (f"tags = {LOGITS}[0].argmax(-1).tolist()", "print([model.config.id2label[tag] for tag in tags])  # of each piece"),
    ),
    "span-qa": (
        '"Who wrote it?", "Ada wrote it."',
        (
            "output = model(**inputs)",
            "start, end = output.start_logits.argmax(), output.end_logits.argmax()",
            'print(tokenizer.decode(inputs["input_ids"][0, start : end + 1]))',
        ),
    ),
    "multiple-choice": (
        '["It rained."] * 2, ["So we got wet.", "So we stayed dry."], padding=True',
        ("output = model(**{key: value[None] for key, value in inputs.items()})", "print(output.logits.argmax(-1).item())"),
    ),
}
WITHOUT_HEAD = ('"A text."', ("print(model(**inputs).last_hidden_state.shape)  # (texts, pieces, width)",))


def loading_example(auto: str, family: str | None, place: str) -> str:
    """A block of Markdown that loads the model at `place` by transformers' class `auto` and shows what it says."""
    texts, shown = BY_FAMILY.get(family or "", WITHOUT_HEAD)
    lines = (
        f"from transformers import {auto}, AutoTokenizer",
        "",
        f'name = "{place}"  {FIRST}',
        "tokenizer = AutoTokenizer.from_pretrained(name)",
        f"model = {auto}.from_pretrained(name)",
        f'inputs = tokenizer({texts}, return_tensors="pt")',
        *shown,
    )
    return "\n".join(["```python", *lines, "```"])


def with_hub_id(card: str, id: str) -> str:
    """A card whose example loads the model from the hub."""
    return _NAMED.sub(f'name = "{id}"', card, count=1)
