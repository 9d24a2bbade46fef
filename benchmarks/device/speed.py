"""How fast a step is, and where its time goes: each shape at several ZeRO stages, sizes of a step, with and without dropout,
adversarial, and masked language modelling."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from device.child import Check
from device.setup import Setup
from device.workload import assembled, measured, profiled, rows_for, run_of, set_dropout

TOKENS = (32_000, 8_000, 1_300)
STEPS = 6
GOALS = {"base": 0.40, "large": 0.50}  # MFU at 32,000 tokens
ADVERSARIAL = 1.75  # times a plain step, K = 1
LANGUAGE_MODEL = 100_000  # tokens a second, base


def checks(setup: Setup) -> Iterator[tuple[str, Check]]:
    """An engine is made when the first check of its stage runs, and closed behind the last."""
    shape = setup.words[0] if setup.words else "base"
    for zero in ("zero2",) if setup.tiny else ("zero2", "zero0", "zero3", "zero1"):
        with ExitStack() as stack:
            engine: list[Any] = []
            names = ["plain 0.0", "plain 0.1", "adversarial 0.0"] if zero == "zero2" else ["plain 0.0"]
            for name in names:
                for tokens in TOKENS if zero == "zero2" and not setup.tiny else (8_000,):
                    title = f"{shape} {zero} {name} {tokens}"
                    yield title, partial(_step, setup, shape, zero, name, tokens, stack, engine)
    if not setup.tiny or not setup.words:
        yield f"{shape} language model 32000", partial(_language_model, setup, shape)


def _step(
    setup: Setup, shape: str, zero: str, name: str, tokens: int, stack: ExitStack, engine: list[Any]
) -> Mapping[str, Any]:
    rows = rows_for(tokens, setup)
    if not engine:
        engine.extend(stack.enter_context(assembled(setup, run_of(setup, shape, rows, zero))))
    method, dropout = name.split()
    robust: dict[str, Any] = {"method": "adversarial", "steps": 1} if method == "adversarial" else {}
    training = engine[1](run_of(setup, shape, rows, zero, **robust))
    set_dropout(training.engine.module, float(dropout))
    steps = 1 if setup.tiny else STEPS
    found = measured(setup, training, steps, 0.0 if robust else 1.0)
    if robust:
        plain = measured(setup, engine[1](run_of(setup, shape, rows, zero)), steps)
        found["times_plain"] = round(found["step_ms"] / plain["step_ms"], 3)
        goal = f"{shape} adversarial {tokens}: at most {ADVERSARIAL} plain steps"
        return {**found, "goals": {goal: found["times_plain"]}}
    found |= profiled(setup, training.step, found["step_ms"] / 1000)
    if "mfu" in found and shape in GOALS and (zero, tokens, dropout) == ("zero2", TOKENS[0], "0.0"):
        found["goals"] = {f"{shape} MFU: at least {GOALS[shape]}": found["mfu"]}
    return found


def _language_model(setup: Setup, shape: str) -> Mapping[str, Any]:
    rows = 2 if setup.tiny else 64  # full sequences
    with assembled(setup, run_of(setup, shape, rows, task="mlm")) as (training, _):
        found = measured(setup, training, 1 if setup.tiny else STEPS, 0.0)
        found |= profiled(setup, training.step, found["step_ms"] / 1000)
    goal = {f"base language model: more than {LANGUAGE_MODEL} tokens/s": found["per_second"]} if shape == "base" else {}
    return {**found, "goals": goal}
