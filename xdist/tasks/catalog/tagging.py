"""Tagging: UD-POS and WikiANN."""

from functools import partial

from xdist.formats import tagging
from xdist.formats.columns import Columns
from xdist.formats.tagging import UPOS_TAGS, WIKIANN_TAGS
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import Task, per_language, splits

HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}

UDPOS_LANGUAGES = (
    *("af", "ar", "bg", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "kk", "ko"),
    *("mr", "nl", "pt", "ru", "ta", "te", "th", "tl", "tr", "ur", "vi", "yo", "zh"),
    *("lt", "pl", "uk", "wo", "ro"),  # added by XTREME-R
)
# Sentences of UD 2.5, the release of XTREME, for its 33 languages, with the treebanks that the official file-name prefix
# picks (el and zh are smaller, de is 100 smaller than in copies that match by folder name); wo of the release of XTREME-R.
# fr and ru of the official preparation, and lt pl uk ro, are not known for certain. Later releases have other counts: tl 222,
# yo 318, ta 654, id 1,931, et 4,127, fi 6,544, tr 5,842, fa 2,055 say that UD 2.7 or later is in front of you.
_UDPOS_TEST = per_language(
    """
    af 425 ar 1680 bg 1116 de 22358 el 456 en 5440 es 3147 et 3760 eu 1799 fa 600 fi 4422 he 491 hi 2684
    hu 449 id 1557 it 3518 ja 2372 kk 1047 ko 4276 mr 47 nl 1471 pt 2681 ta 120 te 146 th 1000 tl 55
    tr 4785 ur 535 vi 800 yo 100 zh 3455 wo 470
    """
)

PANX_LANGUAGES = (
    *("ar", "he", "vi", "id", "jv", "ms", "tl", "eu", "ml", "ta", "te", "af", "nl", "en", "de", "el", "bn", "hi", "mr", "ur"),
    *("fa", "fr", "it", "pt", "es", "bg", "ru", "ja", "ka", "ko", "th", "sw", "yo", "my", "zh", "kk", "tr", "et", "fi", "hu"),
    *("qu", "pl", "uk", "az", "lt", "pa", "gu", "ro"),  # added by XTREME-R
)
# (train, dev and test) by languages; all others 20,000 and 10,000.
_PANX_SIZES = {
    (15_000, 10_000): ("et",),
    (10_000, 10_000): ("eu", "ka", "lt"),
    (20_000, 1_000): ("ms", "ur"),
    (15_000, 1_000): ("ta",),
    (10_000, 1_000): ("az", "bn", "ml", "tl"),
    (5_000, 1_000): ("af", "hi", "mr"),
    (1_000, 1_000): ("kk", "sw", "te"),
    (100, 100): ("gu", "jv", "my", "pa", "qu", "yo"),
}
_PANX = dict.fromkeys(PANX_LANGUAGES, (20_000, 10_000)) | {code: size for size, codes in _PANX_SIZES.items() for code in codes}

TASKS = (
    Task(
        name="udpos",
        family="tagging",
        metric="seqeval-0.0.12",
        languages=UDPOS_LANGUAGES,
        files=splits("udpos/{split}-{language}.tsv"),
        read=partial(tagging.read, tags=UPOS_TAGS),
        labels=UPOS_TAGS,
        trained_on=("udpos",),
        counts={"train": {"en": 21_253}, "dev": {"en": 3_974}, "test": _UDPOS_TEST},
        source="Universal Dependencies, releases 2.5 and (lt pl uk wo ro) 2.7",
        licence="per treebank, several non-commercial",
        hub=Hub(
            id="izhx/xtreme-r-udpos",  # UD 2.7 in all languages: other scores than the official files
            config="{language}",
            splits=HUB_SPLITS,
            columns=Columns(kind="tagged", texts=("tokens",), gold="pos_tags"),
        ),
    ),
    Task(
        name="panx",
        family="tagging",
        metric="seqeval-0.0.12",
        languages=PANX_LANGUAGES,
        files=splits("panx/{split}-{language}.tsv"),
        read=partial(tagging.read, tags=WIKIANN_TAGS),
        labels=WIKIANN_TAGS,
        trained_on=("panx",),
        counts={
            "train": {code: train for code, (train, _) in _PANX.items()},
            "dev": {code: rest for code, (_, rest) in _PANX.items()},
            "test": {code: rest for code, (_, rest) in _PANX.items()},
        },
        source="WikiANN (Pan et al. 2017), balanced splits of Rahimi et al. 2019 (arXiv 1902.00193)",
        licence="ODC-BY",
        hub=Hub(
            id="unimelb-nlp/wikiann",
            config="{language}",
            splits=HUB_SPLITS,
            columns=Columns(kind="tagged", texts=("tokens",), gold="ner_tags", names=WIKIANN_TAGS),
        ),
    ),
)
