"""Multiple choice: Social IQa, COPA, XCOPA, HellaSwag, CosmosQA, CommonsenseQA.

One head for all: a logit per option, for any number.
"""

from xdist.formats import choice
from xdist.formats.columns import Columns
from xdist.tasks.catalog.hub import Hub
from xdist.tasks.catalog.task import Task

HEAD = "choice"
HUB_COPA = Columns(kind="copa", texts=("premise", "question", "choice1", "choice2"), gold="label")

TASKS = (
    Task(
        name="siqa",
        family="multiple-choice",
        metric="accuracy",
        languages=("en",),
        files={
            "train": ("siqa/socialIQa_v1.4_trn.jsonl",),
            "dev": ("siqa/socialIQa_v1.4_dev.jsonl",),
            "test": ("siqa/socialIQa_v1.4_tst.jsonl",),
        },
        read=choice.read_siqa,
        translated="siqa/{split}-{language}.jsonl",
        extension="jsonl",
        shared_head=HEAD,
        trained_on=("siqa",),
        counts={"train": 33_410, "dev": 1_954, "test": 2_224},
        source="Social IQa v1.4 (Sap et al. 2019, arXiv 1904.09728)",
        licence="CC BY 4.0",
        hub=Hub(
            id="allenai/social_i_qa",
            config="default",
            splits={"train": "train", "dev": "validation"},
            columns=Columns(
                kind="siqa",
                texts=("context", "question", "answerA", "answerB", "answerC"),
                gold="label",
                names=("1", "2", "3"),
            ),
        ),
    ),
    Task(
        name="copa",
        family="multiple-choice",
        metric="accuracy",
        languages=("en",),
        files={
            "train": ("xcopa/train-en.jsonl",),
            "dev": ("xcopa/val-en.jsonl",),
            "test": ("xcopa/test-en.jsonl",),
        },
        read=choice.read_copa,
        extension="jsonl",
        shared_head=HEAD,
        trained_on=("siqa", "copa"),
        counts={"train": 400, "dev": 100, "test": 500},
        source="COPA (Roemmele et al. 2011)",
        licence="BSD 2-Clause",
        hub=Hub(
            id="aps/super_glue",
            config="copa",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns=HUB_COPA,
        ),
    ),
    Task(
        name="xcopa",
        family="multiple-choice",
        metric="accuracy",
        languages=("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"),
        members={"qu": "qve"},  # Eastern Apurímac Quechua
        files={"dev": ("xcopa/val-{language}.jsonl",), "test": ("xcopa/test-{language}.jsonl",)},
        read=choice.read_copa,
        extension="jsonl",
        shared_head=HEAD,
        trained_on=("siqa", "copa"),
        counts={"dev": 100, "test": 500},
        source="XCOPA (Ponti et al. 2020, arXiv 2005.00333); the question is in English in every language, as officially",
        licence="CC BY 4.0",
        hub=Hub(
            id="cambridgeltl/xcopa",
            config="{language}",
            splits={"dev": "validation", "test": "test"},
            columns=HUB_COPA,
        ),
    ),
    Task(
        name="hellaswag",
        family="multiple-choice",
        metric="accuracy",
        languages=("en",),
        files={
            split: (f"hellaswag/hellaswag_{name}.jsonl",)
            for split, name in {"train": "train", "dev": "val", "test": "test"}.items()
        },
        read=choice.read_hellaswag,
        translated="hellaswag/{split}-{language}.jsonl",
        extension="jsonl",
        max_length=256,
        shared_head=HEAD,
        trained_on=("hellaswag",),
        counts={"train": 39_905, "dev": 10_042, "test": 10_003},
        source="HellaSwag (Zellers et al. 2019, arXiv 1905.07830)",
        licence="MIT",
        hub=Hub(
            id="Rowan/hellaswag",
            config="default",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns=Columns(kind="listed", texts=("ctx", "endings"), gold="label"),
        ),
    ),
    Task(
        name="cosmosqa",
        family="multiple-choice",
        metric="accuracy",
        languages=("en",),
        files={"train": ("cosmosqa/train.csv",), "dev": ("cosmosqa/valid.csv",), "test": ("cosmosqa/test.jsonl",)},
        read=choice.read_cosmosqa,
        translated="cosmosqa/{split}-{language}.csv",
        extension="jsonl",
        max_length=256,
        shared_head=HEAD,
        trained_on=("cosmosqa",),
        counts={"train": 25_262, "dev": 2_985},
        source="Cosmos QA (Huang et al. 2019, arXiv 1909.00277)",
        licence="CC BY 4.0",
        hub=Hub(
            id="allenai/cosmos_qa",
            config="default",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns=Columns(
                kind="siqa", texts=("context", "question", "answer0", "answer1", "answer2", "answer3"), gold="label"
            ),
        ),
    ),
    Task(
        name="commonsenseqa",
        family="multiple-choice",
        metric="accuracy",
        languages=("en",),
        files={
            "train": ("commonsenseqa/train_rand_split.jsonl",),
            "dev": ("commonsenseqa/dev_rand_split.jsonl",),
            "test": ("commonsenseqa/test_rand_split_no_answers.jsonl",),
        },
        read=choice.read_commonsenseqa,
        translated="commonsenseqa/{split}-{language}.jsonl",
        extension="jsonl",
        shared_head=HEAD,
        trained_on=("commonsenseqa",),
        counts={"train": 9_741, "dev": 1_221, "test": 1_140},
        source="CommonsenseQA 1.11, random split (Talmor et al. 2019, arXiv 1811.00937)",
        licence="MIT",
        hub=Hub(
            id="tau/commonsense_qa",
            config="default",
            splits={"train": "train", "dev": "validation", "test": "test"},
            columns=Columns(
                kind="listed", texts=("question", "choices.text"), gold="answerKey", names=("A", "B", "C", "D", "E")
            ),
        ),
    ),
)
