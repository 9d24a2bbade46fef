"""Which families there are: an entry for each, which says where its class is without importing it, so that listing tasks
needs no torch. What a family does is in xdist/tasks/family.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from xdist.registry import Registry

if TYPE_CHECKING:
    from xdist.tasks.family import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyEntry:
    """`load()` gives the family's class, a subclass of xdist.tasks.family.Family; torch is imported there and not before.
    `predicts` names the family in whose form its predictions are written and read, and by whose metrics they can be scored;
    empty: its own. `head`: whether they come from weights that are trained with the encoder, not from hidden states alone."""

    name: str
    load: "Callable[[], type[Family]]"
    predicts: str = ""
    head: bool = True


FAMILIES: Registry[FamilyEntry] = Registry("family", "xdist.tasks.families")
register = FAMILIES.register


def _register_family(name: str, module: str, family: str, head: bool = True) -> None:
    register(FamilyEntry(name=name, load=lambda: getattr(import_module(f"xdist.tasks.{module}"), family), head=head))


_register_family("classification", "classification", "Classification")
_register_family("multiple-choice", "choice", "MultipleChoice")
_register_family("tagging", "tagging", "Tagging")
_register_family("span-qa", "span_qa", "SpanQA")
_register_family("sentence-retrieval", "sentences", "SentenceRetrieval", head=False)
_register_family("bitext-mining", "mining", "Mining", head=False)
_register_family("dual-encoder", "dual", "DualEncoder")
_register_family("parallel", "parallel", "ParallelText", head=False)
_register_family("masked-lm", "mlm", "MaskedLM")
