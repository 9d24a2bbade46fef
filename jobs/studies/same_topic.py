"""Two tasks of sentence pairs, made from SIB-200 by answer_data.py: have the two sentences the same topic? In one language, and
in the generalized setting, where they are in two."""

from functools import partial

from xdist.formats import classification
from xdist.tasks.catalog import Task, register, splits
from xdist.tasks.catalog.classification import generalized

LABELS = ("other", "same")
# English, and by what XLM-R has read: high (Russian), mid or low (Swahili, Javanese), hardly anything (Yoruba, Quechua).
LANGUAGES = ("eng_Latn", "rus_Cyrl", "swh_Latn", "jav_Latn", "yor_Latn", "quy_Latn")

SAME_TOPIC = Task(
    name="same-topic",
    family="classification",
    metric="accuracy",
    languages=LANGUAGES,
    files=splits("same-topic/{split}-{language}.tsv"),
    read=partial(classification.read, labels=LABELS),
    labels=LABELS,
    train_languages=("eng_Latn",),
    trained_on=("same-topic",),
    source="pairs of SIB-200's sentences (Adelani et al. 2024, arXiv 2309.07445), made by answer_data.py",
    licence="CC BY-SA 4.0",
)
register(SAME_TOPIC)
register(generalized(SAME_TOPIC, "the same pairs, generalized cross-lingual transfer (arXiv 2104.08645)"))
