"""What a run draws: schedules by task, shares given by piece."""

from pathlib import Path

import numpy as np
import pytest
from resolved_of import data_of, prepared_of
from tiny import tiny_benchmark, tiny_model

from xdist.config import load_run
from xdist.data.batches import TrainingData, sources_of
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError

RUN = """\
name: mixture
folder: out
model: {{backbone: {folder}/encoder}}
data: {{root: {folder}/data, cache: {folder}/prepared}}
train:
  tasks:
    - {{task: cldr-topic, languages: [en, de]}}
    - {{task: cldr-spans, languages: [sw]}}
  steps: 40
  batch_size: 8
"""


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    tiny_model(folder / "encoder", tiny_benchmark(folder / "data"))
    (folder / "run.yaml").write_text(RUN.format(folder=folder))
    return folder / "run.yaml"


def data(run_file: Path, *overrides: str) -> TrainingData:
    run = load_run(run_file, overrides)
    preparation = prepared_of(run, load_tokenizer(run.model.backbone))
    preparation.make_missing()
    return data_of(run, preparation)


def test_the_mixture_told_is_the_one_drawn(run_file: Path) -> None:
    made = data(run_file, "train.schedule=[{at: 0.5, weights: {cldr-topic: 1, cldr-spans: 3}}]")
    sources, tokens = np.zeros(3), np.zeros(3)
    for step in range(40):
        for source, row in zip(*(getattr(made.plan.step(step), name) for name in ("source", "row")), strict=True):
            sources[source] += 1
            tokens[source] += made.shards[source].length(row)
    told = made.mixture(40)
    names = ("cldr-topic/en", "cldr-topic/de", "cldr-spans/sw")
    assert [told[f"mixture/{name}"] for name in names] == pytest.approx(sources / 320)
    assert [told[f"epochs/{name}"] for name in names] == pytest.approx(sources / 120)
    assert [told[f"tokens/{name}"] for name in names] == pytest.approx(tokens, rel=0.1)
    early = made.mixture(20)
    assert early["mixture/cldr-spans/sw"] == pytest.approx(1 / 3, abs=0.02)
    assert told["mixture/cldr-spans/sw"] == pytest.approx((1 / 3 + 3 / 4) / 2, abs=0.02)


def test_each_row_says_its_language(run_file: Path) -> None:
    made = data(run_file)
    said = set()
    for batch in (batch for step in range(4) for batch in made.step(step, 0, 1)):
        subsets = [made.subsets[source] for source in sources_of(batch.row_ids).tolist()]
        assert batch.languages == tuple(subset.language for subset in subsets)
        said |= set(batch.languages)
    assert said == {"en", "de", "sw"}


def test_a_task_may_rest(run_file: Path) -> None:
    made = data(run_file, "train.schedule=[{at: 4, weights: {cldr-spans: 0}}, {at: 8, weights: {cldr-spans: 1e9}}]")
    assert 2 in made.plan.step(3).source
    assert 2 not in np.concatenate([made.plan.step(step).source for step in range(4, 8)])
    assert (np.concatenate([made.plan.step(step).source for step in range(8, 12)]) == 2).mean() > 0.9


def test_languages_and_masks_are_annealed(run_file: Path) -> None:
    """Another exponent for the sizes of languages, and another share of masked tokens, from later steps on."""
    for code, lines in (("en", 300), ("sw", 30)):
        place = run_file.parent / "data" / "mlm" / f"{code}.txt"
        place.parent.mkdir(exist_ok=True)
        place.write_text("".join(f"Kenya Peru Chad Mali {one % 7} Oman Norway Sweden euro\n\n" for one in range(lines)))
    tasks = "train.tasks=[{task: mlm, languages: [en, sw]}]"
    phases = "[{at: 10, alpha: 0, mask_rate: 0.1}, {at: 20, mask_rate: 0.5}]"
    made = data(run_file, tasks, "train.mask_rate=0.3", f"train.schedule={phases}")
    sources = [np.concatenate([made.plan.step(step).source for step in range(low, low + 10)]) for low in (0, 10, 20)]
    assert [(one == 1).mean() for one in sources] == pytest.approx([1 / 11, 1 / 2, 1 / 2], abs=0.05)
    shares = []
    for low in (0, 10, 20):
        batches = [batch for step in range(low, low + 10) for batch in made.step(step, 0, 1)]
        masked = sum(len(batch.targets["masked"]) for batch in batches)
        shares.append(masked / sum(len(batch.tokens) - 2 * len(batch.lengths) for batch in batches))
    # Unknown pieces are never masked, so the shares are found by each other.
    assert [share / shares[2] for share in shares] == pytest.approx([0.6, 0.2, 1.0], abs=0.1)


@pytest.mark.parametrize(
    "schedule, message",
    [
        ("[{at: 5}]", "a phase changes something: give weights, alpha or mask_rate"),
        ("[{at: 5, weights: {cldr-topik: 1}}]", "unknown task of this run 'cldr-topik': did you mean 'cldr-topic'?"),
        ("[{at: 5, weights: {cldr-topic: 1}}, {at: 0.1, weights: {cldr-topic: 2}}]", "step 4 does not come after"),
        ("[{at: 5, weights: {cldr-topic: 0, cldr-spans: 0}}]", "every task rests"),
    ],
)
def test_a_schedule_that_cannot_be(run_file: Path, schedule: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        data(run_file, f"train.schedule={schedule}")
    assert message in str(caught.value)
