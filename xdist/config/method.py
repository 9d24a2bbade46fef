"""What a method of `robust` is: its options, what it does, and all that the package has to know of it.

A method is one class in one file, built in (xdist/robust/) or of a plugin (xdist/plugins.py), which is registered there.
Options are its fields, from which validation, docstring and reference come. The class is read where no torch is imported: what
needs torch is imported inside the functions that train. How it trains is in xdist/robust/passes.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from xdist.config.section import Section
from xdist.errors import UserError
from xdist.registry import Registry

OPTIONS = "Options:"  # what follows in a method's docstring


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a micro-batch costs, in passes of the encoder, in the mean over steps: forward and backward over the input as it is
    (`clean`) or perturbed (`moved`), forward alone (`looked`), backward to the input alone (`climbed`). `views` are in memory
    together."""

    clean: float = 1.0
    moved: float = 0.0
    looked: float = 0.0
    climbed: float = 0.0
    views: float = 1.0

    @property
    def trained(self) -> float:
        return self.clean + self.moved

    def forwards(self, checkpointing: bool) -> float:
        """Cost in forward passes; checkpointing makes every forward pass again that a backward pass follows."""
        again = (self.trained + self.climbed) * checkpointing
        return 3 * self.trained + self.looked + self.climbed + again


class Method(Section):
    """One method, as a run describes it. A subclass says its name by `method: Literal["…"] = "…"`, and has `passes` and `cost`,
    or a `rewriter`."""

    name: ClassVar[str] = ""
    needs: ClassVar[str] = ""  # data that it needs in addition to labelled English, as reports show it
    comes_last: ClassVar[str] = ""  # why no method may follow it in a list
    of_branches: ClassVar[bool] = False  # whether it is of encoders with branches alone

    method: str

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        named = cls.model_fields["method"]
        cls.name = "" if named.is_required() else str(named.default)
        if cls.passes is not Method.passes and cls.cost is Method.cost:
            raise TypeError(f"{cls.__name__} has passes, so it needs `cost`")
        said = [f"    {name}: {field.description}" for name, field in cls.model_fields.items() if field.description]
        cls.__doc__ = "\n".join([cls.__doc__ or cls.name, *(["", OPTIONS, *said] if said else [])])

    @classmethod
    def spoken_of(cls) -> str:
        return f"method '{cls.name}': "

    # --- what it does ------------------------------------------------------------------------------------------------
    def passes(self, before: Iterator[Any], context: Any) -> Iterator[Any]:
        """The training passes of a micro-batch, made of those of the method before it (xdist.robust.passes: Pass, Context)."""
        return before

    def rewriter(self, tokenizer: Any, *, seed: int, stream: int, max_length: int | None) -> Any:
        """What puts prepared rows into other words (xdist.data.batches.Rewriter), and declares which pieces it may insert.
        `stream`: which method of the run this is, for its draws. Raises UserError for files that are not what they should
        be."""
        raise NotImplementedError

    def knows(self, language: str) -> bool:
        """Whether its `rewriter` has words for texts in `language`, by any of its codes; others stay as they are."""
        return True

    # --- what has to be known of it ----------------------------------------------------------------------------------
    def cost(self, before: StepCost, alone: bool) -> StepCost:
        """What a micro-batch costs with it; `alone`: it is the only method."""
        return before

    def files(self) -> Sequence[Path]:
        """The files that it reads: what is in them determines what is trained."""
        return ()

    def check(self) -> None:
        """Raises UserError for a file of it that is missing, or is not what it should be."""
        for path in self.files():
            if not path.is_file():
                raise UserError(f"{path}: no such file")

    @property
    def idle(self) -> bool:
        """Whether it can change nothing as it is described; training is then plain to the bit."""
        return False

    @property
    def rewrites(self) -> bool:
        return type(self).rewriter is not Method.rewriter

    @property
    def compares(self) -> bool:
        """Whether it compares predictions with each other, not only with the labels."""
        return False

    @property
    def leaves_inputs(self) -> bool:
        """Whether, alone, it compares predictions for the same inputs, so that nothing but dropout makes them differ."""
        return False

    @property
    def compares_rows(self) -> bool:
        """Whether it compares rows in other words with what they were before."""
        return False

    @property
    def one_dropout(self) -> bool:
        """Whether all forwards of a micro-batch draw the same dropout masks: an option of some."""
        return bool(getattr(self, "same_dropout", False))


METHODS: Registry[type[Method]] = Registry("method", "xdist.robust")
register = METHODS.register
