"""ZeRO stage, world size and accumulation do not change the result; the perturbed gradient is the textbook's."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from distributed.group import Group
from distributed.plain_robust import EXACT, REWRITING, word_lists
from distributed.tensors import apart, largest
from torch import Tensor

STAGES = (0, 1, 2, 3)
METHODS = {
    "none": ["robust.method=none"],
    "adversarial": ["robust.method=adversarial", "robust.radius=0.3", "robust.steps=2", "robust.random_start=true"],
}
# Small enough that every rank needs at least two micro-batches a step.
ACCUMULATED = ["runtime.micro_batch_tokens=20"]
TOLERANCE = 1e-4
STEPS = 6  # the rate rises in two and falls
FADING = Path(__file__).resolve().parents[1] / "third_party/fading.py"


def stage(number: int) -> list[str]:
    return [f"runtime.deepspeed={Path(__file__).with_name('ds_configs') / f'zero{number}.json'}"]


@pytest.fixture(scope="module")
def reference(one: Group, small_run: Path) -> dict[str, dict[str, list[float]]]:
    """One rank, ZeRO 0, no accumulation."""
    return {
        name: one.once("losses", path=str(small_run), overrides=options, steps=STEPS)[0] for name, options in METHODS.items()
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("accumulate", [False, True], ids=["1-micro", "n-micro"])
@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("number", STAGES)
def test_losses_do_not_depend_on_stage_world_or_accumulation(
    request: pytest.FixtureRequest,
    reference: dict,
    small_run: Path,
    number: int,
    world: int,
    accumulate: bool,
    method: str,
) -> None:
    group: Group = request.getfixturevalue({1: "one", 2: "two"}[world])
    overrides = [*METHODS[method], *stage(number), *(ACCUMULATED if accumulate else [])]
    results = group.once("losses", path=str(small_run), overrides=overrides, steps=STEPS)
    assert (results[0]["micros"] > 1) == accumulate
    for result in results:
        assert result["loss"] == pytest.approx(reference[method]["loss"], abs=TOLERANCE)
        assert result["gap"] == pytest.approx(reference[method]["gap"], abs=TOLERANCE)
        assert result["norm"] == pytest.approx(reference[method]["norm"], rel=1e-3)


def test_reductions_beside_the_backward_pass_give_the_same(
    two: Group, reference: dict, small_run: Path, tmp_path: Path
) -> None:
    """`overlap_comm` in a file of one's own; whether it is faster only a GPU tells."""
    values = json.loads((Path(__file__).with_name("ds_configs") / "zero2.json").read_text())
    values["zero_optimization"]["overlap_comm"] = True
    (tmp_path / "overlapped.json").write_text(json.dumps(values))
    options = [*METHODS["adversarial"], f"runtime.deepspeed={tmp_path / 'overlapped.json'}", *ACCUMULATED]
    for result in two.run("losses", path=str(small_run), overrides=options, steps=STEPS):
        assert result["loss"] == pytest.approx(reference["adversarial"]["loss"], abs=TOLERANCE)
        assert result["norm"] == pytest.approx(reference["adversarial"]["norm"], rel=1e-3)


@pytest.mark.parametrize("world", [1, 2])
def test_zero_3_leaves_the_process_as_it_was(
    request: pytest.FixtureRequest, small_run: Path, world: int, tmp_path: Path
) -> None:
    group: Group = request.getfixturevalue({1: "one", 2: "two"}[world])
    group.run("losses", path=str(small_run), overrides=stage(3), steps=1)
    assert group.run("linear_is_plain") == [True] * world
    stopped = [*stage(3), f"folder={tmp_path / 'run'}"]
    assert not group.run("whole_run", path=str(small_run), overrides=stopped, stop_at=1)[0]["finished"]
    assert group.run("linear_is_plain") == [True] * world


def test_every_layer_is_in_training_mode(one: Group, small_run: Path) -> None:
    """An encoder is loaded in evaluation mode: without dropout, without gradient checkpointing."""
    training, modules = one.run("in_training_mode", path=str(small_run), overrides=[])[0]
    assert training == modules


def test_perturbation_raises_the_loss(reference: dict) -> None:
    assert min(reference["adversarial"]["gap"]) > 0
    assert reference["none"]["gap"] == [0.0] * STEPS


@pytest.fixture(scope="module")
def plain_loop(one: Group, small_run: Path) -> Callable[[str], dict[str, Tensor]]:
    return cache(lambda robust: one.run("perturbed_gradient", path=str(small_run), overrides=[f"robust={robust}"])[0])


# Every method where it is simplest, where it is hardest, and in one more place; adversarial everywhere.
PLACES = [(number, world) for number in STAGES for world in (1, 2)]
COMPARED = [("adversarial", *place) for place in PLACES] + [
    (method, *place)
    for index, method in enumerate([name for name in EXACT if name != "adversarial"])
    for place in (PLACES[0], PLACES[1 + index % 6], PLACES[-1])
]


@pytest.mark.parametrize("method, number, world", COMPARED)
def test_robust_gradient_equals_a_plain_loop(
    request: pytest.FixtureRequest, plain_loop: Callable, small_run: Path, method: str, number: int, world: int
) -> None:
    group: Group = request.getfixturevalue({1: "one", 2: "two"}[world])
    expected = plain_loop(EXACT[method])
    options = [f"robust={EXACT[method]}", *stage(number), *ACCUMULATED]
    found = group.run("gradient", path=str(small_run), overrides=options)[0]
    assert apart(found, expected, 1e-6) == []


@pytest.mark.parametrize("option, tolerance", [("model.gradient_checkpointing=true", 2e-6), ("runtime.precision=bf16", 3e-2)])
def test_robust_gradient_under_checkpointing_and_in_bf16(
    two: Group, plain_loop: Callable, small_run: Path, option: str, tolerance: float
) -> None:
    expected = plain_loop(EXACT["smart"])
    found = two.run("gradient", path=str(small_run), overrides=[f"robust={EXACT['smart']}", option, *stage(2)])[0]
    assert apart(found, expected, tolerance * max(1, largest(expected))) == []


@pytest.mark.parametrize("number, method", [(number % 4, method) for number, method in enumerate(EXACT)])
def test_robust_gradient_in_fp16(two: Group, plain_loop: Callable, small_run: Path, method: str, number: int) -> None:
    """The scale of the loss is in no gradient any more, neither in those that are climbed by nor in those that train."""
    expected = plain_loop(EXACT[method])
    options = [f"robust={EXACT[method]}", *stage(number), *ACCUMULATED, "runtime.precision=fp16"]
    found = two.run("half_cases.run", of="gradient", path=str(small_run), overrides=options)[0]["value"]
    assert apart(found, expected, 3e-3 * max(1, largest(expected))) == []


def test_deterministic_kernels_are_there_for_all_that_training_does(two: Group, small_run: Path) -> None:
    """PyTorch ends an operation that has none. On a CPU the bits are those of any run."""
    mixed = "train.tasks=[{task: cldr-topic, languages: [en]}, {task: cldr-spans, languages: [sw], weight: null}]"
    options = [f"robust={EXACT['smart']}", mixed, "train.steps=6", *ACCUMULATED]
    plain, deterministic = (
        two.run("losses", path=str(small_run), overrides=[*options, f"runtime.deterministic={wanted}"], steps=3)[0]
        for wanted in ("false", "true")
    )
    assert deterministic["loss"] == plain["loss"]
    assert deterministic["norm"] == plain["norm"]


FEW = "train.tasks=[{task: cldr-topic, languages: [en]}, {task: cldr-topic, languages: [sw], rows: 10}]"


@pytest.mark.parametrize(
    "overrides",
    [[], [FEW, "train.task_alpha=0"], ["data.block=4"]],
    ids=["whole sets", "ten examples of a language", "in blocks"],
)
def test_ranks_together_see_the_rows_of_one_rank(one: Group, two: Group, small_run: Path, overrides: list[str]) -> None:
    alone = one.run("dealt", path=str(small_run), overrides=overrides)[0]
    first, second = two.run("dealt", path=str(small_run), overrides=overrides)
    for rows, left, right in zip(alone, first, second, strict=True):
        assert sorted(rows) == sorted(left + right)
        assert left
        assert right


def test_noise_belongs_to_the_row(one: Group, two: Group, small_run: Path) -> None:
    alone = one.run("noise_of_rows", path=str(small_run), overrides=[])[0]
    first, second = two.run("noise_of_rows", path=str(small_run), overrides=ACCUMULATED)
    assert first
    assert second
    assert {**first, **second} == alone


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return word_lists(tmp_path_factory.mktemp("words"))


@pytest.mark.parametrize("method, number", zip(REWRITING, (1, 2, 3), strict=True))
def test_rewritten_rows_train_alike(one: Group, two: Group, small_run: Path, words: Path, method: str, number: int) -> None:
    rewriting = REWRITING[method].replace("%s", str(words))
    options = [f"robust=[{rewriting}, {{method: adversarial, radius: 0.1}}, {{method: consistency, weight: 2}}]"]
    beside = ["runtime.rewriters=2"] if number == 1 else []
    expected = one.run("losses", path=str(small_run), overrides=options, steps=4)[0]
    assert expected["scalars"]["robust/changed_words"] > 0.1
    for result in two.run("losses", path=str(small_run), overrides=[*options, *ACCUMULATED, *stage(number), *beside], steps=4):
        assert result["loss"] == pytest.approx(expected["loss"], abs=TOLERANCE)
        assert result["scalars"]["robust/changed_words"] == pytest.approx(expected["scalars"]["robust/changed_words"])


def test_a_method_of_somebody_elses_trains_alike(one: Group, two: Group, small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "sizes.txt").write_text("0.5 0.1")
    method = f"{{method: fading, sizes: {tmp_path}/sizes.txt, special: true}}"
    options = [f"plugins=[{FADING}]", f"robust=[{{method: adversarial}}, {method}]"]
    expected = one.run("losses", path=str(small_run), overrides=options, steps=4)[0]
    plain = one.run("losses", path=str(small_run), overrides=["robust={method: adversarial}"], steps=4)[0]
    assert expected["norm"] != pytest.approx(plain["norm"], rel=1e-2)
    for result in two.run("losses", path=str(small_run), overrides=[*options, *ACCUMULATED, *stage(3)], steps=4):
        assert result["loss"] == pytest.approx(expected["loss"], abs=TOLERANCE)
        assert result["norm"] == pytest.approx(expected["norm"], rel=1e-3)


MIXED = [
    "train.tasks=[{task: cldr-topic, languages: [en]}, {task: cldr-spans, languages: [en, sw], weight: null}]",
    "train.steps=6",
]


@pytest.mark.parametrize("number, overrides", [(0, ACCUMULATED), (2, []), (2, ["model.freeze_embeddings=true"])])
def test_a_step_reduces_each_trained_parameter_once(two: Group, small_run: Path, number: int, overrides: list[str]) -> None:
    """next to it a few counts."""
    for result in two.run("reduced", path=str(small_run), overrides=[*stage(number), *overrides]):
        assert 0 <= result["reduced"] - result["trained"] < 200


@pytest.mark.parametrize("number", STAGES)
def test_several_heads_train_alike_at_every_stage(one: Group, two: Group, small_run: Path, number: int) -> None:
    expected = one.once("losses", path=str(small_run), overrides=MIXED, steps=STEPS)[0]
    assert set(expected["by_piece"]) == {"cldr-topic/en", "cldr-spans/en", "cldr-spans/sw"}
    for result in two.run("losses", path=str(small_run), overrides=[*MIXED, *stage(number)], steps=STEPS):
        assert result["loss"] == pytest.approx(expected["loss"], abs=TOLERANCE)
        assert result["by_piece"] == pytest.approx(expected["by_piece"], abs=TOLERANCE)


def test_loss_of_each_language(one: Group, small_run: Path) -> None:
    found = one.run("losses", path=str(small_run), overrides=[], steps=1)[0]
    english, german = found["by_piece"]["cldr-topic/en"], found["by_piece"]["cldr-topic/de"]
    assert min(english, german) < found["loss"][0] < max(english, german)


def test_no_rank_loads_a_compiler(one: Group, two: Group, small_run: Path) -> None:
    """Which takes more than a second; neither here nor in the tests before."""
    for group in (one, two):
        for number in STAGES:
            group.once("losses", path=str(small_run), overrides=[*METHODS["none"], *stage(number)], steps=STEPS)
        assert not any(group.run("compiler_is_loaded"))
