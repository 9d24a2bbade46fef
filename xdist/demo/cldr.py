"""Three small tasks in fifty languages from Unicode CLDR, in the on-disk layouts of the official tasks.

cldr-topic  classification: is this name a territory, language, currency, script, month or day, unit? `name TAB label`
cldr-spans  tagging of names in list and date patterns, as WikiANN: `word TAB tag`, blank line between sentences
cldr-names  retrieval of a name's translation, as Tatoeba: test concepts, English to each other language

No concept of a test set, and no name of it in any language, is in training or dev data of any of the three (see
`cldr_names`). All of it depends on the version of Babel alone: the same version gives the same bytes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from babel.core import get_cldr_version

from xdist.demo.cldr_names import (
    CLDR_CODES,
    LABELS,
    SPLITS,
    label_of,
    names_in,
    names_of,
    parent_language,
    split_of,
    unambiguous_names_in,
)
from xdist.demo.cldr_spans import TaggedWords, sentences
from xdist.errors import UserError, unknown
from xdist.files import digest, write_json, write_text, written_folder
from xdist.languages import LANGUAGES, language

# Sizes per language. Dev and test are small: fifty languages are to be scored in about a minute on two slow cores.
TOPIC_PER_LABEL = {"train": 250, "dev": 10, "test": 12}
SENTENCES = {"train": 400, "dev": 30, "test": 30}
ENGLISH_SENTENCES = 2000  # of training: targets are fine-tuned on English
PAIRS = 50
MANIFEST = "cldr.json"
MANY_ENGLISH = 0.25  # the share of names equal to the English ones from which on the report says so


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSummary:
    """What one language got. Counts are of examples per split; shares are of the names that CLDR has, 0 to 1."""

    names: Mapping[str, int]  # label -> concepts with a name
    topic: Mapping[str, int]
    spans: Mapping[str, int]
    pairs: int
    identical_pairs: int  # pairs whose two sides are the same string
    same_as_english: float
    inherits_from: str | None  # the language whose names CLDR gives where this one has none
    same_as_inherited: float
    codes_left_out: int  # names that only repeated the code


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    cldr_version: str
    languages: Mapping[str, LanguageSummary]

    def notes(self) -> list[str]:
        """What a reader of the scores has to know, a line each: names that are another language's, or missing."""
        lines = []
        for code, summary in self.languages.items():
            name = language(code).name
            if code in CLDR_CODES:
                lines.append(f"{name}: the names are those of CLDR's locale {CLDR_CODES[code]}")
            if summary.inherits_from:
                share, source = summary.same_as_inherited, language(summary.inherits_from).name
                lines.append(f"{name}: {share:.1%} of the names are the {source} ones, which CLDR falls back on")
            if code != "en" and summary.same_as_english >= MANY_ENGLISH:
                lines.append(f"{name}: {summary.same_as_english:.0%} of the names are the English ones")
            if missing := [label for label in LABELS if label not in summary.names]:
                lines.append(f"{name}: CLDR has no {', '.join(missing)} names")
        return lines


def generate(folder: Path, languages: Iterable[str] = tuple(LANGUAGES)) -> Summary:
    """Writes the three tasks for `languages` under `folder`, and a manifest, last.

    The files of a language do not depend on which others are requested. English has no retrieval task. Raises UserError
    for a code outside the fifty.
    """
    codes = list(languages)
    for code in codes:
        if code not in LANGUAGES:
            raise UserError(unknown("language", code, LANGUAGES))
    with written_folder(folder / "cldr-topic") as tables:
        topic = {code: _write_topic(tables, code) for code in codes}
    with written_folder(folder / "cldr-spans") as tables:
        spans = {code: _write_spans(tables, code) for code in codes}
    with written_folder(folder / "cldr-names") as texts, written_folder(folder / "labels" / "cldr-names") as gold:
        pairs = {code: _write_pairs(texts, gold, code) for code in codes}
    summary = Summary(
        cldr_version=get_cldr_version(),
        languages={code: _summarise(code, topic[code], spans[code], pairs[code]) for code in codes},
    )
    write_json(folder / MANIFEST, asdict(summary))
    return summary


def topic_rows(code: str, split: str) -> list[tuple[str, str]]:
    """(name, label) of the names of `split` that belong to one label only, this many per label, in hashed order."""
    rows = []
    taken: Counter[str] = Counter()
    for concept, forms in sorted(unambiguous_names_in(code, split).items(), key=lambda item: digest(item[0])):
        label = label_of(concept)
        forms = forms[: TOPIC_PER_LABEL[split] - taken[label]]
        taken[label] += len(forms)
        rows += [(form, label) for form in forms]
    return sorted(rows, key=digest)


def name_pairs(code: str) -> list[tuple[str, str]]:
    """(name in `code`, name in English) of test concepts, without names that stand for two of them on either side. None
    for English."""
    if code == "en":
        return []
    own, english = names_in(code, "test"), names_in("en", "test")
    pairs = [(own[concept][0], english[concept][0]) for concept in sorted(own.keys() & english.keys(), key=digest)]
    often = [Counter(pair[side].casefold() for pair in pairs) for side in (0, 1)]
    unique = [pair for pair in pairs if all(often[side][pair[side].casefold()] == 1 for side in (0, 1))]
    return unique[:PAIRS]


def _write_topic(folder: Path, code: str) -> dict[str, int]:
    counts = {}
    for split in SPLITS:
        rows = topic_rows(code, split)
        write_text(folder / f"{split}-{code}.tsv", "".join(f"{name}\t{label}\n" for name, label in rows))
        counts[split] = len(rows)
    return counts


def _write_spans(folder: Path, code: str) -> dict[str, int]:
    counts = {}
    for split in SPLITS:
        count = ENGLISH_SENTENCES if (code, split) == ("en", "train") else SENTENCES[split]
        drawn = sentences(code, unambiguous_names_in(code, split), count, f"{code} {split}")
        write_text(folder / f"{split}-{code}.tsv", "\n".join(map(_lines, drawn)))
        counts[split] = len(drawn)
    return counts


def _lines(sentence: TaggedWords) -> str:
    return "".join(f"{word}\t{tag}\n" for word, tag in sentence)


def _write_pairs(folder: Path, gold: Path, code: str) -> list[tuple[str, str]]:
    pairs = name_pairs(code)
    if pairs:
        rows = sorted(range(len(pairs)), key=lambda row: pairs[row][1])  # the English side is sorted by code point
        write_text(folder / f"{code}-en.{code}", "".join(f"{own}\n" for own, _ in pairs))
        write_text(folder / f"{code}-en.en", "".join(f"{pairs[row][1]}\n" for row in rows))
        write_text(gold / f"test-{code}.tsv", "".join(f"{row}\n" for row in rows))
    return pairs


def _summarise(code: str, topic: dict[str, int], spans: dict[str, int], pairs: list[tuple[str, str]]) -> LanguageSummary:
    names, source = names_of(code), parent_language(code)
    return LanguageSummary(
        names=dict(Counter(label_of(concept) for concept in names.forms if concept in split_of())),
        topic=topic,
        spans=spans,
        pairs=len(pairs),
        identical_pairs=sum(own == english for own, english in pairs),
        same_as_english=_share_equal(code, "en"),
        inherits_from=source,
        same_as_inherited=_share_equal(code, source) if source else 0.0,
        codes_left_out=names.codes,
    )


def _share_equal(code: str, other: str) -> float:
    own, others = names_of(code).forms, names_of(other).forms
    return sum(concept in others and forms[0] == others[concept][0] for concept, forms in own.items()) / len(own)
