"""Which families there are: an entry for each, which says where its class is without importing it, so that listing tasks
needs no torch. What a family does is in xdist/tasks/family.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from xdist.registry import Registry

if TYPE_CHECKING:
    from xdist.tasks.family import Family


# Stands for the language of a code among those that texts of the code are written in.
OWN = "{language}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyEntry:
    """`load()` gives the family's class, a subclass of xdist.tasks.family.Family; torch is imported there and not before.
    `predicts` names the family in whose form its predictions are written and read, and by whose metrics they can be scored;
    empty: its own. `head`: whether they come from weights that are trained with the encoder, not from hidden states alone.
    `written`: the languages of its texts of a code, where its task does not say others; `apart`: each row is one text of them.
    """

    name: str
    load: "Callable[[], type[Family]]"
    predicts: str = ""
    head: bool = True
    written: tuple[str, ...] = (OWN,)
    apart: bool = False


FAMILIES: Registry[FamilyEntry] = Registry("family", "xdist.tasks.families")
register = FAMILIES.register


WITH_ENGLISH = (OWN, "en")


def _register_family(name: str, module: str, family: str, **facts: Any) -> None:
    register(FamilyEntry(name=name, load=lambda: getattr(import_module(f"xdist.tasks.{module}"), family), **facts))


_register_family("classification", "classification", "Classification")
_register_family("multiple-choice", "choice", "MultipleChoice")
_register_family("tagging", "tagging", "Tagging")
_register_family("span-qa", "span_qa", "SpanQA")
_register_family("sentence-retrieval", "sentences", "SentenceRetrieval", head=False, written=WITH_ENGLISH, apart=True)
_register_family("bitext-mining", "mining", "Mining", head=False, written=WITH_ENGLISH, apart=True)
_register_family("dual-encoder", "dual", "DualEncoder")
_register_family("parallel", "parallel", "ParallelText", head=False, written=WITH_ENGLISH)
_register_family("masked-lm", "mlm", "MaskedLM")
