"""Which list of pre-training text belongs to an encoder, found by its configuration, else by its name."""

from collections.abc import Iterable

from xdist.languages.pretraining import NOBODY_KNOWS, NONE, Pretraining, shipped_list

# By model type and rows of the embedding, which continuations and exports keep. A child has its parent's vocabulary and text.
BY_VOCABULARY = {
    ("xlm-roberta", 250002): "cc100",  # XLM-R, InfoXLM, XLM-Align, multilingual-e5-base and -large
    ("xlm-roberta", 250037): "cc100",  # multilingual MiniLM and multilingual-e5-small, distilled from XLM-R
    ("bert", 250037): "cc100",
    ("xlm-roberta", 901629): "cc100",  # XLM-V
    ("xlm-roberta-xl", 250880): "cc100",
    ("deberta-v2", 251000): "cc100",  # mDeBERTa
    ("xlm-roberta", 401144): "glot500",
    ("xlm-roberta", 401145): "glot500",
    ("bert", 119547): "wikipedia",  # the cased multilingual BERT; the uncased one read two languages less
    ("distilbert", 119547): "wikipedia",
    ("modernbert", 256000): "mmbert",
}
# By a part of a name, where no configuration is at hand; the longest that fits.
BY_NAME = {
    "xlm-roberta": "cc100",
    "xlm-r-": "cc100",
    "xlm-v-": "cc100",
    "infoxlm": "cc100",
    "xlm-align": "cc100",
    "multilingual-e5": "cc100",
    "multilingual-minilm": "cc100",
    "mdeberta": "cc100",
    "glot500": "glot500",
    "bert-base-multilingual-cased": "wikipedia",
    "mmbert": "mmbert",
}


def read_by(kind: str, rows: int, taught: Iterable[str] = ()) -> Pretraining:
    """What an encoder of this model type and this many rows of the embedding has read. `taught`: the languages that an XLM says
    it was taught."""
    if kind == "xlm":
        codes = dict.fromkeys(sorted(taught))
        about = ("the languages of its configuration", "lang2id in config.json; how much of each it read is not given there")
        return Pretraining("xlm", *about, sizes=codes, by_script=False) if codes else NOBODY_KNOWS
    return shipped_list(BY_VOCABULARY.get((kind, rows), NONE))


def read_by_name(name: str) -> Pretraining:
    """What the encoder of a hub id has read, by its name alone."""
    fits = [part for part in BY_NAME if part in name.lower()]
    return shipped_list(BY_NAME[max(fits, key=len)]) if fits else NOBODY_KNOWS
