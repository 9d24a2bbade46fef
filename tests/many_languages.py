"""A run folder with scores in as many languages as requested, in the codes of FLORES and SIB-200: no model, made-up numbers."""

import json
from pathlib import Path
from typing import Any

from xdist.languages import CC100, find_language
from xdist.languages.codes import PLACE

BASE = {"unseen": 35.0, "low": 60.0, "mid": 74.0, "high": 80.0}
LATER = {"ace_Arab", "bjn_Arab", "kas_Deva", "min_Arab", "taq_Tfng", "zho_Hant"}  # a second script of a language


def many_codes(number: int) -> list[str]:
    """A language in two scripts for some, then those with a code of two letters, which are the larger ones, then others."""
    rows = [line.split("\t") for line in (PLACE / "table.tsv").open(encoding="utf-8") if not line.startswith("#")]
    rows.sort(key=lambda row: (not row[1], row[0]))
    codes = [*sorted(LATER), *(f"{row[0]}_{row[4]}" for row in rows if row[4])]
    return list(dict.fromkeys(code for code in codes if find_language(code)))[:number]


def many_scores(folder: Path, number: int, name: str = "sib200", **more: Any) -> Path:
    """Scores of one task that follow CC-100's groups. `more` is in addition to the tasks in scores.json."""
    codes = many_codes(number)
    languages = {
        code: {"accuracy": BASE[CC100.group(code)] + place % 10, "macro_f1": 30.0, "count": 204}
        for place, code in enumerate(codes)
    }
    measured = {
        code: {"rows": 204, "pieces": 9000, "unknown": 90, "units": 4500, "per": "word", "changed": place % 3, "form": "NFKC"}
        for place, code in enumerate(codes)
    }
    entry = {
        "family": "classification",
        "metric": "accuracy",
        "split": "test",
        "trained_on": ["eng_Latn"],
        "languages": languages,
        "mean": {"accuracy": sum(one["accuracy"] for one in languages.values()) / number},
        "measured": measured,
    }
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps({"run": name, "tasks": {"sib200": entry}, **more}), encoding="utf-8")
    return folder
