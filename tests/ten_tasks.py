"""Results of ten tasks in six conditions, as large as XTREME-R makes them on a page: no files, made-up predictions."""

import numpy as np

from xdist.languages import CC100, LANGUAGES
from xdist.metrics import metric
from xdist.metrics.pooled import replicate
from xdist.report.asked import StageRun, WhatWasRun
from xdist.report.record import Record
from xdist.report.results import Condition, Results, RunFacts, TaskResult
from xdist.tasks.catalog import XTREME_R

LONG = ("none", "english", "multilingual")


def ten_by_six(languages: int = 12, size: int = 30) -> Results:
    rng = np.random.default_rng(0)
    names = [f"intermediate: {one}, robust: {other}" for one in LONG for other in ("none", "adversarial")]
    first = names[0]
    conditions = tuple(
        Condition(name, None if name == first else first, {"condition": name}, (1, 2), ("en",)) for name in names
    )
    codes = list(LANGUAGES)[:: len(LANGUAGES) // languages][:languages]
    accuracy = metric("accuracy")
    tasks = []
    for number, name in enumerate(XTREME_R):
        rows = {
            (one, seed): {
                code: np.stack([rng.random(size) < 0.4 + 0.05 * number, np.ones(size)], axis=1).astype(float) for code in codes
            }
            for one in names
            for seed in (1, 2)
        }
        scores = {
            system: {code: {**accuracy.of_rows(of), "count": float(size)} for code, of in by_code.items()}
            for system, by_code in rows.items()
        }
        replicated = replicate(rows, accuracy, name)  # type: ignore[arg-type]
        read = dict.fromkeys(names, CC100)
        guesses = {"random": dict.fromkeys(codes, 25.0)}
        tasks.append(
            TaskResult(name, "classification", accuracy, "test", ("en",), scores, replicated, read=read, guesses=guesses)
        )
    metrics = {"train/loss": [(step, 5 - 0.08 * step + 0.01 * (step % 2)) for step in range(1, 41)]}
    runs = tuple(
        RunFacts(
            f"target-{n}", "target", "failed" if n == 0 else "finished", "", 1, 40, 40, Record(f"target-{n}", "", {}, metrics)
        )
        for n in range(6)
    )
    stage = StageRun("target", 6, "xlm-roberta-large", "mnli (en)", "40", "32", "2e-05", "none or adversarial (radius 0.05)")
    asked = WhatWasRun((stage,), {name: (f"target: robust.method {name}",) for name in names[1:]}, ("Which of six helps?",))
    return Results("Ten tasks, six conditions", conditions, tuple(tasks), runs, asked=asked)
