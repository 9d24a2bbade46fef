"""Write docs/how-to/rare-languages.md: the table of the sets of many languages is that of the catalog.

python docs/make_rare_languages.py
"""

from pathlib import Path

from xdist.tasks.catalog import Task, task
from xdist.tasks.catalog.shipped import shipped_tasks

PLACE = Path(__file__).with_name("how-to") / "rare-languages.md"
# Where each set is to be had, and what has to be done to its files.
FROM = {
    "sib200": "github.com/dadelani/sib-200, folder `data/annotated`, as `sib200/`",
    "flores200": "tinyurl.com/flores200dataset, unpacked",
    "ntrex": "github.com/MicrosoftTranslator/NTREX, as `ntrex/`",
    "belebele": "dl.fbaipublicfiles.com/belebele/Belebele.zip, unpacked",
    "afrixnli": 'huggingface.co/datasets/masakhane/afrixnli, as `afrixnli/`; mteb\'s copy is another set, without "neutral"',
    "masakhaner": "github.com/masakhane-io/masakhane-ner; what the hub has is a script, no Parquet",
    "masakhaner2": "the same repository",
    "masakhapos": "github.com/masakhane-io/masakhane-pos; what the hub has is a script, no Parquet",
    "masakhanews": "github.com/masakhane-io/masakhane-news",
    "afrisenti": "github.com/afrisenti-semeval/afrisent-semeval-2023, as `afrisenti/`; some there are `hau_train.tsv`,"
    " here `train.tsv`",
    "nusax": "github.com/IndoNLP/nusax, as `nusax/`",
    "wikiann": "the archives of Rahimi et al., each unpacked into a folder of its Wikipedia's code below `wikiann/`",
    "bible-verses": "github.com/BibleNLP/ebible, folder `corpus`: one translation of each language, called by its code, and an"
    " English one as `eng.txt`",
}
HEAD = """# Rare languages

Written by `docs/make_rare_languages.py` from the catalog. The sets below hold languages that encoders have hardly seen. A run
names them as any task, in any code of a language (`yo`, `yor`, `yor_Latn`); each set keeps the codes of its files, and
`evaluate.languages: all`, the default, takes every language whose file exists.

```yaml
# topics.yaml
name: topics
folder: runs/topics
model: {backbone: xlm-roberta-base}
data: {root: download}
train:
  tasks: [{task: sib200, languages: [eng_Latn]}]
  epochs: 10
evaluate: {tasks: [sib200]}
```

```yaml
# retrieval.yaml
name: retrieval
folder: runs/retrieval
model: {backbone: xlm-roberta-base}
data: {root: download}
evaluate: {tasks: [flores200, ntrex]}
```

```
xdist fetch --task nusax --language ace --into download
xdist tasks check download --task sib200
xdist train topics.yaml --dry-run
xdist evaluate retrieval.yaml
```

"""
MIDDLE = """
**Unchecked** means that no published file was at hand when the entry was written: tests read files made in the same form. Forms
of MasakhaNER, MasakhaPOS, MasakhaNEWS, AfriSenti, NusaX and the eBible corpus are those that their repositories had in 2026;
those of FLORES-200, Belebele, AfriXNLI and WikiANN come from their cards. No copy of the hub was read: `xdist fetch` downloads
it at a fixed commit, and a missing column ends the check with its name. `xdist tasks check` opens every file before you
train.

## What is scored, and on what

- `flores200`, `ntrex` and `bible-verses` are searched both ways, with the layer that Tatoeba takes (`evaluate.layer` chooses
  another): `accuracy`, `f1` as mteb's bitext mining has it, and `top10` as Glot500 has it are those of English sentences
  whose translation is searched; `accuracy_back` and the others are of the opposite direction. The metric says which one ranks.
- `belebele` has no training set. Its authors train on English multiple choice (RACE above all); here it shares the head
  `choice`, so what `siqa` and `copa` have trained is tested. Scores near 25 mean that a model has not learnt the task.
- `afrixnli` is scored with XNLI's head, `masakhapos` with UD-POS's and `wikiann` with that of `panx`: one training in
  English, all languages tested. `wikiann` has all of `panx` and is read from files as published, with their `en:` before each
  word.
- `masakhaner` and `masakhaner2` have dates, which no English set here has: they are trained on some of their own languages.

## What must not train what

Some sets hold the same sentences, in all languages. Where a model was trained on one, a check, a start and the end of an
evaluation say so for the others (`flores200: the model was trained on sib200, which has some of the same sentences
(FLORES-200)`).

"""
TAIL = """
## Codes

`ace_Arab` and `ace_Latn` are two languages, a macrolanguage is the member that the set has (`swa` is Swahili, `tl` is
Filipino's standard in NTREX). WikiANN's `als`, `bh` and `cbk-zam` mean another language elsewhere or none: here they are
`gsw`, `bho` and `cbk`. NTREX-128 has variants (`fra-CA`, `spa-MX`, `zho-TW`), which are tested apart. A set that is not here
is described in a YAML of the same form: [your own task](own-task.md).
"""


def page() -> str:
    entries = [*shipped_tasks(), task("ntrex")]
    assert {one.name for one in entries} == set(FROM)
    rows = ["| task | set | languages | metric | files | read | hub copy | licence |", "|---|---|---|---|---|---|---|---|"]
    rows += [_row(one) for one in sorted(entries, key=lambda one: list(FROM).index(one.name))]
    groups: dict[str, list[str]] = {}
    for name in ("sib200", "flores200", "belebele", "ntrex-tlm", "ntrex", "bible", "bible-verses", "masakhaner", "masakhaner2"):
        groups.setdefault(task(name).shares, []).append(f"`{name}`")
    shared = ["| sentences of | tasks |", "|---|---|"] + [
        f"| {group} | {', '.join(names)} |" for group, names in groups.items()
    ]
    return HEAD + "\n".join(rows) + "\n" + MIDDLE + "\n".join(shared) + "\n" + TAIL


def _row(one: Task) -> str:
    files = next(iter(reversed(one.files.values())))[0].replace("{name}", "{language}")
    copy = f"`{one.hub.id}`{'' if one.hub.checked else ', unchecked'}" if one.hub else "–"
    said = "yes" if one.checked else "unchecked"
    source = one.source.partition(":")[0] if one.name != "ntrex" else "NTREX-128 (Federmann et al. 2022)"
    return (
        f"| `{one.name}` | {source} | {len(one.languages)} | `{one.metric}` | `{files}`: {FROM[one.name]} | {said} | {copy} | "
        f"{one.licence} |"
    )


if __name__ == "__main__":
    PLACE.write_text(page(), encoding="utf-8")
