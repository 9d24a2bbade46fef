"""`xdist benchmark`: suites, what of them can run on the data that exists, and the lines that say what came out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from study_folder import CODES, finished, gold
from tiny import tiny_benchmark
from tiny_families import tiny_families
from tiny_finetuned import tiny_finetuned
from tiny_kinds import tiny_kind

from xdist.cli import main
from xdist.config import load_run
from xdist.errors import UserError
from xdist.languages import language
from xdist.metrics.average import Average
from xdist.study import Facts, expand
from xdist.study.benchmark import PlannedBenchmark, plan_benchmark
from xdist.study.benchmark_files import Asked
from xdist.study.benchmark_lines import ScoreLine, benchmark_lines
from xdist.study.running import check_study
from xdist.study.state import Standing
from xdist.study.suite import load_suite, suite_names
from xdist.tasks.catalog import TASKS, XTREME_R, task
from xdist.tasks.catalog.xglue import UNDERSTANDING, UNIQUE

TRAIN = {"tasks": [{"task": "cldr-topic"}], "steps": 5}


def suite_file(folder: Path, **recipes: object) -> Path:
    """A user's own suite: topics after training, and names with the pre-trained encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    run = {"model": {"backbone": "x"}, "data": {"root": "y"}, "train": TRAIN, "evaluate": {"tasks": ["cldr-topic"]}}
    (folder / "topic.yaml").write_text(yaml.safe_dump(run))
    described = {"title": "ours", "recipes": recipes or {"topic": {"runs": ["topic.yaml"]}, "names": {"tasks": ["cldr-names"]}}}
    (folder / "ours.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    return folder / "ours.yaml"


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Asked]:
    tiny_benchmark(tmp_path / "data")
    suite_file(tmp_path / "suites")

    def ask(**more: object) -> Asked:
        suite = load_suite(str(tmp_path / "suites/ours.yaml"))
        return Asked("some/encoder", suite, tmp_path / "data", tmp_path / "out", **more)  # type: ignore[arg-type]

    return ask


def asked_of(folder: Path, name: str) -> Asked:
    return Asked("some/encoder", load_suite(str(folder / f"suites/{name}.yaml")), folder / "data", folder / "out")


@pytest.mark.parametrize("name", suite_names())
def test_every_recipe_of_every_suite_makes_valid_runs(name: str) -> None:
    for one in load_suite(name).recipes:
        for width in (384, 768, 1024):
            changes = [f"{key}={value.written}" for key, value in one.changes(width).items()]
            trained = [load_run(path, changes).train for path in one.runs]
            assert all(trained)
            assert all(entry.task in TASKS.there() for train in trained if train for entry in train.tasks)


def test_the_published_suites_have_their_tasks_and_languages() -> None:
    assert set(load_suite("xtreme-r").tasks) == set(XTREME_R)
    assert all(codes == task(name).languages for name, codes in load_suite("xtreme-r").tasks.items())
    v1 = load_suite("xtreme").tasks
    assert {name: len(codes) for name, codes in v1.items()} == {
        "xnli": 15,
        "pawsx": 7,
        "udpos": 33,
        "panx": 40,
        "bucc2018": 4,
        "tatoeba": 36,
        "xquad": 11,
        "mlqa": 7,
        "tydiqa": 9,
    }
    assert len({code for codes in v1.values() for code in codes}) == 40
    nine = load_suite("xglue")
    assert tuple(nine.tasks) == UNDERSTANDING
    assert nine.suite.means == {"unique": UNIQUE}
    assert all(codes == task(name).languages for name, codes in nine.tasks.items())
    assert len(load_suite("sib200").tasks["sib200"]) == 205
    africa = load_suite("africa").tasks
    assert {"sib200", "afrixnli", "masakhaner2", "masakhapos", "masakhanews", "afrisenti"} == set(africa)
    continents = {language(code).continent for code in africa["sib200"]}
    assert continents == {"Africa", "Europe", ""}  # English, and N'Ko, of which the table does not say it
    assert {language(code).continent for code in set(task("sib200").languages) - set(africa["sib200"])} & {
        "Africa",
        "",
    } == set()
    assert set(load_suite("retrieval").tasks) == {"tatoeba", "flores200", "ntrex", "bible-verses"}


def test_rates_go_by_the_width_of_the_encoder() -> None:
    (one,) = load_suite("sib200").recipes
    rates = {width: one.changes(width).get("train.learning_rate") for width in (None, 384, 768, 1024)}
    assert {width: rate and rate.written for width, rate in rates.items()} == {None: None, 384: "1e-4", 768: "2e-5", 1024: None}
    same = load_suite("africa").recipes[0]  # whose recipe is in one place
    assert same.runs == one.runs
    assert same.changes(384) == one.changes(384)


@pytest.mark.parametrize(
    "recipes, line",
    [
        ({"a": {"tasks": ["cldr-topc"]}}, "recipes.a.tasks.0: unknown task 'cldr-topc': did you mean 'cldr-topic'?"),
        ({"a": {"tasks": ["cldr-topic"], "languages": {"cldr-topic": ["enn"]}}}, "unknown language 'enn': did you mean 'en'?"),
        ({"a": {"tasks": ["cldr-topic"], "languages": {"cldr-names": ["de"]}}}, "unknown task 'cldr-names'"),
        ({"a": {}}, "give 'runs', 'tasks' or 'of'"),
        ({"a": {"of": "sib20"}}, "unknown other suite 'sib20': did you mean 'sib200'?"),
        ({"a": {"of": "sib200"}}, "unknown recipe of sib200 'a'"),
        ({"a": {"of": "sib200", "tasks": ["sib200"]}}, "'tasks' is that of the suite 'sib200'"),
        ({"a": {"runs": ["nowhere.yaml"]}}, "nowhere.yaml: no such file"),
        ({"a": {"runs": ["topic.yaml"]}, "b": {"tasks": ["cldr-topic"]}}, "'cldr-topic' is scored by 'a' already"),
        ({"a": {"run": ["topic.yaml"]}}, "unknown key 'run': did you mean 'runs'?"),
    ],
)
def test_a_suite_of_ones_own_is_checked(tmp_path: Path, recipes: dict[str, object], line: str) -> None:
    path = suite_file(tmp_path, **recipes)
    with pytest.raises(UserError) as error:
        load_suite(str(path))
    assert line in str(error.value)
    assert str(error.value).startswith(f"{path}:")


def test_a_plan_does_what_can_be_done_and_says_the_rest(asked: Callable[..., Asked], tmp_path: Path) -> None:
    planned = plan_benchmark(asked(seeds=2, overrides=("train.steps=3",)))
    runs = {name: stages["target"]["run"] for name, stages in planned.study.axes["recipe"].items()}  # type: ignore[index]
    assert list(runs) == ["topic", "names"]
    assert (runs["topic"]["train"]["steps"], "train" in runs["names"]) == (3, False)
    assert runs["names"]["model"] == runs["topic"]["model"] == {"backbone": "some/encoder"}
    assert planned.study.seeds == (1, 2)
    assert len(planned.missing["cldr-topic"]) == len(task("cldr-topic").languages) - 3
    assert not planned.absent
    graph = expand(planned.study, Facts())
    assert len(graph.nodes) == 3  # what nothing is drawn for is done once
    planned.write()
    again = CliRunner().invoke(main, ["study", "status", str(tmp_path / "out/study.yaml")])
    assert again.exit_code == 0, again.output
    (tmp_path / "data/cldr-topic/train-en.tsv").unlink()
    without = plan_benchmark(asked(seeds=2))
    assert list(without.study.axes["recipe"]) == ["names"]
    assert without.absent == {"cldr-topic": f"no files to train on, such as {tmp_path}/data/cldr-topic/train-en.tsv"}
    assert without.study.seeds == (1,)


def test_languages_are_named_in_any_code(asked: Callable[..., Asked]) -> None:
    planned = plan_benchmark(asked(languages=("deu_Latn", "fra")))
    runs = {name: stages["target"]["run"] for name, stages in planned.study.axes["recipe"].items()}  # type: ignore[index]
    assert runs["topic"]["evaluate"] == {"tasks": ["cldr-topic"], "languages": ["de"]}
    assert planned.missing == {"cldr-topic": ("fr",), "cldr-names": ("fr",)}


def test_pairs_of_languages_are_named_by_the_codes_of_their_task(asked: Callable[..., Asked], tmp_path: Path) -> None:
    suite = load_suite(str(suite_file(tmp_path / "suites", topic={"runs": ["topic.yaml"], "tasks": ["xnli-pairs"]})))
    tiny_families(tmp_path / "data")

    def scored(*languages: str) -> set[str]:
        one = replace(asked(languages=languages, overrides=("model.pretraining=cc100",)), suite=suite)
        planned = plan_benchmark(one)
        return set(planned.study.axes["recipe"]["topic"]["target"]["run"]["evaluate"]["languages"])  # type: ignore[index]

    assert scored("de", "en") == scored("deu", "eng_Latn") == scored("group:high", "de") == {"de-de", "de-en", "en-de", "en-en"}
    assert scored("group:low") == {"sw-sw"}
    with pytest.raises(UserError, match=r"--languages: no language of ours is unknown \(CC-100\)"):
        scored("group:unknown")
    with pytest.raises(UserError, match=r"--languages: unknown language of ours 'yo': \(valid: ar, bg, de, "):
        scored("yo")


def test_languages_are_named_by_what_the_encoder_has_read(asked: Callable[..., Asked]) -> None:
    planned = plan_benchmark(asked(languages=("group:low", "de"), overrides=("model.pretraining=cc100",)))
    run = planned.study.axes["recipe"]["topic"]["target"]["run"]  # type: ignore[index]
    assert set(run["evaluate"]["languages"]) == {"sw", "de"}
    for languages, line in [
        (("group:lo",), "--languages: unknown group 'group:lo': did you mean 'group:low'?"),
        (("group:low",), "--languages: group:low: what the encoder has read is not known"),
    ]:
        with pytest.raises(UserError) as error:
            plan_benchmark(asked(languages=languages))
        assert str(error.value).startswith(line)


def test_what_is_wrong_is_one_line(asked: Callable[..., Asked], tmp_path: Path) -> None:
    for more, line in [
        ({"tasks": ("cldr-topc",)}, "--task 1: unknown task of ours 'cldr-topc': did you mean 'cldr-topic'?"),
        ({"languages": ("enn",)}, "--languages: unknown language of ours 'enn': did you mean 'en'?"),
        ({"overrides": ("seed=3",)}, "seed=3: --seeds says that"),
        ({"overrides": ("train.stps=3",)}, "train.stps=3 (command line): train: unknown key 'stps': did you mean 'steps'?"),
        ({"languages": ("fr",)}, "ours: nothing can be scored: cldr-topic: no files, such as "),
        (
            {"tasks": ("cldr-topic",), "languages": ("fr",)},
            f"cldr-topic: no files, such as {tmp_path}/data/cldr-topic/test-fr.tsv",
        ),
    ]:
        with pytest.raises(UserError) as error:
            plan_benchmark(asked(**more))
        assert str(error.value).startswith(line)


def test_the_command_says_the_nearest_suite_and_writes_nothing_in_a_dry_run(
    asked: Callable[..., Asked], tmp_path: Path
) -> None:
    model, data = tiny_kind(tmp_path / "encoder", "xlm-roberta", max_position_embeddings=160), str(tmp_path / "data")
    for extra in ((), ("--dry-run",)):
        wrong = CliRunner().invoke(main, ["benchmark", str(model), "--suite", "xtreme-q", "--data", data, *extra])
        assert (wrong.exit_code, "unknown suite 'xtreme-q': did you mean 'xtreme" in wrong.output) == (2, True)
    words = ["--suite", str(tmp_path / "suites/ours.yaml"), "--data", data, "--out", str(tmp_path / "out"), "--dry-run"]
    dry = CliRunner().invoke(main, ["benchmark", str(model), *words])
    assert dry.exit_code == 0, dry.output
    assert "target-topic-s1" in dry.output
    assert not (tmp_path / "out").exists()
    written = CliRunner().invoke(main, ["benchmark", str(model), *words[:-1], "--write"])
    assert written.exit_code == 0, written.output
    assert f"xdist study submit {tmp_path}/out/study.yaml" in written.output
    assert not (tmp_path / "out/runs").exists()
    planned = CliRunner().invoke(main, ["study", "plan", str(tmp_path / "out/study.yaml")])
    assert "2 combinations, 2 runs" in planned.output
    headless = CliRunner().invoke(main, ["benchmark", str(model), *words, "--no-train", "--task", "cldr-topic"])
    assert headless.exit_code == 2
    assert f"cldr-topic: {model}: holds no head 'cldr-topic'" in headless.output
    as_it_came = CliRunner().invoke(main, ["benchmark", str(model), *words, "--no-train"])
    assert as_it_came.exit_code == 0, as_it_came.output
    assert "target-names-s1" in as_it_came.output
    assert "not scored: cldr-topic" in as_it_came.output


def test_a_folder_holds_one_benchmark(asked: Callable[..., Asked], tmp_path: Path) -> None:
    plan_benchmark(asked()).write()
    plan_benchmark(asked(languages=("de",)))  # some of the same
    (tmp_path / "suites/ours.yaml").rename(tmp_path / "suites/yours.yaml")
    other = replace(asked_suite := asked_of(tmp_path, "yours"), model="another/encoder")
    for one, what in ((other, "some/encoder on ours"), (asked_suite, "some/encoder on ours")):
        with pytest.raises(UserError) as error:
            plan_benchmark(one)
        assert str(error.value) == f"{tmp_path}/out: contains the benchmark of {what}; choose another folder (--out)"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").touch()
    with pytest.raises(UserError, match="thesis: contains something other than a benchmark"):
        plan_benchmark(replace(asked_suite, out=tmp_path / "thesis"))


# --- what came out -------------------------------------------------------------------------------------------------------
def lines_of(
    tmp_path: Path, states: dict[int, str] | None = None, languages: tuple[str, ...] = (), **suite: object
) -> tuple[PlannedBenchmark, list[ScoreLine]]:
    """A benchmark of two seeds on topics, done by guessing: right more often in English."""
    path = suite_file(tmp_path / "suites", topic={"runs": ["topic.yaml"]}, gone={"tasks": ["cldr-names"]})
    path.write_text(path.read_text() + yaml.safe_dump(suite) if suite else path.read_text())
    asked = Asked("some/encoder", load_suite(str(path)), gold(tmp_path / "gold"), tmp_path / "out", seeds=2)
    planned = plan_benchmark(asked)
    planned.write()
    graph = finished(tmp_path / "out/study.yaml", lambda values, code: 0.9 if code == "en" else 0.5)
    found = {
        key: Standing((states or {}).get(node.run.seed, "finished"), 5, 5, "of heat" if states else "")  # type: ignore[arg-type]
        for key, node in graph.nodes.items()
    }
    if languages:  # requested once more, with fewer
        planned = plan_benchmark(replace(asked, languages=languages))
        graph = expand(planned.study, Facts())
    return planned, benchmark_lines(planned, graph, found)


def test_lines_keep_trained_languages_apart_and_say_how_seeds_spread(tmp_path: Path) -> None:
    _, lines = lines_of(tmp_path)
    assert {(line["suite"], line["model"]) for line in lines} == {("ours", "some/encoder")}
    by_language = {line["language"]: line for line in lines if "language" in line}
    assert set(by_language) == set(CODES)
    assert [code for code, line in by_language.items() if line["trained"]] == ["en"]
    english = by_language["en"]
    assert (english["seeds"], english["count"], english["metric"]) == ([1, 2], 240, "accuracy")
    assert english["std"] > 0
    means = {line["mean"]: line for line in lines if "mean" in line}
    assert means["trained on"]["score"] == english["score"]
    zero_shot = [line["score"] for code, line in by_language.items() if code != "en"]
    assert means["not trained on"]["score"] == pytest.approx(sum(zero_shot) / 11)
    assert (means["not trained on"]["languages"], means["all languages"]["of"]) == (11, len(task("cldr-topic").languages))
    assert means["not trained on"]["std"] < english["std"] + 5
    absent = [line for line in lines if "absent" in line]
    assert [(line["absent"], line["reason"].startswith("no files, such as ")) for line in absent] == [("cldr-names", True)]
    assert (by_language["yo"]["group"], means["all languages"]["pretraining"]) == ("unseen", "cc100")
    assert "suite" not in means  # no mean over tasks was published of this suite


def test_no_mean_over_a_part_passes_for_the_whole(tmp_path: Path) -> None:
    planned, lines = lines_of(tmp_path, average=True, means={"topics": ["cldr-topic"]})
    whole = [line for line in lines if line.get("mean") == "suite"]
    assert [(line["variant"], line["score"], line["tasks"], line["of"]) for line in whole] == [
        ("official", None, 0, 2),
        ("f1", None, 0, 2),
    ]
    topics = [line for line in lines if line.get("mean") == "topics"]
    assert [(line["variant"], line["score"], line["tasks"], line["of"]) for line in topics] == [("f1", None, 0, 1)]
    assert planned.asked.suite.suite.average
    assert str(Average(None, 0, 2, {})) == "0 of 2"


def test_a_recipe_that_failed_is_absent_with_its_reason(tmp_path: Path) -> None:
    _, lines = lines_of(tmp_path / "one", {1: "failed", 2: "finished"}, average=True)
    assert {tuple(line["seeds"]) for line in lines if "language" in line} == {(2,)}
    assert [line["score"] for line in lines if line.get("mean") == "suite"] == [None, None]
    _, lines = lines_of(tmp_path / "none", {1: "failed", 2: "failed"})
    assert {line["absent"]: line["reason"] for line in lines if "absent" in line}["cldr-topic"] == "failed: of heat"
    assert not any("score" in line for line in lines)


def test_languages_that_were_scored_before_are_told_when_they_are_asked_for(tmp_path: Path) -> None:
    _, lines = lines_of(tmp_path, languages=("en", "ht", "sw"))
    by_language = {line["language"]: line["score"] for line in lines if "language" in line}
    assert set(by_language) == {"en", "ht", "sw"}
    (zero_shot,) = [line for line in lines if line.get("mean") == "not trained on"]
    assert zero_shot["score"] == pytest.approx((by_language["ht"] + by_language["sw"]) / 2)


def test_a_model_from_elsewhere_is_scored_on_what_it_has_a_head_for(tmp_path: Path) -> None:
    tiny_families(tmp_path / "data")
    for end in ("de", "en"):
        path = tmp_path / f"data/tatoeba/de-en.{end}"
        path.parent.mkdir(exist_ok=True)
        path.write_text("a\nb\n")
    folder = tiny_kind(tmp_path / "tagger", "xlm-roberta", max_position_embeddings=520)
    tiny_finetuned(folder, "tagging", task("udpos").labels[::-1])
    asked = Asked(str(folder), load_suite("xtreme-r"), tmp_path / "data", tmp_path / "out", train=False)
    planned = plan_benchmark(asked)
    recipes = planned.study.axes["recipe"]
    assert set(recipes) == {"udpos", "tatoeba"}  # which needs no head, though it is trained with tasks that do
    assert not any("train" in stages["target"]["run"] for stages in recipes.values())  # type: ignore[index]
    assert set(planned.absent) == set(XTREME_R) - set(recipes)
    wrong_head = f"{folder}: the head of XLMRobertaForTokenClassification does not fit"
    assert {name for name, reason in planned.absent.items() if reason.startswith(wrong_head)} == {
        "xnli",
        "xcopa",
        "xquad",
        "mlqa",
    }
    assert all(reason.startswith((wrong_head, "no files, such as ")) for reason in planned.absent.values())


def test_a_recipe_of_two_runs_goes_on_from_the_first(tmp_path: Path) -> None:
    tiny_families(tmp_path / "data")
    folder = tiny_kind(tmp_path / "encoder", "xlm-roberta", max_position_embeddings=520)
    asked = Asked(str(folder), load_suite("xtreme-r"), tmp_path / "data", tmp_path / "out", ("xcopa", "xquad"))
    graph = expand(plan_benchmark(asked).study, Facts())
    check_study(graph)
    runs = {node.run.name: node for node in graph.nodes.values()}
    assert set(runs) == {"before-xcopa-s1", "target-xcopa-s1", "target-squad-s1"}
    first, second = runs["before-xcopa-s1"], runs["target-xcopa-s1"]
    assert (second.upstream, second.run.model.backbone) == (first.key, str(first.run.folder / "model"))
    assert first.run.evaluate is None
    assert first.run.model.backbone == runs["target-squad-s1"].run.model.backbone == str(folder)
    assert runs["target-squad-s1"].run.evaluate
    assert runs["target-squad-s1"].run.evaluate.tasks == ("xquad",)
