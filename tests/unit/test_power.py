"""What a design would show, against studies that are simulated otherwise: right and wrong answers with the effect in them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from study_folder import described, finished, gold
from test_significance import counted

from xdist.cli import main
from xdist.config.expected import Spreads
from xdist.languages import CC100
from xdist.metrics.accuracy import ACCURACY
from xdist.metrics.pooled import replicate
from xdist.metrics.significance import holm
from xdist.report.answer import RARE, RICH, compare_conditions, headline_rows
from xdist.report.comparison import DIAGONAL, OFF_DIAGONAL
from xdist.report.comparison import difference_shown as is_shown
from xdist.report.results import Condition, Results, TaskResult
from xdist.study.power import Design, DesignTask, larger_designs, power
from xdist.study.power_spread import measured_spread, stated_spread

UNSEEN = ("wol", "yor", "ewe", "lin", "lug", "kin", "sna", "twi", "bam", "fon", "ibo", "tum")
KNOWN = ("deu", "fra", "spa", "ita", "rus", "fin", "ron", "bul", "hun", "nld", "pol", "tur")
CONDITIONS = ("a", "b", "c")
Answers = dict[tuple[str, int], dict[str, np.ndarray]]


def answered(
    rng: np.random.Generator, codes: tuple[str, ...], seeds: int, size: int, effect: float = 0.0, where: tuple[str, ...] = ()
) -> Answers:
    """Right answers of three conditions. What is hard is partly so in all languages, for one condition or for one of its seeds
    more than for others. Of the wrong answers of `b` in `where` this many are turned that it gains `effect` points."""
    hard = rng.normal(0, 0.5, size)
    found: Answers = {}
    of_language = {code: rng.normal(0, 0.6, size) for code in codes}
    for name in CONDITIONS:
        sentence, shift = rng.normal(0, 0.2, size), {code: rng.normal(0, 0.05) for code in codes}
        own = {code: rng.normal(0, 0.2, size) for code in codes}
        for seed in range(seeds):
            run, of_seed = rng.normal(0, 0.05), rng.normal(0, 0.2, size)
            found[name, seed] = {}
            for code in codes:
                more = run + shift[code] + rng.normal(0, 0.04) + sentence + of_seed + own[code] + rng.normal(0, 0.3, size)
                right = 0.3 + hard + of_language[code] + more > 0
                if name == "b" and code in where:
                    right |= ~right & (rng.random(size) < effect / 100 / 0.38)
                found[name, seed][code] = right
    return found


def results(found: Answers, seeds: int, draw: int) -> Results:
    rows = {system: {code: counted(right) for code, right in of.items()} for system, of in found.items()}
    scores = {
        system: {code: {"accuracy": 100 * float(right.mean()), "count": len(right)} for code, right in of.items()}
        for system, of in found.items()
    }
    replicated = replicate(dict(rows), ACCURACY, "task", draw, 200)
    task = TaskResult("task", "classification", ACCURACY, "test", (), scores, replicated)
    return Results("simulated", conditions(seeds), (task,), ())


def conditions(seeds: int) -> tuple[Condition, ...]:
    return tuple(Condition(name, None if name == "a" else "a", {}, tuple(range(seeds)), ()) for name in CONDITIONS)


def design(seeds: int, rare: int, rich: int, size: int) -> Design:
    sizes = dict.fromkeys((*UNSEEN[:rare], *KNOWN[:rich]), size)
    return Design(conditions(seeds), (DesignTask("task", "sentences", sizes),), CC100)


def test_an_effect_of_the_least_size_is_shown_as_often_as_is_said() -> None:
    rng = np.random.default_rng(5)
    codes, groups = (*UNSEEN, *KNOWN), {code: RARE if code in UNSEEN else RICH for code in (*UNSEEN, *KNOWN)}
    pilot = answered(rng, codes, 6, 300)
    runs = {
        name: [{code: counted(right) for code, right in of.items()} for (of_name, _), of in pilot.items() if of_name == name]
        for name in CONDITIONS
    }
    spread = measured_spread(runs, ACCURACY, groups, stated_spread(Spreads()))
    assert spread
    assert spread.freedom == 15
    found = power(design(3, 6, 6, 60), {"task": spread}, studies=100)
    least = found[RARE].least
    assert found[RARE].power(least) == pytest.approx(0.8, abs=0.01)
    few = (*UNSEEN[:6], *KNOWN[:6])
    shown = []
    for trial in range(250):
        one = results(answered(rng, few, 3, 60, least, UNSEEN[:6]), 3, trial)
        intervals = {key: interval for key, (interval, *_) in compare_conditions(one, headline_rows(one)).items()}
        corrected = holm({key: interval.p for key, interval in intervals.items()})
        shown.append(is_shown(intervals[RARE, "b"], corrected[RARE, "b"]))
    assert np.mean(shown) == pytest.approx(0.8, abs=0.05)


def test_what_is_in_the_sentence_does_not_shrink_with_languages() -> None:
    """Twice the languages help where each has its own sentences, and hardly where all have the same."""
    gain = {}
    for shared in (0.0, 1.0):
        spread = stated_spread(Spreads(seeds=0.2, languages=0.2, seeds_by_language=0.2, disagree=30, shared=shared))
        one = design(3, 12, 0, 60)
        more = dict(larger_designs(one))["twice the languages"]
        least = [power(which, {"task": spread}, studies=30)[RARE].least for which in (one, more)]
        gain[shared] = least[1] / least[0]
    assert gain[0.0] < 0.85
    assert gain[1.0] > 0.9


def test_more_of_anything_is_counted_as_what_it_is() -> None:
    one = design(3, 2, 2, 204)
    assert [label for label, _ in larger_designs(one)] == [
        "6 seeds instead of 3",
        "twice the languages",
        "408 examples instead of 204",
        "2 tasks instead of 1, of other sentences",
    ]
    designs: Mapping[str, Design] = dict(larger_designs(one))
    assert designs["6 seeds instead of 3"].seeds == 6
    assert len(designs["twice the languages"].tasks[0].sizes) == 8
    assert len(designs["2 tasks instead of 1, of other sentences"].tasks) == 2


def test_pairs_of_languages_are_themselves() -> None:
    pairs = DesignTask("pairs", "other sentences", {f"{a}-{b}": 40 for a in ("en", "de") for b in ("en", "de")})
    spread = stated_spread(Spreads())
    alone = power(replace(design(2, 1, 1, 40), tasks=(pairs,)), {"pairs": spread}, studies=3)
    assert {name: row.languages for name, row in alone.items()} == {OFF_DIAGONAL: 2, DIAGONAL: 2}
    one = design(2, 2, 3, 40)
    mixed = power(replace(one, tasks=(*one.tasks, pairs)), {"task": spread, "pairs": spread}, studies=3)
    assert {name: row.languages for name, row in mixed.items()} == {RARE: 2, RICH: 3}


def test_a_study_says_what_it_could_show_before_any_run_and_better_after_some(tmp_path: Path) -> None:
    path = described(tmp_path, gold(tmp_path / "gold"))
    path.write_text(path.read_text().replace("some/encoder", "xlm-roberta-base"))
    words = ["study", "power", str(path), "--studies", "10", "--json"]

    def asked(*more: str) -> dict[str, object]:
        done = CliRunner().invoke(main, [*words, *more])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    before = asked()
    assert before["comparisons"] == 3 * 2
    (task,) = before["tasks"].values()
    assert (task["languages"], task["spread_from"]) == (9, "stated")  # English, Swahili and Turkish are trained on
    designs = before["designs"]
    assert list(designs) == [
        "as it is",
        "4 seeds instead of 2",
        "twice the languages",
        "240 examples instead of 120",
        "2 tasks instead of 1, of other sentences",
    ]
    assert {name: row["languages"] for name, row in designs["as it is"].items()} == {RARE: 4, RICH: 5}
    assert designs["4 seeds instead of 2"][RARE]["half_width"] < designs["as it is"][RARE]["half_width"]

    finished(path, lambda values, code: 0.6)
    after = asked()
    (task,) = after["tasks"].values()
    assert task["spread_from"] == "8 pilot runs of 4 conditions in 11 languages"
    assert task["spread"]["disagree"] == pytest.approx(48, abs=4)  # of answers that are right by chance alone
    assert task["spread"]["shared"] < 0.1
    elsewhere = asked("--pilot", str(tmp_path / "out"))
    assert elsewhere["tasks"] == after["tasks"]
    nothing = CliRunner().invoke(main, ["study", "power", str(path), "--pilot", str(tmp_path)])
    assert nothing.exit_code == 2
    assert "no finished run with scores" in nothing.stderr
    plan = CliRunner().invoke(main, ["study", "plan", str(path)]).stdout
    assert "would show with 80 % power, by pilot runs: " in " ".join(plan.split()) + " "
