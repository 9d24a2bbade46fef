"""A method of robust training in one file of another's is a method as any other; who only looks does not execute it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from batch_of import batch_of
from click.testing import CliRunner
from passes_of import context_of, passes_of
from registered import forgetting
from tiny import tiny_benchmark, tiny_model
from tiny_study import graph_of, named

from xdist import plugins
from xdist.cli import main
from xdist.config import Model as ModelSection
from xdist.config import Run, load_run, recorded_run
from xdist.config.method import StepCost
from xdist.config.robust import NotHere
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.estimate.hours import work
from xdist.files import write_yaml
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.run.ds_config import shipped
from xdist.run.folder import RunFolder
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

FADING = Path(__file__).resolve().parents[1] / "third_party/fading.py"
TRAIN = {"tasks": [{"task": "cldr-topic"}], "steps": 10}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """What a test's plugins register is forgotten after it."""
    with forgetting():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A run of that method."""
    (tmp_path / "sizes.txt").write_text("0.5 0.25")
    run = {
        "name": "fading",
        "folder": str(tmp_path / "run"),
        "plugins": [str(FADING)],
        "model": {"backbone": "encoder"},
        "data": {"root": str(tmp_path / "benchmark")},
        "train": TRAIN,
        "robust": {"method": "fading", "sizes": str(tmp_path / "sizes.txt")},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    return tmp_path / "run.yaml"


def mine(folder: Path, more: str = "") -> Path:
    """The method as a file of this folder, with something more in it."""
    (folder / "mine.py").write_text(FADING.read_text() + more)
    return folder / "mine.py"


def error(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_run(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_it_is_one_file_of_sixty_lines() -> None:
    assert len(FADING.read_text().splitlines()) <= 60


def test_it_is_accepted_and_written_down_with_its_digest(path: Path) -> None:
    run = load_run(path)
    (method,) = run.methods
    assert (method.name, method.model_dump()["special"], method.files()) == ("fading", False, [path.parent / "sizes.txt"])
    assert run.plugins == (f"{FADING}@{run.plugin_digests[0]}",)
    again = path.with_name("again.yaml")
    write_yaml(again, run.dump())
    assert load_run(again).dump() == run.dump()
    assert load_run(path, ["robust.method=none"]).methods == ()  # which leaves its options out


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["robust.spezial=true"], "robust: method 'fading': unknown key 'spezial': did you mean 'special'?"),
        (["robust.special=perhaps"], "robust.special: Input should be a valid boolean"),
        (["robust={method: fading}"], "robust: 'sizes' is required"),
        (
            ["robust=[{method: adversarial}, {method: fadign}]"],
            "robust.1.method: unknown method 'fadign': did you mean 'fading'?",
        ),
        (["plugins=[]"], "robust.method: unknown method 'fading': (valid: adversarial, branch_mixture, code_switch, "),
        (["plugins=[nowhere.py]"], "plugins.0: nowhere.py: cannot be read: No such file or directory"),
        (["plugins=nowhere.py"], "plugins: expected a list: [a, b]"),
    ],
)
def test_it_is_validated_strictly(path: Path, overrides: list[str], message: str) -> None:
    assert message in error(path, *overrides)


def test_a_broken_plugin_is_told_by_the_lines_of_both_files(path: Path) -> None:
    broken = mine(path.parent, "\n1 / 0\n")
    path.write_text(path.read_text().replace(str(FADING), str(broken)))
    assert error(path) == "run.yaml:4: plugins.0: mine.py:59: ZeroDivisionError: division by zero"
    both = f"plugins=[{FADING}, {mine(path.parent, '# other')}]"
    expected = f"{both} (command line): plugins.1: {broken}:57: method 'fading' is already registered, in {FADING}"
    assert error(path, both) == expected.replace(f"{path.parent}/", "")
    without_cost = FADING.read_text().replace("def cost", "def price")
    (path.parent / "mine.py").write_text(without_cost)
    assert error(path, f"plugins=[{broken}]").endswith("mine.py:16: TypeError: Fading has passes, so it needs `cost`")


def test_it_makes_two_passes_whose_noise_is_gone_when_the_run_ends(path: Path) -> None:
    backbone = str(tiny_model(path.parent / "encoder", tiny_benchmark(path.parent / "benchmark")))
    encoder = load_encoder(ModelSection(backbone=backbone), load_tokenizer(backbone), torch.float32)
    model = Model(encoder, {"head": family_of(task("cldr-topic"))}, seed=1)
    batch = batch_of([[[0, 30, 31, 2]], [[0, 42, 2]]] * 50, labels=[0, 1] * 50, head="head")
    methods = load_run(path).methods

    def sizes(step: int) -> list[float]:
        found = []
        for one in passes_of(methods, context_of(model, batch, step, steps=10)):
            assert one.weights == (0.5,)
            noise = one.views[0].shifts[0].delta(model.embedding(batch.tokens))  # type: ignore[operator]
            assert not noise[batch.tokens < 4].any()
            found.append(float(noise[batch.tokens >= 4].std()))
        return found

    assert sizes(0) == pytest.approx([0.5, 0.25], rel=0.05)
    assert sizes(8) == pytest.approx([0.1, 0.05], rel=0.05)


def test_it_counts_in_the_cost(path: Path) -> None:
    tiny_benchmark(path.parent / "benchmark")
    tiny_model(path.parent / "encoder", path.parent / "benchmark")
    assert work(load_run(path).methods) == StepCost(clean=0.0, moved=2.0)
    hours = {}
    for robust in ("robust.method=fading", "robust.method=none"):
        words = ["plan", str(path), f"model.backbone={path.parent}/encoder", robust, "--gpu-memory", "24", "--peak", "100"]
        done = CliRunner().invoke(main, [*words, "--json"])
        assert done.exit_code == 0, done.output
        hours[robust] = json.loads(done.stdout)["gpu_hours"]
    assert hours["robust.method=fading"] == pytest.approx(2 * hours["robust.method=none"], rel=1e-6)


@pytest.mark.parametrize("kind", ["slurm", "hosts", "kubernetes"])
def test_it_can_be_submitted(path: Path, kind: str) -> None:
    tiny_benchmark(path.parent / "benchmark")
    cluster = shipped("jobs") / f"clusters/{kind}.yaml"
    done = CliRunner().invoke(main, ["submit", str(path), "--cluster", str(cluster), "--dry-run", "folder=runs/fading"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["train", str(path), "--dry-run"])
    assert done.exit_code == 0, done.output


def test_its_code_is_part_of_what_a_resume_checks(path: Path) -> None:
    plugin = mine(path.parent)
    run = load_run(path, [f"plugins=[{plugin}]"])
    RunFolder(run.folder).open(run, None, {})
    elsewhere = path.parent / "elsewhere.py"
    elsewhere.write_bytes(plugin.read_bytes())
    RunFolder(run.folder).check(load_run(path, [f"plugins=[{elsewhere}]"]))
    mine(path.parent, "# changed\n")
    with pytest.raises(
        UserError, match=r"this folder holds another run: plugins\.0 was .*mine\.py@\w{16}, is .*mine\.py@\w{16};"
    ):
        RunFolder(run.folder).check(load_run(path, [f"plugins=[{plugin}]"]))
    # A job reads what was written down, which says the digest.
    assert "plugins.0: mine.py: its code " in error(run.folder / RunFolder(run.folder).config.name).replace(
        f"{path.parent}/", ""
    )


def test_a_file_of_it_that_is_missing_is_said_before_the_start(path: Path) -> None:
    tiny_benchmark(path.parent / "benchmark")
    (path.parent / "sizes.txt").unlink()
    done = CliRunner().invoke(main, ["train", str(path), "--dry-run"])
    assert done.exit_code == 2
    assert done.output.endswith(f"run.yaml:13: robust: {path.parent}/sizes.txt: no such file\n")


def test_its_code_and_its_file_are_part_of_a_studys_keys(tmp_path: Path, described: dict[str, Any]) -> None:
    (tmp_path / "sizes.txt").write_text("0.5 0.25")
    robust = {"method": "fading", "sizes": str(tmp_path / "sizes.txt")}
    plugin = mine(tmp_path)
    described["axes"]["robust"]["adversarial"] = {"target": {"robust": robust, "plugins": [str(plugin)]}}
    before = named(graph_of(tmp_path, described))
    (tmp_path / "sizes.txt").write_text("0.5 0.75")
    second = named(graph_of(tmp_path, described))
    mine(tmp_path, "# changed\n")
    third = named(graph_of(tmp_path, described))
    for old, new in ((before, second), (second, third)):
        assert {name for name in old if old[name] != new[name]} == {name for name in old if "adversarial" in name}
    described["axes"]["robust"]["adversarial"] = {"target": {"robust": robust}}
    with pytest.raises(UserError, match="unknown method 'fading'"):  # though another run of this process names it
        graph_of(tmp_path, described)


def test_a_run_made_in_python_names_the_file_of_its_method(path: Path) -> None:
    named = load_run(path)
    made = Run.model_validate({**named.dump(), "plugins": (), "robust": named.robust})
    assert made.plugins == named.plugins
    assert made.identity == named.identity


def test_a_method_of_a_distribution_needs_no_naming(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fading_noise.py").write_text(FADING.read_text().replace('"fading"', '"offered"'))
    (tmp_path / "fading_noise-1.0.dist-info").mkdir()
    (tmp_path / "fading_noise-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: fading-noise\nVersion: 1.0\n")
    (tmp_path / "fading_noise-1.0.dist-info/entry_points.txt").write_text("[xdist.plugins]\nany = fading_noise\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.load_offered.cache_clear()
    try:
        run = load_run(path, ["plugins=[]", "robust.method=offered"])
    finally:
        plugins.load_offered.cache_clear()
    assert [entry.partition("@")[0] for entry in run.plugins] == ["fading_noise"]
    write_yaml(tmp_path / "again.yaml", run.dump())
    assert load_run(tmp_path / "again.yaml").identity == run.identity


def test_who_looks_at_a_folder_executes_nothing_of_it(path: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap.py"
    trap.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'executed')!r}).touch()\n")
    run = load_run(path, [f"plugins=[{FADING}]"])
    folder = RunFolder(run.folder)
    folder.open(run, None, {})
    folder.mark("unfinished")
    values = yaml.safe_load(folder.config.read_text())
    write_yaml(folder.config, {**values, "plugins": [str(trap)], "robust": [{"method": "theirs", "of": [1, None]}]})
    there = recorded_run(folder.config)
    assert [(type(method), method.model_dump()) for method in there.methods] == [
        (NotHere, {"method": "theirs", "of": [1, None]})
    ]
    commands = [
        ["status", folder.path],
        ["status", tmp_path],
        ["checkpoint", "list", folder.path],
        ["logs", folder.path],
        ["report", folder.path, "--out", tmp_path / "report"],
        ["compare", folder.path, folder.path],
        ["export", folder.path, tmp_path / "export"],
        ["score", folder.path / "predictions", "--gold", tmp_path],
        ["status", path, folder.config],
        ["train", path, "--dry-run", f"folder={folder.path}"],  # finds another run there
    ]
    for words in commands:
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert done.exit_code in (0, 2), (words, done.output, done.exc_info)
        assert not (tmp_path / "executed").exists(), words
    with pytest.raises(UserError):
        load_run(folder.config)  # who continues with it does: `theirs` is not in that file
    assert (tmp_path / "executed").exists()


def test_what_is_written_down_is_the_same_run_without_the_plugin(path: Path) -> None:
    run = load_run(path)
    write_yaml(path.with_name("config.yaml"), run.dump())
    there = recorded_run(path.with_name("config.yaml"))
    assert there.dump() == run.dump()
    assert there.identity == run.identity
