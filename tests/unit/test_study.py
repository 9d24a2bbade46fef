"""A study's graph: what is shared, what a change redoes, what is refused, what it costs."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from resolved_of import trained_of
from tiny import tiny_benchmark
from tiny_study import graph_of, named

from xdist.cli import main
from xdist.config import Run, load_run, load_study
from xdist.errors import UserError
from xdist.files import digest
from xdist.study import Facts, expand
from xdist.study.estimate import Cost, cost
from xdist.study.expansion import RESULTS, identity
from xdist.study.state import standings


def test_equal_runs_are_one_and_begin_with_the_right_model(tmp_path: Path, described: dict[str, Any]) -> None:
    graph = graph_of(tmp_path, described)
    assert len(graph.points) == 3 * 2 * 2
    assert graph.asked == 4 * 1 + 8 * 2
    names = [node.run.name for node in graph.nodes.values()]
    assert names[:5] == [
        "target-none-plain-s1",
        "target-none-adversarial-s1",
        "intermediate-english-s1",
        "target-english-plain-s1",
        "target-english-adversarial-s1",
    ]
    assert len(names) == len(set(names)) == 4 + 12
    for node in graph.nodes.values():
        assert node.run.folder == tmp_path / "out" / "runs" / f"{node.stage}-{node.key}"
        if node.upstream:
            upstream = graph.nodes[node.upstream]
            assert node.run.model.backbone == str(upstream.run.folder / "model")
            assert upstream.run.seed == node.run.seed
            assert list(graph.nodes).index(node.upstream) < list(graph.nodes).index(node.key)
        else:
            assert node.run.model.backbone == "some/encoder"
    english = graph.nodes[named(graph)["intermediate-english-s1"]].run
    assert english.train
    assert english.train.tasks[0].languages == ("en",)
    assert english.train.steps == 20
    assert graph.nodes[named(graph)["target-none-plain-s2"]].run.robust.method == "none"


def test_expansion_is_pure_and_each_description_reads_back(tmp_path: Path, described: dict[str, Any]) -> None:
    first, second = graph_of(tmp_path, described), graph_of(tmp_path, described)
    assert list(first.nodes) == list(second.nodes)
    for node in first.nodes.values():
        path = tmp_path / "description.yaml"
        path.write_text(yaml.safe_dump(node.run.dump()))
        assert load_run(path).dump() == node.run.dump()


@pytest.mark.parametrize(
    "override, redone",
    [
        ("stages.intermediate.set.train.learning_rate=1e-4", {"intermediate-", "target-english", "target-multilingual"}),
        ("stages.target.set.train.learning_rate=1e-4", {"target-"}),
        ("axes.first.english.intermediate.train.steps=30", {"intermediate-english", "target-english"}),
        (
            "axes.robust.adversarial.target.robust.radius=0.2",
            {"target-none-adv", "target-english-adv", "target-multilingual-adv"},
        ),
        ("all.model.dropout=0", {"intermediate-", "target-"}),
        ("seeds=[1, 3]", {"s2"}),
        ("all.runtime.ranks=4", set()),
        ("name=other", set()),
        ("stages.target.set.evaluate.tasks=[cldr-spans, cldr-names]", set()),
    ],
)
def test_a_change_redoes_what_depends_on_it(tmp_path: Path, described: dict[str, Any], override: str, redone: set[str]) -> None:
    before, after = named(graph_of(tmp_path, described)), named(graph_of(tmp_path, described, override))
    gone = {name for name, key in before.items() if key not in after.values()}
    expected = {name for name in before if any(name.startswith(part) or name.endswith(part) for part in redone)}
    assert gone == expected


def test_methods_with_their_defaults_are_different_runs(tmp_path: Path, described: dict[str, Any]) -> None:
    described["axes"]["robust"] = {
        name: {"target": {"robust": robust}}
        for name, robust in {
            "plain": {"method": "none"},
            "adversarial": {"method": "adversarial"},
            "random": {"method": "random"},
            "free": {"method": "free"},
            "both": [{"method": "random"}, {"method": "adversarial"}],
        }.items()
    }
    graph = graph_of(tmp_path, described)
    assert sum(node.stage == "target" for node in graph.nodes.values()) == 3 * 5 * 2


def test_data_and_named_files_and_encoder_are_part_of_a_run(tmp_path: Path, described: dict[str, Any], data: Path) -> None:
    encoder, root = tmp_path / "encoder", tmp_path / "copy"
    encoder.mkdir()
    (encoder / "config.json").write_text("{}")
    tiny_benchmark(root)
    described["all"] = {"data": {"root": str(root)}}
    described["stages"]["intermediate"]["set"] = {"model.backbone": str(encoder)}
    first = named(graph_of(tmp_path, described))
    described["all"] = {"data": {"root": str(data)}}
    assert named(graph_of(tmp_path, described)) == first  # the same files elsewhere
    described["all"] = {"data": {"root": str(root)}}
    path = root / "cldr-topic/train-de.tsv"
    path.write_text(path.read_text().replace("old", "odd"))
    second = named(graph_of(tmp_path, described))
    assert {name for name in first if first[name] != second[name]} == {
        name
        for name in first
        if "multilingual" in name  # the English ones do not read German
    }
    (encoder / "config.json").write_text('{"model_type": "other"}')
    third = named(graph_of(tmp_path, described))
    assert not set(second.values()) & set(third.values())


def test_word_lists_are_part_of_a_run(tmp_path: Path, described: dict[str, Any]) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    files = [lists / "synonyms.json", lists / "en-de.txt", lists / "en-fr.txt"]
    for file in files:
        file.write_text("{}")
    described["axes"]["robust"] = {
        "substitution": {"target": {"robust": {"method": "substitution", "synonyms": str(files[0])}}},
        "switched": {"target": {"robust": {"method": "code_switch", "dictionaries": str(lists), "languages": ["de"]}}},
    }
    before = named(graph_of(tmp_path, described))
    for file, method in zip(files, ("substitution", "switched", None), strict=True):
        file.write_text("{ }")
        after = named(graph_of(tmp_path, described))
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {name for name in before if method and method in name}
        before = after


def test_a_change_of_words_leaves_keys_as_they_were() -> None:
    """Those of version 0.1.0: nothing is trained again because an option is called otherwise."""
    sections = {"name": "a", "folder": "a", "model": {"backbone": "a"}, "data": {"root": "nowhere"}}
    train = {"tasks": [{"task": "cldr-topic"}], "steps": 3}
    facts = Facts()
    for robust, first in (
        ({"method": "subword", "probability": 0.5}, {"method": "subword", "p": 0.5}),
        ({"method": "subword"}, {"method": "subword"}),
        ({"method": "consistency", "noise": "gaussian"}, {"method": "consistency", "noise": "normal"}),
    ):
        run = Run.model_validate({**sections, "train": train, "robust": robust})
        data = [facts.subset(run.data, subset) for subset in trained_of(run)]
        content = (run.seed, data, [])
        assert identity(facts.resolved(run), "encoder", facts) == digest(
            RESULTS, "encoder", {}, "train", train_as_dumped(run), [first], *content
        )


def train_as_dumped(run: Run) -> dict[str, Any]:
    return run.model_dump(mode="json", exclude_defaults=True)["train"]


def test_memory_of_digests_follows_the_files(tmp_path: Path) -> None:
    file, memory = tmp_path / "a", tmp_path / "memory.json"
    file.write_text("one")
    facts = Facts(memory)
    first = facts.file(file)
    facts.remember()
    assert Facts(memory).file(file) == first
    file.write_text("three")
    again = Facts(memory)
    assert again.file(file) != first
    again.remember()
    assert json.loads(memory.read_text())[str(file)][2] == again.file(file)
    assert Facts(memory).file(tmp_path / "none") == "absent"


def test_include_and_exclude(tmp_path: Path, described: dict[str, Any]) -> None:
    described["include"] = [{"first": ["english", "multilingual"]}, {"robust": "plain"}]
    described["exclude"] = [{"first": "english", "robust": "plain"}]
    found = {tuple(point.values.values()) for point in graph_of(tmp_path, described).points}
    assert found == {("none", "plain"), ("english", "adversarial"), ("multilingual", "plain"), ("multilingual", "adversarial")}
    described["exclude"] = [{}]
    with pytest.raises(UserError, match="no combination is left to run"):
        graph_of(tmp_path, described)


def test_a_stage_may_come_from_an_axis_and_evaluation_alone_is_done_once(tmp_path: Path, described: dict[str, Any]) -> None:
    common = {"data": {"root": described["stages"]["target"]["run"]["data"]["root"]}, "model": {"backbone": "x"}}
    described["stages"]["target"]["run"] = None
    described["axes"]["task"] = {
        "spans": {"target": {"run": {**common, "train": {"tasks": [{"task": "cldr-spans"}], "steps": 5}}}},
        "names": {"target": {"run": {**common, "evaluate": {"tasks": ["cldr-names"]}}}},
    }
    graph = graph_of(tmp_path, described)
    names = [node for node in graph.nodes.values() if node.run.train is None]
    # Robust training and, without intermediate training, the seed change nothing where nothing is trained.
    assert sorted(node.run.name for node in names) == [
        "target-english-names-s1",
        "target-english-names-s2",
        "target-multilingual-names-s1",
        "target-multilingual-names-s2",
        "target-none-names",
    ]
    # But the noise of smoothed predictions is drawn by the seed.
    described["axes"]["task"]["names"]["target"]["run"]["evaluate"]["smoothing"] = {"draws": 2}
    names = [node for node in graph_of(tmp_path, described).nodes.values() if node.run.train is None]
    assert sorted(node.run.name for node in names)[-2:] == ["target-none-names-s1", "target-none-names-s2"]


@pytest.mark.parametrize(
    "change, message",
    [
        ("stages.target.runn=x", "runn=x (command line): stages.target: unknown key 'runn': did you mean 'run'?"),
        ("stages.target.after=intermediat", "unknown earlier stage 'intermediat': did you mean 'intermediate'?"),
        ("stages.intermediate.run=none.yaml", "none.yaml: no such file"),
        ("stages.intermediate.run=[1]", "stages.intermediate.run: expected the path of a run file, or the sections of a run"),
        ("axes.robust.plain.targt.robust=null", "unknown stage 'targt': did you mean 'target'?"),
        ("axes.robust.empty=3", "axes.robust.empty: "),
        ("exclude=[{robst: plain}]", "unknown axis 'robst': did you mean 'robust'?"),
        ("include=[{robust: [plain, avderserial]}]", "unknown value 'avderserial': did you mean 'adversarial'?"),
        ("baseline.first=englsh", "unknown value 'englsh': did you mean 'english'?"),
        ("seeds=[1, 1]", "a seed appears twice"),
        ("seeds=[]", "seeds: is empty"),
        (
            "all.train.stepz=3",
            "all.train.stepz=3 (command line): all.train: unknown key 'stepz': did you mean 'steps'?",
        ),
        ("all.folder=x", "the study names its runs' folders"),
        ("stages.target.set.model.backbone=x", "'target' begins with the model of 'intermediate'"),
        ("axes.first.english.intermediate.train.tasks=[{task: cldr-topik}]", "unknown task 'cldr-topik'"),
        ("all.train.tasks.7.task=x", "'train.tasks' is a list of 1, it has no '7'"),
        ("axes.first.none.target.evaluate.tasks=[cldr-names]", ""),
        ("axes.robust.plain.target.evaluate.tasks=[cldr-names]", ""),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, described: dict[str, Any], change: str, message: str) -> None:
    if not message:  # scored otherwise is fine where it is trained otherwise
        assert graph_of(tmp_path, described, change)
        return
    with pytest.raises(UserError) as error:
        graph_of(tmp_path, described, change)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_mistakes_in_the_study_name_its_line(tmp_path: Path, described: dict[str, Any]) -> None:
    described["axes"]["robust"]["plain"]["target"]["train.stepz"] = 3
    with pytest.raises(UserError) as error:
        graph_of(tmp_path, described)
    line = (tmp_path / "study.yaml").read_text().splitlines().index("        train.stepz: 3") + 1
    expected = f"{tmp_path / 'study.yaml'}:{line}: axes.robust.plain.target.train: unknown key 'stepz'"
    assert str(error.value).startswith(expected)


def test_same_training_scored_otherwise_is_refused(tmp_path: Path, described: dict[str, Any]) -> None:
    described["axes"]["robust"]["plain"] = {"target": {"evaluate.layer": 1}}
    described["axes"]["robust"]["adversarial"] = {"target": {"evaluate.layer": 2}}
    with pytest.raises(UserError, match="trains the same and is scored differently"):
        graph_of(tmp_path, described)


def test_a_thousand_runs_are_planned_in_seconds(tmp_path: Path, described: dict[str, Any]) -> None:
    described["axes"]["rate"] = {f"r{n}": {"target": {"train.learning_rate": n * 1e-6}} for n in range(1, 51)}
    described["seeds"] = [1, 2, 3, 4]
    began = time.perf_counter()
    graph = graph_of(tmp_path, described)
    found = standings(graph, Facts())
    assert time.perf_counter() - began < 10
    assert len(graph.points) == 1200
    assert len(graph.nodes) == 1200 + 8
    assert {now.state for now in found.values()} == {"waiting"}


def test_cost_from_counts_and_limits(tmp_path: Path, described: dict[str, Any]) -> None:
    def of(**train: Any) -> Cost:
        sections = {"name": "a", "folder": "b", "model": {"backbone": "x"}, "data": {"root": "y", "cache": str(tmp_path)}}
        run = Run.model_validate({**sections, "train": train})
        return cost(run.train, run.data, trained_of(run))

    known = of(tasks=[{"task": "pawsx"}], epochs=2, batch_size=32)
    assert (known.updates, known.bound) == (round(2 * 49401 / 32), True)
    assert known.tokens == round(2 * 49401 / 32) * 32 * 128
    assert of(tasks=[{"task": "pawsx", "limit": 100}], epochs=1, batch_size=10).updates == 10
    assert of(tasks=[{"task": "cldr-topic"}], epochs=1).updates is None
    assert of(tasks=[{"task": "cldr-topic"}], steps=7).updates == 7
    prepared = tmp_path / "cldr-topic-train-en-0123456789abcdef"
    prepared.mkdir()
    shard = {"number": 0, "file": "0.arrow", "rows": 50, "tokens": 500, "size": 1, "sha256": ""}
    (prepared / "manifest.json").write_text(json.dumps({"rows": 50, "tokens": 500, "shards": [shard]}))
    found = of(tasks=[{"task": "cldr-topic"}], epochs=1, batch_size=5)
    assert (found.updates, found.tokens, found.bound) == (10, 500, False)


def test_plan_and_status_commands(tmp_path: Path, described: dict[str, Any]) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    runner = CliRunner()
    done = runner.invoke(main, ["study", "plan", str(tmp_path / "study.yaml"), "seeds=[1]"])
    assert done.exit_code == 0, done.output
    assert "6 combinations, 8 runs (2 more if none were shared), 0 finished" in done.output
    assert "├── intermediate-english-s1  20 updates, ≤ 20.5 k tokens, shared by 2" in done.output
    assert "│   ├── target-english-plain-s1" in done.output
    done = runner.invoke(main, ["study", "status", str(tmp_path / "study.yaml")])
    assert done.exit_code == 0, done.output
    assert "0 % of the updates: 16 waiting" in done.output
    assert not (tmp_path / "out").exists()  # nothing was started and nothing written
    done = runner.invoke(main, ["study", "plan", str(tmp_path / "none.yaml")])
    assert (done.exit_code, done.output) == (2, f"xdist: {tmp_path / 'none.yaml'}: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    "changes, says",
    [
        (
            {"axes": {"robust": {"none at all": {}}}},
            "axes.robust.none at all: 'none at all' is part of the names of runs: letters",
        ),
        ({"axes": {"robust": {"é": {}}}}, "axes.robust.é: 'é' is part of the names of runs"),
        ({"axes": {"robust": {"": {}}}}, "axes.robust.: '' is part of the names of runs"),
        ({"axes": {"robust": {"a" * 101: {}}}}, "is part of the names of runs: letters, digits and . _ + -, at most 100"),
        ({"stages": {"a b": {"run": "run.yaml"}}}, "stages.a b: 'a b' names folders of runs"),
        ({"axes": {f"axis{n}": {f"{'v' * 90}{n}": {}} for n in range(3)}}, "names a run and is longer than 240 characters"),
        ({"axes": {f"axis{n}": {f"v{m}": {} for m in range(30)} for n in range(3)}}, "axes: 54,000 combinations, more than"),
    ],
)
def test_what_makes_no_valid_name_or_no_end_is_refused(
    tmp_path: Path, described: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    described = {**described, "include": [], "exclude": [], "baseline": {}, **changes}
    with pytest.raises(UserError) as caught:
        graph_of(tmp_path, described)
    assert says in str(caught.value)


def test_values_of_axes_are_texts_as_they_are_written(tmp_path: Path, described: dict[str, Any]) -> None:
    """0.1, 010 and no are three names, in `axes`, `include` and `baseline`."""
    text = """
  robust: {0.1: {target: {robust: {method: adversarial, radius: 0.1}}}, no: {target: {robust: {method: none}}}}
include: [{robust: 0.1}, {robust: [no]}]
baseline: {robust: no}
seeds: [1]
"""
    described = {
        key: value for key, value in described.items() if key not in ("axes", "include", "exclude", "baseline", "seeds")
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False) + "axes:" + text)
    study = load_study(path)
    assert [point.values["robust"] for point in expand(study, Facts()).points] == ["0.1", "no"]
    assert study.baseline == {"robust": "no"}
