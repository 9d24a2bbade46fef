"""What a study of one task says beforehand of the languages of that task which it did not score.

    python jobs/studies/answer_predict.py STUDY.yaml [a.b=c]...

By group, for each condition against its baseline: the mean difference that new runs of the same design, with other seeds, would
show in the other languages of the group, and the interval that 95 of 100 such figures fall into. It is wider than that of the
report, since what is predicted varies too: by languages, as many as there are of them; by seeds, as here; and by examples.
Others can check it: download the other languages' files, run the study again with other `seeds`, and read its report.
"""

import sys
from dataclasses import replace
from pathlib import Path

from xdist.config import load_study
from xdist.errors import UserError
from xdist.languages import EVERY_GROUP
from xdist.metrics.significance import Interval, VariancePart
from xdist.report.answer import RARE, RICH, compare_conditions
from xdist.report.naming import group_of
from xdist.study.expansion import expand
from xdist.study.facts import Facts
from xdist.study.results import study_results
from xdist.study.state import standings
from xdist.tasks.catalog import task


def main(path: Path, overrides: list[str]) -> None:
    study = load_study(path, overrides)
    facts = Facts(study.folder / "digests.json")
    graph = expand(study, facts)
    results = study_results(graph, standings(graph, facts), None)
    if len(results.tasks) != 1:
        raise UserError(f"{path}: has scores of {len(results.tasks)} tasks; what is predicted is of one")
    (result,) = results.tasks
    scored = set(result.languages)
    others = [group_of(code, results.read) for code in task(result.name).languages if code not in scored]
    groups = {name: others.count(name) for name in EVERY_GROUP}
    groups |= {RARE: groups["unseen"] + groups["low"], RICH: groups["mid"] + groups["high"]}
    print(
        f"{len(others)} other languages of {result.name}: "
        + ", ".join(f"{name} {count}" for name, count in groups.items() if count)
    )
    print(
        "| condition | group | scored here | difference | other languages | predicted |\n| --- | --- | --: | --: | --: | --: |"
    )
    for (group, condition), (found, (languages, _, _), _) in compare_conditions(results).items():
        if languages > 1 and groups.get(group):
            half, middle = half_width(found, languages, groups[group]), found.difference
            numbers = [f"{round(value, 1) + 0.0:+}" for value in (middle, middle - half, middle + half)]  # no -0.0
            said = f"{numbers[0]} ({numbers[1]} to {numbers[2]})"
            print(f"| {condition} | {group} | {languages} | {numbers[0]} | {groups[group]} | {said} |")


def half_width(found: Interval, languages: int, others: int) -> float:
    """Of what runs in `others` languages are to show, after `found` in a sample of `languages`: that of a difference of two
    samples. The first part of `found` is that of languages; examples and seeds add to both equally."""
    first, *rest = found.parts
    both = [VariancePart(first.variance * (1 + languages / others), first.freedom)]
    both += [VariancePart(2 * part.variance, part.freedom) for part in rest]
    return replace(found, parts=tuple(both)).least(1 - found.level)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except UserError as error:
        sys.exit(str(error))
