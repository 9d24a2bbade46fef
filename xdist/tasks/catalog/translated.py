"""Translate-train and translate-test: XTREME's machine translations, XNLI's own, and spans that markers carried over.

Each is trained with the head of the task that it is a translation of, so its languages are not zero-shot there any more.
XTREME's files are below `xtreme_translations/` as in its bucket of that name.
"""

from functools import partial

from xdist.formats import classification, squad, translated
from xdist.formats.tagging import WIKIANN_TAGS
from xdist.tasks.catalog.classification import NLI, PAWSX, XNLI
from xdist.tasks.catalog.span_qa import MAX_LENGTH
from xdist.tasks.catalog.tagging import PANX_LANGUAGES
from xdist.tasks.catalog.task import Task
from xdist.tasks.families import OWN

BUCKET = "xtreme_translations"
LICENCE = "machine translation, not stated"
SOURCE = "machine translations of XTREME (Hu et al. 2020, arXiv 2003.11080)"
SQUAD_LANGUAGES = ("ar", "bn", "de", "el", "es", "fi", "hi", "id", "ko", "ru", "sw", "te", "th", "tr", "vi", "zh")
TYDIQA_LANGUAGES = ("ar", "bn", "fi", "id", "ko", "ru", "sw", "te")


def _pairs(base: Task, folder: str, labels: tuple[str, ...], form: translated.Second) -> Task:
    languages = tuple(code for code in base.languages if code != "en")
    what = {"translated": "both texts translated", "bilingual": "the English first text with the translated second"}[form]
    return Task(
        name=f"{base.name}-{form}",
        family=base.family,
        metric=base.metric,
        languages=languages,
        files={"train": (f"{BUCKET}/{folder}/translate-train/en-{{language}}-translated.tsv",)},
        read=partial(translated.read_pairs, labels=labels, form=form),
        labels=labels,
        shared_head=base.head,
        train_languages=languages,
        trained_on=(f"{base.name}-{form}",),
        any_language=True,
        written={"translated": (OWN,), "bilingual": ("en", OWN)}[form],
        source=f"{base.name} in English, {what}: {SOURCE}",
        licence=LICENCE,
    )


def _answers(name: str, folder: str, head: str, languages: tuple[str, ...]) -> Task:
    return Task(
        name=f"{name}-translated",
        family="span-qa",
        metric="squad",
        languages=languages,
        files={"train": (f"{BUCKET}/{folder}/translate-train/{name}.translate.train.en-{{language}}.json",)},
        read=squad.read,
        extension="json",
        max_length=MAX_LENGTH,
        shared_head=head,
        train_languages=languages,
        trained_on=(f"{name}-translated",),
        any_language=True,
        source=f"{name} in English, translated, answers found again in the translation: {SOURCE}",
        licence=LICENCE,
    )


TASKS = (
    _pairs(XNLI, "XNLI", NLI, "translated"),
    _pairs(XNLI, "XNLI", NLI, "bilingual"),
    _pairs(PAWSX, "PAWSX", PAWSX.labels, "translated"),
    _pairs(PAWSX, "PAWSX", PAWSX.labels, "bilingual"),
    Task(
        name="xnli-mt",
        family="classification",
        metric="accuracy",
        languages=XNLI.languages,
        files={"train": ("XNLI-MT-1.0/multinli/multinli.train.{language}.tsv",)},
        read=partial(classification.read_published, form=classification.MULTINLI, labels=NLI),
        labels=NLI,
        shared_head="xnli",
        train_languages=XNLI.languages,
        trained_on=("xnli-mt",),
        counts={"train": 392_702},
        source="MultiNLI in the fifteen languages of XNLI by its authors' translation (XNLI-MT 1.0), another than XTREME's",
        licence="CC BY-NC 4.0",
    ),
    _answers("squad", "SQuAD", "squad", SQUAD_LANGUAGES),
    _answers("tydiqa", "TyDiQA-GoldP", "tydiqa", TYDIQA_LANGUAGES),
    Task(
        name="xquad-translate-test",
        family="span-qa",
        metric="squad",
        languages=("ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        files={"test": (f"{BUCKET}/XQuAD/translate-test/xquad.translate.test.{{language}}-en.json",)},
        read=squad.read,
        extension="json",
        max_length=MAX_LENGTH,
        shared_head="squad",
        trained_on=("squad",),
        written=("en",),
        source=f"XQuAD in each language, translated into English, which is what the model reads and is scored in: {SOURCE}",
        licence=LICENCE,
        shares="XQuAD",
    ),
    Task(
        name="panx-translated",
        family="tagging",
        metric="seqeval-0.0.12",
        languages=tuple(code for code in PANX_LANGUAGES if code != "en"),
        files={"train": ("panx/translate-train-{language}.txt",)},
        read=partial(translated.read_marked, tags=WIKIANN_TAGS),
        labels=WIKIANN_TAGS,
        extension="tsv",
        shared_head="panx",
        train_languages=tuple(code for code in PANX_LANGUAGES if code != "en"),
        trained_on=("panx-translated",),
        any_language=True,
        source="WikiANN in English, translated by the user, spans in markers: docs/how-to/translate-train.md",
        licence="of the translation",
    ),
)
