"""A few labelled sentences: chosen by the seed alone, nested, as a run and as a study do it."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from resolved_of import data_of, prepared_of
from tiny import tiny_benchmark, tiny_model

from xdist.cli import main
from xdist.config import Run, load_run
from xdist.data.batches import TrainingData
from xdist.data.chosen import ChosenRows
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.resolve.resolved import resolve
from xdist.study.estimate import updates

RUN = """\
name: shots
folder: {folder}/out
model: {{backbone: {folder}/encoder}}
data: {{root: {folder}/data, cache: {folder}/prepared}}
train:
  tasks:
    - {{task: cldr-topic, languages: [en]}}
    - {{task: cldr-topic, languages: [de, sw], rows: 10}}
    - {{task: cldr-spans, languages: [en], rows: 5}}
  steps: 40
  batch_size: 8
"""


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shots")
    tiny_model(folder / "encoder", tiny_benchmark(folder / "data"))
    (folder / "run.yaml").write_text(RUN.format(folder=folder))
    return folder / "run.yaml"


def data(run: Run) -> TrainingData:
    preparation = prepared_of(run, load_tokenizer(run.model.backbone))
    preparation.make_missing()
    return data_of(run, preparation)


def chosen(run_file: Path, *overrides: str) -> dict[str, list[int]]:
    made = data(load_run(run_file, overrides))
    pairs = zip(made.subsets, made.shards, strict=True)
    return {str(subset): shards.examples.tolist() for subset, shards in pairs if isinstance(shards, ChosenRows)}


def changed(run_file: Path, old: str, new: str) -> Path:
    other = run_file.parent / "changed.yaml"
    text = run_file.read_text()
    assert old in text
    other.write_text(text.replace(old, new))
    return other


def test_fewer_are_among_more_and_a_seed_alone_decides(run_file: Path) -> None:
    ten, twenty = chosen(run_file), chosen(run_file, "train.tasks.1.rows=20")
    assert {name: len(examples) for name, examples in ten.items()} == {
        "cldr-topic train de": 10,
        "cldr-topic train sw": 10,
        "cldr-spans train en": 5,
    }
    for name in ("cldr-topic train de", "cldr-topic train sw"):
        assert set(ten[name]) < set(twenty[name])
    assert ten["cldr-topic train de"] == ten["cldr-topic train sw"]  # translations of each other
    assert chosen(run_file, "seed=2") != ten == chosen(run_file, "train.batch_size=4", "data.max_length=32")


def test_only_what_was_chosen_is_drawn_in_the_share_of_its_size(run_file: Path) -> None:
    made = data(load_run(run_file))
    drawn = [made.plan.step(step) for step in range(40)]
    source, row = (np.concatenate([getattr(draws, name) for draws in drawn]) for name in ("source", "row"))
    sizes = [len(shards) for shards in made.shards]
    assert sizes[1:3] == [10, 10]
    assert set(row[source == 1].tolist()) <= set(range(10))
    shares = np.bincount(source, minlength=4) / len(source)
    assert shares == pytest.approx(np.array(sizes) / sum(sizes), abs=0.01)
    assert data(load_run(run_file, ["train.task_alpha=0"])).mixture(40)["mixture/cldr-topic/de"] == pytest.approx(
        1 / 6, abs=0.01
    )


def test_the_log_counts_classes_draws_and_readings(run_file: Path) -> None:
    made = data(load_run(run_file))
    german, _, spans = made.describe_chosen()
    assert german.startswith("cldr-topic/de: 10 of 120 examples, chosen by seed 1 (")
    counts = [int(part.split()[-1]) for part in german.split("(")[1].split(")")[0].split(", ")]
    assert sum(counts) == 10
    assert len(counts) == len(made.subsets[1].task.labels)
    told = made.mixture(40)
    assert german.endswith(
        f"{told['mixture/cldr-topic/de']:.1%} of the draws, each read {told['epochs/cldr-topic/de']:.1f} times"
    )
    assert "(" not in spans


def test_the_columns_are_those_of_the_chosen_rows(run_file: Path) -> None:
    german = data(load_run(run_file)).shards[1]
    rows = [german.row(number) for number in range(10)]
    assert german.column("label").tolist() == [row["label"] for row in rows]
    assert german.column("tokens").tolist() == [token for row in rows for token in row["tokens"]]
    assert german.tokens.tolist() == [len(row["tokens"]) for row in rows] == [german.length(number) for number in range(10)]
    assert german.used().tolist() == sorted({int(token) for row in rows for token in row["tokens"]})
    assert german.mean_tokens == pytest.approx(german.tokens.mean())


def test_no_rows_is_the_run_without_the_entry(run_file: Path) -> None:
    none, without = load_run(run_file, ["train.tasks.1.rows=0"]), load_run(run_file)
    assert [entry.rows for entry in none.train.tasks] == [None, 5]  # type: ignore[union-attr]
    assert none.identity != without.identity
    entry = "    - {task: cldr-topic, languages: [de, sw], rows: 10}\n"
    assert none.identity == load_run(changed(run_file, entry, "")).identity
    with pytest.raises(UserError, match=r"changed.yaml:9: train.tasks.2.rows: cldr-spans train en has"):  # where it is
        resolve(load_run(changed(run_file, "rows: 5", "rows: 5000"), ["train.tasks.1.rows=0"]), starts_here=False)
    with pytest.raises(UserError, match="every entry has rows: 0"):
        load_run(run_file, [f"train.tasks.{number}.rows=0" for number in range(3)] + ["train.tasks.0={task: panx, rows: 0}"])


def test_fewer_rows_than_asked_for_are_one_line_before_the_start(run_file: Path) -> None:
    with pytest.raises(UserError, match=r"train\.tasks\.1\.rows.*: cldr-topic train de has 120 examples, not 1,000"):
        resolve(load_run(run_file, ["train.tasks.1.rows=1000"]), starts_here=False)
    (run_file.parent / "data/mlm").mkdir(exist_ok=True)
    (run_file.parent / "data/mlm/sw.txt").write_text("Habari.\n")
    with pytest.raises(UserError, match="'mlm' is running text, without examples: give limit"):
        resolve(load_run(run_file, ["train.tasks.1={task: mlm, languages: [sw], rows: 1}"]), starts_here=False)
    with pytest.raises(UserError, match="give either limit or rows"):
        load_run(run_file, ["train.tasks.1.limit=3"])
    with pytest.raises(UserError, match=r"no such file \(cldr-topic train yo\)"):
        resolve(load_run(run_file, ["train.tasks.1.languages=[yo]"]), starts_here=False)


def test_a_dry_run_says_how_many(run_file: Path) -> None:
    done = CliRunner().invoke(main, ["train", str(run_file), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert (
        "cldr-topic train en, cldr-topic train de (10 examples), cldr-topic train sw (10 examples), cldr-spans" in done.output
    )


def test_an_estimate_counts_the_chosen_ones(run_file: Path) -> None:
    run = load_run(run_file, ["train.steps=null", "train.epochs=2"])
    made = data(run)
    assert updates(run.train, run.data, made.subsets) == made.steps == round(2 * sum(map(len, made.shards)) / 8)
