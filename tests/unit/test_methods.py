"""Every method of ours is in the list, and says all that is shown of it."""

from pathlib import Path

import pytest

import xdist.robust
from xdist.config.method import METHODS, Method, StepCost

OURS = METHODS.ours()


def test_every_file_that_registers_a_method_is_in_the_list() -> None:
    files = [path for path in Path(xdist.robust.__file__).parent.glob("*.py") if "\nregister(" in path.read_text()]
    assert {method.__module__.rpartition(".")[2] for method in OURS.values()} - {"robust"} == {path.stem for path in files}
    assert len(OURS) == len(files) + 1  # `none`
    assert next(iter(OURS)) == "none"


@pytest.mark.parametrize("name", OURS)
def test_every_option_says_what_it_is(name: str) -> None:
    method = OURS[name]
    assert method.name == name
    assert method.__doc__
    for option, field in method.model_fields.items():
        assert option == "method" or field.description, option
        assert option == "method" or f"    {option}: {field.description}" in method.__doc__


@pytest.mark.parametrize("name", OURS)
def test_a_method_trains_or_rewrites_and_one_that_trains_has_a_cost(name: str) -> None:
    method = OURS[name]
    trains, rewrites = method.passes is not Method.passes, method.rewriter is not Method.rewriter
    assert trains + rewrites == (name != "none")
    assert trains == (method.cost is not Method.cost)


def test_passes_without_a_cost_are_refused() -> None:
    with pytest.raises(TypeError, match="Costless has passes, so it needs `cost`"):

        class Costless(Method):
            method: str = "costless"

            def passes(self, before, context):  # type: ignore[no-untyped-def]
                return before

    assert StepCost().trained == 1
